"""Thresholds: as many decisions as keep to the wanted share of errors."""

import numpy as np
import pytest

from dmg_tf.evaluation.metrics.abstaining import (
    coverage_and_risk,
    thresholds_of,
)
from dmg_tf.rules import ABSTAIN_RATE, ABSTAIN_RATES, NEVER, Calibration

SURE = np.linspace(0.99, 0.2, 100).astype(np.float32)


def test_as_many_as_keep_to_the_rate():
    rng = np.random.default_rng(0)
    hits = rng.random(100) < SURE
    for rate, least in thresholds_of(SURE, hits).items():
        found = coverage_and_risk(SURE, hits, least)
        assert found["decided"] == 0 or found["risk"] <= float(rate)
        # Any further image, or several, would be too many errors.
        for count in range(found["decided"] + 1, 101):
            assert (~hits[:count]).mean() > float(rate)


def test_all_right_decides_what_it_has_seen():
    least = thresholds_of(SURE, np.ones(100, bool))["0.05"]
    assert coverage_and_risk(SURE, np.ones(100, bool), least)["coverage"] == 1
    assert least == pytest.approx(0.2, abs=2e-4) and least < 0.2


def test_nothing_right_decides_nothing():
    hits = np.zeros(100, bool)
    assert set(thresholds_of(SURE, hits).values()) == {NEVER}
    assert coverage_and_risk(SURE, hits, NEVER) == {
        "decided": 0,
        "coverage": 0,
        "risk": None,
    }


def test_equally_sure_images_are_decided_together():
    sure = np.float32([0.9, 0.8, 0.8, 0.8, 0.5])
    hits = np.array([True, True, True, False, False])
    # Three of four right is too little for 20 %, so of those at 0.8 none.
    least = thresholds_of(sure, hits)["0.2"]
    assert 0.8 < least < 0.9


def test_the_order_of_images_does_not_matter():
    rng = np.random.default_rng(0)
    hits = rng.random(100) < SURE
    order = rng.permutation(100)
    assert thresholds_of(SURE[order], hits[order]) == thresholds_of(SURE, hits)


def test_what_a_calibration_says():
    own = Calibration(thresholds=thresholds_of(SURE, SURE > 0.5))
    assert len(own.thresholds) == len(ABSTAIN_RATES)
    assert own.threshold() == own.threshold(ABSTAIN_RATE)
    assert own.threshold(0.2) < own.threshold(0.01)
    assert Calibration().threshold() is None
    assert Calibration(**own.to_json()) == own
