"""The folder for a model hub: what its card says holds, and its code runs."""

import contextlib
import io
import json
import re

import keras
import numpy as np
import PIL.Image
import pytest
import yaml

import dmg_tf  # noqa: F401  (registers what the saved models hold)
from dmg_tf.commands import export
from dmg_tf.errors import UserError
from dmg_tf.experiment import run_training
from dmg_tf.export.hub import model_card
from dmg_tf.export.run import export_run
from dmg_tf.runs.folder import load_run_model
from tests.training.runs import short_run


@pytest.fixture(scope="module")
def run(with_stub, tiny_folder, tmp_path_factory):
    """Returns the result of a short run."""
    output = tmp_path_factory.mktemp("hub") / "run"
    with contextlib.redirect_stderr(io.StringIO()):
        return run_training(
            short_run(tiny_folder, output, method="dmg", epochs=1)
        )


@pytest.fixture(scope="module")
def exported(run):
    """Returns what the command writes for the run."""
    out = run.run_dir.parent / "my model"
    argv = [str(run.run_dir), str(out), "--format", "hub"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert export.main(argv) == 0
    return out


def test_the_files(run, exported, tiny_folder):
    assert {path.name for path in exported.iterdir()} == {
        *("README.md", "config.json", "metrics.csv", "checksums.json"),
        *("model.keras", "saved_model"),
    }
    for name in ("README.md", "config.json", "metrics.csv"):
        text = (exported / name).read_text("utf-8")
        assert str(tiny_folder) not in text and str(run.run_dir) not in text
    with pytest.raises(UserError, match="is not empty"):
        export_run(run.run_dir, exported, format="hub")


def test_the_keras_model_is_the_runs_without_an_optimizer(run, exported):
    model = keras.models.load_model(exported / "model.keras")
    whole = load_run_model(run.run_dir)
    assert not model.compiled and whole.compiled
    assert model.calibration == whole.calibration
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    np.testing.assert_array_equal(model(images), whole(images))


def test_the_card_says_what_the_results_say(run, exported):
    card = (exported / "README.md").read_text("utf-8")
    _, head, body = card.split("---\n", 2)
    head = yaml.safe_load(head)
    inside, outside = head["model-index"][0]["results"]
    for part, found in (("in_domain", inside), ("out_of_domain", outside)):
        (metric,) = found["metrics"]
        share = run.results[part]["pred_ens"]["overall"]
        assert metric["value"] == pytest.approx(share, abs=5e-5)
    assert "c, never seen" in outside["dataset"]["name"]
    images = run.results["counts"]["out_of_domain"]["c"]
    assert re.search(rf"\| c \| never seen \| {images} \|", body)
    for name in run.results["class_names"]:
        assert name in body


def test_the_card_of_a_final_model_claims_no_unseen_domain(run):
    results = json.loads(json.dumps(run.results))
    results["config"]["target"] = "none"
    results["out_of_domain"] = {}
    results["counts"]["out_of_domain"] = {}
    metadata = {
        "class_names": ["x", "y"],
        "source_domains": ["a"],
        "image_size": 32,
        "backbone": "stub",
    }
    card = model_card(results, metadata, "final")
    assert "no unseen domain was measured" in card
    assert "never seen" not in card
    assert "trained on a, and" in card


def test_its_code_runs(run, exported, monkeypatch, capsys):
    (code,) = re.findall(
        r"```python\n(.*?)```", (exported / "README.md").read_text(), re.DOTALL
    )
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(exported.parent / "image.jpg")
    monkeypatch.chdir(exported.parent)
    exec(code, {})
    name, probability = capsys.readouterr().out.split()
    assert name in run.results["class_names"]
    assert 1 / len(run.results["class_names"]) <= float(probability) <= 1
