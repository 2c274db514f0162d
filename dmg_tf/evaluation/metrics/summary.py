"""All numbers on the predictions of a split: for `results.json` and CSV."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dmg_tf.evaluation.metrics.abstaining import coverage_and_risk
from dmg_tf.evaluation.metrics.calibration import calibration_error
from dmg_tf.evaluation.metrics.classes import (
    balanced_accuracy,
    of_classes,
    worst_class,
)
from dmg_tf.evaluation.metrics.intervals import wilson, wilson_of_mean
from dmg_tf.rules import Calibration
from dmg_tf.runs.cells import csv_writer, inert
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL, Predictions

_COLUMNS = "split domain rule class metric value low high n".split()
_OF_ALL = (
    "balanced_accuracy",
    "ece",
    "ece_uncalibrated",
    "brier",
    "brier_uncalibrated",
)
_OF_CLASS = {"precision": "predicted", "recall": "images", "f1": None}


def split_metrics(
    predictions: Predictions,
    domains: Sequence[str],
    class_names: Sequence[str],
    calibration: Mapping[str, Calibration] | None = None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the numbers of a split: {rule: {domain or "overall": numbers}}.

    As in the accuracies, "overall" accuracy is the mean over domains. All else
    of it is of the domains' images together. docs/design.md lists the numbers.

    Args:
        predictions: With what `calibration.of_each` says of each image.
        domains: Names by domain id; one name for all images of a target.
        class_names: The C classes.
        calibration: {rule: its `Calibration`}, with thresholds of abstaining.
    """
    ids = np.maximum(predictions.domain_ids, 0)
    of_domains = {
        name: ids == index
        for index, name in enumerate(domains)
        if np.any(ids == index)
    }
    table = {}
    for rule in predictions.predicted:
        own = (calibration or {}).get(rule, Calibration())
        row = {
            name: _numbers(predictions, rule, where, class_names, own)
            for name, where in of_domains.items()
        }
        everywhere = np.ones(len(ids), bool)
        overall = _numbers(predictions, rule, everywhere, class_names, own)
        shares = {name: numbers["accuracy"] for name, numbers in row.items()}
        counts = [numbers["images"] for numbers in row.values()]
        worst = min(shares, key=shares.get)
        row[OVERALL] = {
            **overall,
            "accuracy": float(np.mean(list(shares.values()))),
            "interval": list(wilson_of_mean(list(shares.values()), counts)),
            "worst_domain": {
                "domain": worst,
                "accuracy": shares[worst],
                "images": row[worst]["images"],
            },
        }
        table[rule] = row
    return table


def _numbers(predictions, rule, where, class_names, own) -> dict[str, Any]:
    chosen = predictions.select(where)
    hits = chosen.predicted[rule] == chosen.labels
    of_class = of_classes(chosen.confusion(rule, len(class_names)))
    further = {name: by_rule[rule] for name, by_rule in chosen.further.items()}
    accuracy = float(hits.mean())
    return {
        "images": len(hits),
        "accuracy": accuracy,
        "interval": list(wilson(accuracy, len(hits))),
        "balanced_accuracy": balanced_accuracy(of_class),
        "worst_class": worst_class(of_class, class_names),
        "ece": calibration_error(chosen.probabilities[rule], hits),
        "ece_uncalibrated": calibration_error(further["raw_confidence"], hits),
        "brier": float(further["brier"].mean()),
        "brier_uncalibrated": float(further["raw_brier"].mean()),
        "abstain": {
            rate: coverage_and_risk(chosen.probabilities[rule], hits, threshold)
            for rate, threshold in own.thresholds.items()
        },
        "classes": of_class,
    }


def metrics_csv(results: Mapping[str, Any]) -> str:
    """Returns all numbers of a run, a line each.

    `split`, `domain`, `rule` and `class` say what it is of; a class is named
    where it is of that class alone. `low` and `high` are the 95 % interval of
    a share of `n` images. coverage@RATE and risk@RATE are of abstaining where
    at most so many decisions are to be wrong.

    Args:
        results: What `results.json` holds.
    """
    text = io.StringIO(newline="")
    writer = csv_writer(text)
    writer.writerow(_COLUMNS)
    for part, split in (
        ("in_domain", results["in_domain_split"]),
        (OUT_OF_DOMAIN, OUT_OF_DOMAIN),
    ):
        for rule, row in results["metrics"].get(part, {}).items():
            for domain, numbers in row.items():
                for line in _lines(numbers, domain, results["class_names"]):
                    where, class_name, *number = line
                    cells = (split, where, rule, class_name, *number)
                    writer.writerow(inert(cells))
    return text.getvalue()


def _lines(numbers, domain, class_names) -> Iterator[tuple]:
    """Yields (domain, class, metric, value, low, high, n)."""
    count = numbers["images"]
    accuracy = numbers["accuracy"]
    yield domain, "", "accuracy", accuracy, *numbers["interval"], count
    for metric in _OF_ALL:
        yield domain, "", metric, numbers[metric], "", "", count
    for rate, found in numbers["abstain"].items():
        share, decided = found["coverage"], found["decided"]
        known = wilson(share, count)
        yield domain, "", f"coverage@{rate}", share, *known, count
        if decided:
            share = found["risk"]
            known = wilson(share, decided)
            yield domain, "", f"risk@{rate}", share, *known, decided
    worst = numbers.get("worst_domain")
    if worst:
        share, of = worst["accuracy"], worst["images"]
        name = worst["domain"]
        yield name, "", "worst_domain_accuracy", share, *wilson(share, of), of
    worst = numbers["worst_class"]
    share, of = worst["accuracy"], worst["images"]
    name, metric = worst["class"], "worst_class_accuracy"
    yield domain, name, metric, share, *wilson(share, of), of
    of_class = numbers["classes"]
    for i, name in enumerate(class_names):
        for metric, counted in _OF_CLASS.items():
            value = of_class[metric][i]
            if value is None:
                continue
            if counted is None:
                yield domain, name, metric, value, "", "", of_class["images"][i]
            else:
                of = of_class[counted][i]
                yield domain, name, metric, value, *wilson(value, of), of
