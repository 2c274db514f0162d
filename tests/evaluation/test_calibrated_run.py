"""A run fits its calibration on its sources, and says it in every file."""

import csv
import json

import numpy as np
import pytest

from dmg_tf.commands import train
from dmg_tf.config import RunConfig
from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.evaluation.images import RunImages, images_of_run
from dmg_tf.evaluation.metrics.calibration import softmax
from dmg_tf.evaluation.metrics.temperature import FEW, fit_temperature
from dmg_tf.evaluation.scoring import evaluate_run
from dmg_tf.rules import calibrations_of
from dmg_tf.runs.folder import load_run_model
from tests.conftest import write_images

pytestmark = pytest.mark.usefixtures("with_stub")


@pytest.fixture(scope="module", params=["dmg", "fusion"])
def run_dir(request, tmp_path_factory, with_stub):
    """The folder of a run; the images are noise, so that some are wrong."""
    root = tmp_path_factory.mktemp(request.param)
    data = write_images(root / "data", "abc", "xyz", 60, size=8, seed=1)
    argv = ["--data", str(data), "--target", "c", "--backbone", "stub"]
    argv += ["--weights", "none", "--image-size", "32", "--epochs", "1"]
    argv += ["--method", request.param, "--output", str(root / "run")]
    argv += ["--cache", "memory"]
    assert train.main(argv) == 0
    return root / "run"


@pytest.fixture(scope="module")
def results(run_dir):
    return json.loads((run_dir / "results.json").read_text())


def test_it_is_that_of_the_sources_validation_images(run_dir, results):
    config, data = images_of_run(results)
    model = load_run_model(run_dir)
    assert len(data.validation) >= FEW
    rules = [r.name for r in model.rules() if r.shown and not r.needs_domain]
    assert list(model.calibration) == rules
    images = RunImages(config, data, model)
    for inputs, labels in images.validation().unbatch().batch(1000):
        for rule in rules:
            logits = model.logits(inputs["image"], rule).numpy()
            own = fit_temperature(logits, labels.numpy())
            known = model.calibration[rule]
            assert known.temperature == pytest.approx(own.temperature, rel=1e-3)
            assert known.images == own.images
    assert any(c.temperature != 1 for c in model.calibration.values())


def test_all_files_say_the_same(run_dir, results):
    model = load_run_model(run_dir)
    assert calibrations_of(results["calibration"]) == model.calibration
    config, data = images_of_run(results)
    images = RunImages(config, data, model)
    with open(run_dir / "predictions.csv", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["split"] == "out_of_domain"
        ]
    (batch,) = images.target().unbatch().batch(1000)
    for rule, own in model.calibration.items():
        logits = model.logits(batch[0]["image"], rule).numpy()
        shares = softmax(logits, own.temperature)
        found = np.float64([row[f"{rule}/probability"] for row in rows])
        np.testing.assert_allclose(found, shares.max(1), atol=1e-4)
        numbers = results["metrics"]["out_of_domain"][rule]["c"]
        truth = np.eye(3)[batch[1].numpy()]
        for name, said in (
            ("brier", shares),
            ("brier_uncalibrated", softmax(logits)),
        ):
            expected = np.square(said - truth).sum(1).mean()
            assert numbers[name] == pytest.approx(expected, abs=1e-4)


def test_metrics_csv_is_that_of_the_results(run_dir, results):
    with open(run_dir / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == {"validation", "out_of_domain"}
    assert {row["rule"] for row in rows} == set(results["in_domain"])
    for row in rows:
        if row["metric"] != "accuracy":
            continue
        part = "out_of_domain" if row["split"] != "validation" else "in_domain"
        share = results[part][row["rule"]][row["domain"]]
        assert float(row["value"]) == share
        assert float(row["low"]) <= share <= float(row["high"])


def test_scoring_again_fits_nothing(run_dir, results, monkeypatch):
    def never(*args):
        raise AssertionError

    monkeypatch.setattr("dmg_tf.evaluation.calibrating.fit_temperature", never)
    again = evaluate_run(run_dir, RunConfig.read(run_dir))
    for key in ("calibration", "metrics", "in_domain", "out_of_domain"):
        assert again[key] == results[key]


def test_a_batch_of_logits_is_in_memory_at_most(run_dir, results):
    config, data = images_of_run(results)
    model = load_run_model(run_dir)
    sizes = []

    def per_image(rule, logits, labels):
        sizes.append(logits.shape)
        assert len(logits) == len(labels)
        return {"largest": logits.max(axis=1)}

    evaluator = Evaluator(model, ["pred_ens"], per_image=per_image)
    found = evaluator(RunImages(config, data, model).target())
    assert sum(count for count, _ in sizes) == len(data.out_of_domain)
    assert max(count for count, _ in sizes) <= config.batch_size
    assert found.further["largest"]["pred_ens"].shape == found.labels.shape
