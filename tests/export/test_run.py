"""Exporting: every method, the command line, and the saved Keras model."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.commands import export, train
from dmg_tf.errors import UserError
from dmg_tf.evaluation.scoring import dtype_policy
from dmg_tf.export.request import FORMATS, check_request
from dmg_tf.export.run import export_run
from dmg_tf.export.saved_model import export_saved_model
from dmg_tf.training.optimizers import Adam
from dmg_tf.training.schedules import EpochSchedule
from tests.conftest import ROOT
from tests.export.helpers import (
    CLASSES,
    COMMON,
    DOMAINS,
    KNOWN,
    assert_answer,
    assert_close,
    error_of,
    finish,
    make,
    prepared,
    run_python,
    some_images,
    write_run,
)
from tests.helpers import methods_that_predict_otherwise, random_batch

# === Methods and backbones ===


@pytest.mark.parametrize(
    "method, rule, more",
    [
        ("aggregate", None, set()),
        ("metareg", None, set()),
        ("epi_fcr", None, set()),
        ("tf_cnn", None, {*KNOWN, "per_domain"}),
        ("d_mtae", None, set()),
        ("dica", None, set()),
        ("multi_headed", None, {*KNOWN, "per_head"}),
        ("fusion", "head/b", {*KNOWN, "per_head", "pred_ens"}),
        ("mixstyle", None, set()),
        ("sagnet", None, set()),
        ("dmg", "mask/c", {*KNOWN, "per_mask", "mask_ens"}),
    ],
)
def test_every_way_to_predict(with_stub, method, rule, more, tmp_path):
    model = make(method, "stub")
    results = {"class_names": CLASSES}
    export_saved_model(model, results, tmp_path / "out", prediction_rule=rule)
    served = tf.saved_model.load(str(tmp_path / "out")).signatures
    assert set(served) == COMMON | more
    images = some_images()
    inputs = prepared(model, images)
    expected = model.logits(inputs, rule or "pred_ens")
    assert_answer(served["serving_default"](images=images), expected)
    if "per_head" in more:
        each = [model.logits(inputs, f"head/{d}") for d in DOMAINS]
        answer = served["per_head"](images=images)
        assert_answer(answer, np.stack(each, axis=1))
        ids = np.array([2, 0, 1, 2], np.int32)
        expected = model.logits(inputs, "known_domain", ids)
        answer = served["known_domain"](images=images, domain_ids=ids)
        assert_answer(answer, expected)


def test_no_method_is_forgotten():
    marks = test_every_way_to_predict.pytestmark
    cases = next(mark for mark in marks if mark.name == "parametrize")
    tested = {case[0] for case in cases.args[1]}
    # The others export what Aggregate does.
    missing = set(methods_that_predict_otherwise()) - tested
    assert not missing, f"add {missing} to test_every_way_to_predict"


def test_a_16_bit_run_is_exported_in_float32(with_stub, tmp_path):
    with dtype_policy("mixed_bfloat16"):
        model = make("aggregate", "stub")
    run = write_run(model, tmp_path / "run")
    export_run(run, tmp_path / "out")
    plain = make("aggregate", "stub")
    plain.set_weights(model.get_weights())
    images = some_images()
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    assert_answer(loaded.predict(images), plain.logits(prepared(plain, images)))


# === The command line ===


def test_mistakes(with_stub, tmp_path, capsys):
    run_dir = write_run(make("dmg", "stub"), tmp_path / "run")
    out, full = tmp_path / "out", tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    for args, message in [
        ((run_dir, full), "is not empty"),
        ((run_dir, full / "file"), "is a file"),
        ((run_dir, full / "file" / "out"), "cannot write"),
        ((tmp_path / "no", out), "not finished"),
        ((run_dir, out, "--prediction-rule", "mask_en"), "mean 'mask_ens'?"),
        (
            (run_dir, out, "--prediction-rule", "known_domain"),
            "the signature 'known_domain' takes it",
        ),
        (
            (run_dir, out, "--fold", "--prediction-rule", "pred_ens"),
            "a folded model predicts by 'mask_ens'",
        ),
    ]:
        assert message in error_of(capsys, *args)
    assert {path.name for path in tmp_path.iterdir()} == {"full", "run"}
    with pytest.raises(SystemExit, match="2"):
        export.main([str(run_dir), str(out), "--precision", "int4"])


@pytest.mark.parametrize(
    "args, message",
    [
        (("out", "--format", "tflite"), "ends in .tflite, got out"),
        (("x.tflite", "--format", "onnx"), "ends in .onnx, got x.tflite"),
        (
            ("out", "--precision", "int8"),
            "saved_model has no --precision int8; --format tflite has",
        ),
        (
            ("x.onnx", "--format", "onnx", "--precision", "int8"),
            "onnx has no --precision int8; --format tflite has",
        ),
        (("out", "--data", "x"), "--data is for --precision int8"),
        (
            ("x.tflite", "--format", "tflite", "--calibration-images", "9"),
            "--calibration-images is for --precision int8",
        ),
        (
            ("x", "--precision", "int8", "--calibration-images", "0"),
            "must be at least 1, got 0",
        ),
    ],
)
def test_mistakes_that_need_no_model(args, message, capsys):
    assert message in error_of(capsys, "no run", *args)


def test_every_format_is_there():
    for name, chosen in FORMATS.items():
        assert callable(chosen.load()), name
    with pytest.raises(UserError, match="unknown format 'onx'.*mean 'onnx'"):
        check_request("onx", pathlib.Path("x"), "float32")


def test_mistakes_of_callers(with_stub, tmp_path):
    model = make("aggregate", "stub")
    results = {"class_names": CLASSES}
    with pytest.raises(
        UserError, match="Aggregate has nothing to fold; export it"
    ):
        export_saved_model(model, results, tmp_path / "o", fold=True)
    with pytest.raises(ValueError, match="1 class names for a model of 5"):
        export_saved_model(model, {"class_names": ["v"]}, tmp_path / "o")
    with pytest.raises(UserError, match="unknown precision 'float61'.*float16"):
        export_saved_model(model, results, tmp_path / "o", precision="float61")


def test_nothing_half_written_stays(with_stub, tmp_path, monkeypatch):
    def full_disk(module, path, signatures):
        pathlib.Path(path).mkdir()
        (pathlib.Path(path) / "saved_model.pb").touch()
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    model = make("aggregate", "stub")
    with pytest.raises(UserError, match="out: the disk is full"):
        export_saved_model(model, {"class_names": CLASSES}, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_train_exports(with_stub, tiny_folder, tmp_path):
    flags = ["--backbone", "stub", "--weights", "none", "--image-size", "32"]
    where = ["--data", tiny_folder, "--target", "c", "--output", tmp_path / "r"]
    # The method with the fewest signatures, which is quick to export.
    flags += ["--method", "aggregate", "--epochs", "1", "--export"]
    flags += ["--cache", "memory"]
    args = [*map(str, where), *flags]
    assert train.main(args) == 0
    saved = tmp_path / "r" / "saved_model"
    metadata = json.loads((saved / "assets" / "metadata.json").read_text())
    assert metadata["training"]["config"]["target"] == "c"
    assert metadata["training"]["counts"]["out_of_domain"] == {"c": 36}
    served = tf.saved_model.load(str(saved))
    model = keras.models.load_model(tmp_path / "r" / "model.keras")
    images = some_images()
    expected = model.logits(prepared(model, images))
    assert_close(served.predict(images)["logits"], expected)
    # A run that went on is exported again, in place of what it was.
    (saved / "old").touch()
    assert train.main([*args, "--resume"]) == 0
    assert not (saved / "old").exists()
    assert (saved / "saved_model.pb").exists()


# === The saved Keras model ===

FRESH = """
import sys
sys.path.insert(0, sys.argv[1])
exec(sys.argv[2])  # the imports, in one order or the other
import numpy as np
import tensorflow as tf
from dmg_tf.registry import BACKBONES
BACKBONES.register("stub", "tests.stubs:STUB_SPEC")
model = keras.models.load_model(sys.argv[3], safe_mode=True)
data = np.load(sys.argv[4])
inputs = {"image": data["image"], "domain_ids": data["domain_ids"]}
before = model.logits(inputs["image"], "pred_ens").numpy()
model.run_eagerly = True
for mask in model.domain_masks.values():
    mask.seed_generator.state.assign([7, 1])
batch = tf.data.Dataset.from_tensors((inputs, data["labels"]))
loss = model.fit(batch, verbose=0, shuffle=False).history["loss"][0]
after = model.logits(inputs["image"], "pred_ens").numpy()
steps = int(model.optimizer.iterations)
np.savez(sys.argv[5], before=before, after=after, loss=loss, steps=steps)
"""


@pytest.mark.slow
def test_a_keras_model_goes_on_in_a_fresh_process(with_stub, tmp_path):
    model = make("dmg", "stub")
    optimizer = Adam(EpochSchedule(1e-3, "exponential", 1), l2=1e-5)
    model.compile(optimizer=optimizer, run_eagerly=True)
    inputs, labels = random_batch(batch=3, classes=len(CLASSES))
    batch = tf.data.Dataset.from_tensors((inputs, labels))
    model.fit(batch, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "in.npz", labels=labels, **inputs)
    files = [tmp_path / name for name in ("model.keras", "in.npz")]
    processes = [
        run_python(FRESH, ROOT, imports, *files, out, cwd=tmp_path)
        for imports, out in (
            ("import keras; import dmg_tf", tmp_path / "0.npz"),
            ("import dmg_tf; import keras", tmp_path / "1.npz"),
        )
    ]
    before = model.logits(inputs["image"]).numpy()
    # Where the draws go on is a matter of checkpoints; see test_resume.
    for mask in model.domain_masks.values():
        mask.seed_generator.state.assign([7, 1])
    loss = model.fit(batch, verbose=0, shuffle=False).history["loss"][0]
    after = model.logits(inputs["image"]).numpy()
    for index, process in enumerate(processes):
        finish(process)
        found = np.load(tmp_path / f"{index}.npz")
        assert_close(found["before"], before)
        # Optimizer and schedule were kept: the next step is the same.
        assert found["steps"] == 2
        assert found["loss"] == pytest.approx(loss, rel=1e-4)
        np.testing.assert_allclose(found["after"], after, atol=1e-3)
