"""What is said first of a run: each caution is said when it holds, or not."""

import json

import pytest

from dmg_tf.registry import METHODS
from dmg_tf.report.verdict import cautions, sureness

INSIDE = "metrics__in_domain__pred_ens__overall__classes"
OUTSIDE = "metrics__out_of_domain__pred_ens__overall__classes"


def results_of(**changes):
    """A run that nothing speaks against, or with changes."""
    classes = {"images": [50, 50], "predicted": [55, 45]}
    numbers = {
        "images": 100,
        "classes": classes,
        "balanced_accuracy": 0.5,
        "interval": [0.4, 0.6],
    }
    results = {
        "config": {"method": "aggregate", "epochs": 9, "target": "t"},
        "class_names": ["x", "y"],
        "counts": {
            "train": {"a": 90, "b": 90, "c": 90},
            "validation": {"a": 100, "b": 100, "c": 100},
            "out_of_domain": {"t": 100},
        },
        "in_domain_split": "validation",
        "selection": {"rule": "pred_ens", "epoch": 4, "value": 0.9},
        "in_domain": {
            "pred_ens": {"a": 0.9, "b": 0.9, "c": 0.85, "overall": 2.65 / 3}
        },
        "out_of_domain": {"pred_ens": {"t": 0.7, "overall": 0.7}},
        "metrics": {
            "in_domain": {"pred_ens": {"overall": numbers}},
            "out_of_domain": {"pred_ens": {"overall": numbers}},
        },
    }
    results = json.loads(json.dumps(results))
    for path, value in changes.items():
        *way, last = path.split("__")
        place = results
        for name in way:
            place = place[name]
        place[last] = value
    return results


def test_nothing_speaks_against_it():
    assert cautions(results_of()) == []


@pytest.mark.parametrize(
    "changes,words",
    [
        (
            {"out_of_domain__pred_ens": {"t": 0.55, "overall": 0.55}},
            "on t it may be no better than guessing: 50 % is inside",
        ),
        (
            {f"{OUTSIDE}__predicted": [4, 96]},
            "96 of 100 predictions on t are y, which 50 of the images show",
        ),
        (
            {"counts__validation": {"a": 100, "b": 12, "c": 100}},
            "only 212 images chose the epoch, 12 of them from b",
        ),
        ({"selection__epoch": 9}, "epoch 9, the last, is the best"),
        (
            {f"{INSIDE}__images": [90, 10]},
            "classes are unequal (x: 90 images of the sources, y: 10); with "
            "all classes alike, 50 % of the sources are right",
        ),
        (
            {"in_domain__pred_ens__c": 0.6},
            "the source c is far below the others: 60 % against 90 %",
        ),
    ],
)
def test_each_is_said_alone(changes, words):
    (line,) = cautions(results_of(**changes))
    assert line.startswith(words) and "\n" not in line


@pytest.mark.parametrize(
    "changes",
    [
        {"selection__epoch": 9, "average": {"periods": []}},
        {"selection__epoch": 0, "config__epochs": 0},
        # Most images are of the class.
        {
            OUTSIDE: {
                "images": [20, 80],
                "predicted": [12, 88],
            }
        },
        # Eight images say little of a source.
        {
            "in_domain__pred_ens__c": 0.75,
            "in_domain_split": "test",
            "counts__test": {"a": 8, "b": 8, "c": 8},
        },
    ],
)
def test_it_is_not_said_where_it_does_not_hold(changes):
    assert cautions(results_of(**changes)) == []


def with_thresholds(threshold, note=""):
    results = results_of()
    for part in results["metrics"].values():
        numbers = part["pred_ens"]["overall"]
        decided = {"decided": 40, "coverage": 0.4, "risk": 0.1}
        if threshold > 1:
            decided = {"decided": 0, "coverage": 0.0, "risk": None}
        numbers |= {"ece": 0.05, "ece_uncalibrated": 0.11}
        numbers["abstain"] = {"0.05": decided}
    results["calibration"] = {
        "pred_ens": {
            "temperature": 1.5,
            "note": note,
            "thresholds": {"0.05": threshold},
        }
    }
    return results


def test_how_sure_it_is():
    first, second = sureness(with_thresholds(0.7))
    assert first == (
        "Probabilities are off by 5 points on the sources (uncalibrated 11), 5 "
        "points on t (uncalibrated 11); temperature 1.50."
    )
    assert second == (
        "Left to decide where it is at least 70 % sure, it decides 40 % of the "
        "sources (10 % of these wrong), 40 % of t (10 % of these wrong)."
    )


def test_a_model_that_should_decide_nothing():
    first, second = sureness(with_thresholds(2.0, note="not fitted: why"))
    assert first.endswith("temperature 1.50, not fitted: why.")
    assert second.endswith("it should decide nothing by itself.")
    results = with_thresholds(0.7)
    results["calibration"]["pred_ens"]["thresholds"] = {}
    assert len(sureness(results)) == 1
    del results["calibration"]
    assert sureness(results) == []


def test_older_runs_and_runs_without_a_target():
    results = results_of(
        out_of_domain={},
        counts__out_of_domain={},
        selection__epoch=9,
        config__target="none",
    )
    results["in_domain"]["pred_ens"] = dict.fromkeys(
        ("a", "b", "c", "overall"), 0.5
    )
    first, second = cautions(results)
    assert first.startswith("on the sources it may be no better than guessing")
    del results["metrics"]
    assert cautions(results) == [first, second]


def test_a_method_that_keeps_the_last_model_has_no_best_epoch():
    changes = {"selection__epoch": 9, "config__method": "last"}
    assert len(cautions(results_of(**changes))) == 1  # it may be any method
    with METHODS.with_name("last", "tests.training.toy_methods:ALL_HOOKS"):
        assert cautions(results_of(**changes)) == []
