"""The temperature that makes the labels likeliest, where there is one."""

import numpy as np
import pytest

from dmg_tf.evaluation.metrics.calibration import (
    calibration_error,
    softmax,
)
from dmg_tf.evaluation.metrics.temperature import (
    FEW,
    HIGHEST,
    LOWEST,
    fit_temperature,
)


def drawn(temperature, count=4000, classes=5, seed=0):
    """Logits that are too large by the temperature, and labels."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 2, (count, classes))
    shares = softmax(true)
    labels = (shares.cumsum(1) < rng.random((count, 1))).sum(1)
    return (temperature * true).astype(np.float32), labels


def loss(logits, labels, temperature):
    shares = softmax(logits, temperature)
    return -np.log(shares[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("true", [0.3, 1.0, 1.5, 4.0])
def test_it_is_found(true):
    logits, labels = drawn(true)
    found = fit_temperature(logits, labels)
    # The fit's standard error is about 2 % for so many images.
    assert found.temperature == pytest.approx(true, rel=0.08)
    assert found.images == 4000 and found.note == ""
    # No other is likelier: the best of a fine grid is where it is.
    grid = np.geomspace(0.7, 1.4, 701) * found.temperature
    best = grid[np.argmin([loss(logits, labels, t) for t in grid])]
    assert best == pytest.approx(found.temperature, rel=2e-3)


def test_it_is_calibrated_then():
    logits, labels = drawn(3.0)
    hits = logits.argmax(1) == labels
    own = fit_temperature(logits, labels).temperature
    before = calibration_error(softmax(logits).max(1), hits)
    after = calibration_error(softmax(logits, own).max(1), hits)
    assert before > 0.15 and after < 0.03


def test_the_same_where_all_logits_are_shifted():
    logits, labels = drawn(2.0, count=200)
    shifted = logits + np.arange(200, dtype=np.float32)[:, None]
    first, second = (
        fit_temperature(logits, labels),
        fit_temperature(shifted, labels),
    )
    assert first.temperature == pytest.approx(second.temperature, rel=1e-4)


def test_few_images_say_too_little():
    logits, labels = drawn(3.0, count=FEW - 1)
    found = fit_temperature(logits, labels)
    assert (found.temperature, found.images) == (1.0, 0)
    assert "fewer than 20 images" in found.note


def test_all_right_says_nothing_of_errors():
    logits, _ = drawn(1.0, count=50)
    found = fit_temperature(logits, logits.argmax(1))
    assert found.temperature == 1 and "all images are right" in found.note


def test_it_stays_in_its_range():
    logits, labels = drawn(0.01)
    found = fit_temperature(logits, labels)
    assert found.temperature == LOWEST and "end of the range" in found.note
    rng = np.random.default_rng(0)  # labels that have nothing to do with it
    found = fit_temperature(100 * logits, rng.integers(0, 5, 4000))
    assert found.temperature == HIGHEST
    # Logits that are all the same: any temperature is as good.
    found = fit_temperature(np.zeros((50, 3)), np.arange(50) % 3)
    assert LOWEST <= found.temperature <= HIGHEST
