"""LiteRT files: the same answers, in one file, from integers too."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.commands import export
from dmg_tf.errors import UserError
from dmg_tf.export.calibration import COMPARED, calibration_sample
from dmg_tf.export.tflite import export_tflite, predict
from tests.conftest import ROOT, write_images
from tests.export import helpers as export_helpers
from tests.export.helpers import (
    CLASSES,
    SIZE,
    assert_close,
    error_of,
    finish,
    make,
    prepared,
    run_python,
    some_images,
    write_run,
)

RESULTS = {"class_names": CLASSES}


def images_of_size(batch=3):
    return some_images(batch, SIZE, SIZE)


def assert_predicts(path, model, rule, share=1e-5):
    export_helpers.assert_predicts(predict, path, model, rule, share)


# === Floats ===


@pytest.mark.parametrize(
    "method, rule, fold",
    [
        ("aggregate", "pred_ens", False),
        ("multi_headed", "head/b", False),
        ("dmg", "pred_ens", False),
        ("dmg", "mask/c", False),
        ("dmg", "mask_ens", True),
    ],
)
def test_every_method(with_stub, method, rule, fold, tmp_path):
    model = make(method, "stub")
    out = tmp_path / "a b" / "ŝerĉo.tflite"
    metadata = export_tflite(
        model, RESULTS, out, prediction_rule=rule, fold=fold
    )
    assert_predicts(out, model, rule)
    beside = out.with_name("ŝerĉo.tflite.json")
    assert json.loads(beside.read_text("utf-8")) == metadata
    assert metadata["format"] == "tflite" and metadata["folded"] == fold
    assert metadata["class_names"] == CLASSES
    assert metadata["prediction_rule"] == rule
    found = metadata["comparison"]
    assert found["images"] == found["same_class"] == 4
    assert 0 <= found["logits"] < 1e-5 * found["largest_logit"]
    assert {path.name for path in out.parent.iterdir()} == {
        out.name,
        beside.name,
    }


@pytest.mark.slow
def test_half_the_size(tmp_path):
    model = make("dmg", "resnet18")
    out = tmp_path / "out.tflite"
    export_tflite(model, RESULTS, out, precision="float16", fold=True)
    assert out.stat().st_size < 0.52 * 4 * model.count_params()
    assert_predicts(out, model, "mask_ens", share=5e-3)


ALONE = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
import numpy as np
from ai_edge_litert.interpreter import Interpreter
runner = Interpreter(sys.argv[1]).get_signature_runner()
answers = [runner(images=image[None]) for image in np.load(sys.argv[2])]
for answer in answers:
    assert answer["class_id"] == answer["logits"].argmax()
np.save(sys.argv[3], np.concatenate([a["probabilities"] for a in answers]))
"""


def test_litert_alone_is_enough(with_stub, tmp_path):
    model = make("dmg", "stub")
    out = tmp_path / "out.tflite"
    export_tflite(model, RESULTS, out)
    images = images_of_size()
    np.save(tmp_path / "in.npy", images)
    files = (out, tmp_path / "in.npy", tmp_path / "found.npy")
    finish(run_python(ALONE, *files, cwd=tmp_path))
    expected = tf.nn.softmax(model.logits(prepared(model, images)))
    assert_close(np.load(files[2]), expected)
    for place in (ROOT, tmp_path, "site-packages"):
        assert str(place).encode() not in out.read_bytes()


# === Integers ===


@pytest.fixture
def run_on_images(with_stub, tiny_folder, tmp_path):
    """A run on the tiny folder whose target is its last domain."""
    model = make("dmg", "stub", domains=("a", "b"), classes=3)
    folder = write_run(model, tmp_path / "run")
    results = json.loads((folder / "results.json").read_text())
    results |= {
        "config": {
            "data": str(tiny_folder),
            "dataset": "folder",
            "target": "c",
            "seed": 3,
        },
        "class_names": ["x", "y", "z"],
        "source_domains": ["a", "b"],
        "bad_images": {},
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder, model, results


def test_integers_throughout(run_on_images, tmp_path, capsys):
    run_dir, model, _ = run_on_images
    out = tmp_path / "out.tflite"
    args = ["--format", "tflite", "--precision", "int8", "--fold"]
    args += ["--calibration-images", "20"]
    assert export.main([str(run_dir), str(out), *args]) == 0
    printed = capsys.readouterr()
    assert "out.tflite: 0.0 MB, int8, predicts by mask_ens\n" in printed.out
    assert "on 16 source images: logits differ by up to 0." in printed.out
    assert printed.err == ""
    metadata = json.loads((tmp_path / "out.tflite.json").read_text())
    assert metadata["calibration_images"] == 20
    assert 0 < metadata["comparison"]["logits"]
    interpreter = tf.lite.Interpreter(str(out))
    interpreter.allocate_tensors()
    [images] = interpreter.get_input_details()
    assert images["dtype"] == np.uint8
    assert images["quantization"] == (1.0, 0)
    assert images["shape"].tolist() == [1, SIZE, SIZE, 3]
    kinds = {np.dtype(t["dtype"]) for t in interpreter.get_tensor_details()}
    assert not {k for k in kinds if k.kind == "f"}
    assert_predicts(out, model, "mask_ens", share=0.15)


def test_calibration_images_are_of_the_sources_alone(run_on_images):
    _, _, results = run_on_images
    sample = calibration_sample(results, 11)
    domains = [pathlib.Path(p).parts[-3] for p in sample.examples.paths]
    assert {domains.count("a"), domains.count("b")} == {5, 6}
    assert len(sample.compared) == COMPARED
    assert not set(sample.compared.paths) & set(sample.examples.paths)
    again = calibration_sample(results, 11)
    assert again.examples.paths == sample.examples.paths
    everything = calibration_sample(results, 10**6)
    domains = {pathlib.Path(p).parts[-3] for p in everything.examples.paths}
    assert domains == {"a", "b"}
    # 90 % of 2 domains of 3 classes with 12 images.
    assert len(everything.examples) == 2 * 3 * 11
    images = list(sample.images(SIZE))
    assert {(i.shape, i.dtype.name) for i in images} == {
        ((1, SIZE, SIZE, 3), "uint8")
    }
    assert len(images) == 11 and np.max(images) > 150


def test_images_that_are_gone(run_on_images, tiny_folder, tmp_path, capsys):
    run_dir, _, results = run_on_images
    gone = tmp_path / "gone"
    results["config"]["data"] = str(gone)
    (run_dir / "results.json").write_text(json.dumps(results))
    args = (run_dir, tmp_path / "o.tflite", "--format", "tflite")
    args = (*args, "--precision", "int8")
    message = error_of(capsys, *args)
    assert f"{gone} is not there; say by --data" in message
    sample = calibration_sample(results, 4, str(tiny_folder))
    assert len(sample.examples) == 4
    other = write_images(tmp_path / "other", ("a", "b", "c"), ("x", "q"), 2)
    with pytest.raises(UserError, match="knows the classes x, y, z; the data"):
        calibration_sample(results, 4, str(other))
    assert not (tmp_path / "o.tflite").exists()


def test_an_unreadable_calibration_image_is_named(
    run_on_images, tmp_path, capsys
):
    run_dir, _, results = run_on_images
    data = write_images(tmp_path / "data", ("a", "b", "c"), ("x", "y", "z"), 3)
    results["config"]["data"] = str(data)
    (run_dir / "results.json").write_text(json.dumps(results))
    for path in data.glob("a/x/*.png"):
        path.write_bytes(path.read_bytes()[:60])
    out = tmp_path / "out.tflite"
    args = (out, "--format", "tflite", "--precision", "int8")
    message = error_of(capsys, run_dir, *args)
    assert "cannot read the image" in message and "a/x/" in message
    assert not list(tmp_path.glob("*out.tflite*"))


def test_int8_needs_a_sample(with_stub, tmp_path):
    model = make("aggregate", "stub")
    with pytest.raises(ValueError, match="int8 needs `calibration`"):
        export_tflite(model, RESULTS, tmp_path / "o.tflite", precision="int8")


# === What can go wrong ===


def test_a_file_that_predicts_something_else_is_not_kept(
    with_stub, tmp_path, monkeypatch
):
    model = make("aggregate", "stub")
    other = tmp_path / "other.tflite"
    export_tflite(model, RESULTS, other)
    kernel = model.task_network.stages[-1].kernel
    kernel.assign(kernel * -1)
    contents = other.read_bytes()
    monkeypatch.setattr(
        tf.lite.TFLiteConverter, "convert", lambda converter: contents
    )
    out = tmp_path / "out.tflite"
    with pytest.raises(UserError, match="differ .* nothing was written"):
        export_tflite(model, RESULTS, out)
    kernel.assign(kernel * np.nan)
    with pytest.raises(UserError, match="differ .* by nan"):
        export_tflite(model, RESULTS, out)
    assert not list(tmp_path.glob("*out.tflite*"))


def test_what_the_converter_says_is_one_line(with_stub, tmp_path, monkeypatch):
    def fail(converter):
        raise RuntimeError("no kernel for this\nand a page of graph")

    monkeypatch.setattr(tf.lite.TFLiteConverter, "convert", fail)
    with pytest.raises(UserError) as caught:
        export_tflite(make("aggregate", "stub"), RESULTS, tmp_path / "o.tflite")
    assert str(caught.value) == (
        "TensorFlow's converter cannot make float32 TFLite of this model: "
        "no kernel for this"
    )
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(with_stub, tmp_path, monkeypatch):
    def full_disk(path, contents):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full_disk)
    with pytest.raises(UserError, match="o.tflite: the disk is full"):
        export_tflite(make("aggregate", "stub"), RESULTS, tmp_path / "o.tflite")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_kept(with_stub, tmp_path):
    out = tmp_path / "o.tflite"
    out.write_text("mine")
    model = make("aggregate", "stub")
    with pytest.raises(UserError, match="is there already"):
        export_tflite(model, RESULTS, out)
    assert out.read_text() == "mine"
    export_tflite(model, RESULTS, out, replace=True)
    assert_predicts(out, model, "pred_ens")
