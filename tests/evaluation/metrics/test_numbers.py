"""Each number against scikit-learn, or against a few cases done by hand."""

import csv
import io
import math
import warnings

import numpy as np
import pytest

from dmg_tf.evaluation.metrics.calibration import (
    brier,
    calibration_error,
    of_each,
    softmax,
)
from dmg_tf.evaluation.metrics.classes import (
    balanced_accuracy,
    of_classes,
    worst_class,
)
from dmg_tf.evaluation.metrics.intervals import (
    digits_of,
    percent,
    wilson,
    wilson_of_mean,
)
from dmg_tf.evaluation.metrics.summary import metrics_csv, split_metrics
from dmg_tf.runs.cells import original
from dmg_tf.runs.predictions import Predictions

CLASSES = ("x", "=y", "z", "never")
DOMAINS = ("a", "b")


@pytest.fixture(scope="module")
def sklearn():
    return pytest.importorskip("sklearn.metrics")


def drawn(count=200, seed=0, num_classes=3):
    """Logits and labels; class 3 has no image and class 2 few of b."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, count)
    logits = rng.normal(0, 1.5, (count, len(CLASSES))).astype(np.float32)
    logits[np.arange(count), labels] += 1.2
    ids = (np.arange(count) % 3 == 0).astype(np.int32)
    keep = ~((labels == 2) & (ids == 1))
    return logits[keep], labels[keep].astype(np.int32), ids[keep]


def predictions_of(logits, labels, ids, temperature=1.0):
    further = of_each(logits, labels, temperature)
    return Predictions(
        {"r": logits.argmax(1).astype(np.int32)},
        labels,
        ids,
        {"r": softmax(logits, temperature).max(axis=1)},
        further={name: {"r": values} for name, values in further.items()},
    )


def test_classes_are_those_of_scikit_learn(sklearn):
    logits, labels, ids = drawn()
    found = predictions_of(logits, labels, ids)
    numbers = of_classes(found.confusion("r", 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, images = sklearn.precision_recall_fscore_support(
            labels, found.predicted["r"], labels=range(4), zero_division=0
        )
        balanced = sklearn.balanced_accuracy_score(labels, found.predicted["r"])
    assert numbers["images"] == images.tolist()
    np.testing.assert_allclose(numbers["precision"][:3], precision[:3])
    np.testing.assert_allclose(numbers["recall"][:3], recall[:3])
    np.testing.assert_allclose(numbers["f1"][:3], f1[:3])
    # Of a class without images nothing is known but that it was said.
    assert numbers["recall"][3] is None and numbers["f1"][3] is None
    assert numbers["predicted"][3] > 0 and numbers["precision"][3] == 0
    assert balanced_accuracy(numbers) == pytest.approx(balanced)
    worst = worst_class(numbers, CLASSES)
    assert worst["class"] == CLASSES[int(np.argmin(recall[:3]))]
    assert worst["accuracy"] == pytest.approx(recall[:3].min())


def test_a_class_that_is_never_predicted():
    numbers = of_classes(np.array([[2, 0], [3, 0]]))
    assert numbers["precision"] == [0.4, None]
    assert numbers["recall"] == [1.0, 0.0] and numbers["f1"][1] == 0


def test_brier_is_that_of_scikit_learn(sklearn):
    logits, labels, _ = drawn(num_classes=4)
    shares = softmax(logits)
    np.testing.assert_allclose(shares.sum(1), 1)
    expected = sklearn.brier_score_loss(
        labels, shares, labels=range(4), scale_by_half=False
    )
    assert brier(shares, labels).mean() == pytest.approx(expected)


def test_calibration_error_is_that_of_the_bins(sklearn):
    calibration = pytest.importorskip("sklearn.calibration")
    logits, labels, _ = drawn(500)
    shares = softmax(logits)
    sure, hits = shares.max(1), shares.argmax(1) == labels
    right, said = calibration.calibration_curve(hits, sure, n_bins=15)
    counts, _ = np.histogram(sure, np.linspace(0, 1, 16))
    counts = counts[counts > 0]
    expected = np.sum(counts * np.abs(right - said)) / counts.sum()
    assert calibration_error(sure, hits) == pytest.approx(expected)


def test_calibration_error_by_hand():
    # Two of a bin, and one that is sure and wrong; 0.2 closes the third bin.
    sure, hits = np.array([0.5, 0.52, 1.0]), np.array([True, False, False])
    expected = (abs(1 - 1.02) + 1.0) / 3
    assert calibration_error(sure, hits) == pytest.approx(expected)
    pair = np.array([0.19, 0.2])
    assert calibration_error(pair, np.array([0, 1])) == pytest.approx(0.61 / 2)


@pytest.mark.parametrize("hits,count", [(5, 10), (4, 4), (0, 12), (371, 700)])
def test_wilson_is_that_of_scipy(hits, count):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
    found = wilson(hits / count, count)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_nothing_is_known_of_no_images():
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_the_interval_of_a_mean():
    assert wilson_of_mean([0.5], [10]) == wilson(0.5, 10)
    assert wilson_of_mean([0.5, 0.5], [10, 10]) == wilson(0.5, 20)
    # A domain of few images keeps the mean uncertain.
    low, high = wilson_of_mean([0.5, 0.5], [4, 100_000])
    assert (low, high) == pytest.approx(wilson(0.5, 16), abs=1e-3)


def test_the_interval_of_a_mean_covers():
    rng = np.random.default_rng(0)
    shares, counts = (0.9, 0.6, 0.75), (30, 60, 20)
    inside = 0
    for _ in range(2000):
        drawn = [
            rng.binomial(n, p) / n for n, p in zip(counts, shares, strict=True)
        ]
        low, high = wilson_of_mean(drawn, counts)
        inside += low <= 0.75 <= high
    # Three standard errors of 2,000 draws at 95 %.
    assert inside / 2000 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize(
    "share,count,text",
    [
        (0.25, 4, "25"),
        (0.5329, 700, "53"),
        (0.5329, 20_000, "53.3"),
        (0.53291, 1_000_000, "53.29"),
    ],
)
def test_decimals_follow_the_interval(share, count, text):
    assert percent(share, wilson(share, count)) == text


def test_no_interval_no_rounding():
    assert digits_of(0.5, 0.5) == 2 and percent(0.25) == "25.00"


def test_all_of_a_split():
    logits, labels, ids = drawn()
    found = predictions_of(logits, labels, ids, temperature=2.0)
    row = split_metrics(found, DOMAINS, CLASSES)["r"]
    assert list(row) == ["a", "b", "overall"]
    accuracy = found.accuracy(DOMAINS)["r"]
    for domain, numbers in row.items():
        assert numbers["accuracy"] == accuracy[domain]
        low, high = numbers["interval"]
        assert low < numbers["accuracy"] < high
        assert numbers["brier"] != numbers["brier_uncalibrated"]
        assert numbers["ece"] != numbers["ece_uncalibrated"]
    # z has no image in b; of all images together it has.
    assert row["b"]["classes"]["recall"][2] is None
    assert row["overall"]["classes"]["recall"][2] is not None
    assert row["overall"]["images"] == len(labels)
    worst = min(DOMAINS, key=accuracy.get)
    assert row["overall"]["worst_domain"]["domain"] == worst


def test_domains_without_images_and_targets():
    logits, labels, ids = drawn()
    some = predictions_of(logits, labels, ids).select(ids == 0)
    assert list(split_metrics(some, DOMAINS, CLASSES)["r"]) == ["a", "overall"]
    target = predictions_of(logits, labels, np.full(len(ids), -1))
    row = split_metrics(target, ["t"], CLASSES)["r"]
    assert list(row) == ["t", "overall"]
    assert row["t"]["interval"] == row["overall"]["interval"]


def test_csv_has_a_line_a_number():
    logits, labels, ids = drawn()
    found = predictions_of(logits, labels, ids)
    metrics = {"in_domain": split_metrics(found, DOMAINS, CLASSES)}
    text = metrics_csv(
        {
            "in_domain_split": "validation",
            "class_names": CLASSES,
            "metrics": metrics,
        }
    )
    head, *rows = map(original, csv.reader(io.StringIO(text)))
    assert head == "split domain rule class metric value low high n".split()
    lines = {tuple(row[:5]): row[5:] for row in rows}
    assert len(lines) == len(rows)
    numbers = metrics["in_domain"]["r"]["a"]
    value, low, high, n = lines["validation", "a", "r", "", "accuracy"]
    assert float(value) == numbers["accuracy"] and int(n) == numbers["images"]
    assert [float(low), float(high)] == numbers["interval"]
    value, low, high, n = lines["validation", "a", "r", "=y", "recall"]
    assert float(value) == numbers["classes"]["recall"][1]
    assert int(n) == numbers["classes"]["images"][1]
    assert (float(low), float(high)) == wilson(float(value), int(n))
    # Nothing is written of what there is not.
    assert ("validation", "b", "r", "z", "recall") not in lines
    assert ("validation", "a", "r", "never", "f1") not in lines
    domains = {row[1] for row in rows if row[4] == "worst_domain_accuracy"}
    assert len(domains) == 1 and domains < set(DOMAINS)
