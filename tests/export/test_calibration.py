"""Probabilities are calibrated alike, whatever a model is predicted by."""

import json

import numpy as np
import pytest
import tensorflow as tf

import dmg_tf
from dmg_tf.evaluation.metrics.calibration import softmax
from dmg_tf.export.run import export_run
from dmg_tf.predict.predictor import load_predictor
from dmg_tf.registry import METHODS
from dmg_tf.rules import Calibration
from dmg_tf.runs.folder import load_run_model
from tests.export.helpers import (
    SIZE,
    assert_close,
    make,
    prepared,
    some_images,
    write_run,
)

pytestmark = pytest.mark.usefixtures("with_stub")
TEMPERATURES = {
    "pred_ens": 3.0,
    "mask_ens": 0.5,
    "mask/a": 2.0,
    "mask/b": 4.0,
    "mask/c": 0.25,
}
IMAGES = some_images(3, SIZE, SIZE)


@pytest.fixture(scope="module")
def model(with_stub):
    model = make("dmg", "stub")
    model.calibration = {
        rule: Calibration(temperature, 40)
        for rule, temperature in TEMPERATURES.items()
    }
    return model


@pytest.fixture(scope="module")
def run_dir(model, tmp_path_factory):
    return write_run(model, tmp_path_factory.mktemp("calibrated") / "run")


def expected(model, rule):
    logits = model.logits(prepared(model, IMAGES), rule).numpy()
    own = softmax(logits, TEMPERATURES[rule])
    assert np.abs(own - softmax(logits)).max() > 0.01
    return logits, own


def test_the_file_knows_it_without_results(model, run_dir):
    assert load_run_model(run_dir).calibration == model.calibration
    # A plain network, or one of before, says its probabilities as they come.
    config = make("aggregate", "stub").get_config()
    assert config.pop("calibration") == {}
    again = METHODS["aggregate"].load().from_config(config)
    assert again.calibration_of("x").temperature == 1


@pytest.mark.parametrize("rule", TEMPERATURES)
def test_a_run_folder(model, run_dir, rule):
    _, shares = expected(model, rule)
    found = dmg_tf.load(run_dir, rule).predict(IMAGES)
    np.testing.assert_allclose(found.probabilities, shares, atol=1e-5)


def test_a_saved_model_and_every_signature(model, run_dir):
    out = run_dir.with_name("saved")
    export_run(run_dir, out)
    metadata = json.loads((out / "assets" / "metadata.json").read_text())
    known = metadata["calibration"]
    assert {r: c["temperature"] for r, c in known.items()} == TEMPERATURES
    served = tf.saved_model.load(str(out)).signatures
    for signature, rule in (
        ("serving_default", "pred_ens"),
        ("mask_ens", "mask_ens"),
    ):
        logits, shares = expected(model, rule)
        answer = served[signature](images=IMAGES)
        assert_close(answer["logits"], logits)
        np.testing.assert_allclose(answer["probabilities"], shares, atol=1e-5)
    answer = served["per_mask"](images=IMAGES)
    for i, domain in enumerate("abc"):
        logits, shares = expected(model, f"mask/{domain}")
        assert_close(answer["logits"][:, i], logits)
        found = answer["probabilities"][:, i]
        np.testing.assert_allclose(found, shares, atol=1e-5)
    # That of a known domain is not calibrated.
    ids = np.zeros(3, np.int32)
    answer = served["known_domain"](images=IMAGES, domain_ids=ids)
    plain = softmax(answer["logits"].numpy())
    np.testing.assert_allclose(answer["probabilities"], plain, atol=1e-5)
    for rule in ("pred_ens", "mask_ens", "mask/b"):
        _, shares = expected(model, rule)
        found = dmg_tf.load(out, rule).predict(IMAGES)
        np.testing.assert_allclose(found.probabilities, shares, atol=1e-5)
    assert load_predictor(out).facts.calibration == model.calibration


@pytest.mark.parametrize("fold", [False, True])
def test_single_files(model, run_dir, fold, tmp_path):
    rule = "mask_ens" if fold else "pred_ens"
    logits, shares = expected(model, rule)
    path = tmp_path / "model.tflite"
    metadata = export_run(run_dir, path, format="tflite", fold=fold)
    own = {rule: model.calibration[rule].to_json()}
    assert metadata["calibration"] == own
    runner = tf.lite.Interpreter(str(path)).get_signature_runner()
    answers = [runner(images=image[np.newaxis]) for image in IMAGES]
    found = np.concatenate([a["probabilities"] for a in answers])
    np.testing.assert_allclose(found, shares, atol=1e-4)
    found = np.concatenate([a["logits"] for a in answers])
    np.testing.assert_allclose(found, logits, atol=1e-3)


def test_onnx(model, run_dir, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    export_run(run_dir, path, format="onnx", prediction_rule="mask/b")
    session = runtime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(["probabilities"], {"images": IMAGES})
    np.testing.assert_allclose(found, expected(model, "mask/b")[1], atol=1e-4)
