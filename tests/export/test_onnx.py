"""ONNX files: the same answers from onnxruntime, at any batch size."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx

from dmg_tf.backbones.alexnet.network import AdaptiveAveragePool
from dmg_tf.commands import export
from dmg_tf.errors import UserError
from dmg_tf.export import request
from dmg_tf.export.onnx import export_onnx, predict
from tests.conftest import ROOT
from tests.export import helpers as export_helpers
from tests.export.helpers import (
    CLASSES,
    DOMAINS,
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


def assert_predicts(path, model, rule, share=1e-5):
    for batch in (1, 3):
        export_helpers.assert_predicts(predict, path, model, rule, share, batch)


@pytest.mark.parametrize(
    "method, rule, fold",
    [
        ("aggregate", "pred_ens", False),
        ("multi_headed", "pred_ens", False),
        ("dmg", "pred_ens", False),
        ("dmg", "mask/c", False),
        ("dmg", "mask_ens", True),
    ],
)
def test_every_method(with_stub, method, rule, fold, tmp_path):
    model = make(method, "stub")
    out = tmp_path / "ŝerĉo.onnx"
    metadata = export_onnx(model, RESULTS, out, prediction_rule=rule, fold=fold)
    assert_predicts(out, model, rule)
    session = onnxruntime.InferenceSession(str(out))
    held = session.get_modelmeta().custom_metadata_map["metadata"]
    assert json.loads(held) == metadata
    assert metadata["format"] == "onnx" and metadata["folded"] == fold
    assert metadata["comparison"]["same_class"] == 4
    [images] = session.get_inputs()
    assert (images.name, images.type) == ("images", "tensor(uint8)")
    assert images.shape == ["batch", SIZE, SIZE, 3]
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == {
        "logits": ["batch", 5],
        "probabilities": ["batch", 5],
        "class_id": ["batch"],
    }
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.slow
def test_half_the_size(tmp_path, capsys):
    model = make("dmg", "efficientnet_lite0")
    run_dir = write_run(model, tmp_path / "run")
    out = tmp_path / "out.onnx"
    args = ["--format", "onnx", "--precision", "float16"]
    assert export.main([str(run_dir), str(out), *args]) == 0
    printed = capsys.readouterr()
    assert "MB, float16, predicts by pred_ens\ncompared with" in printed.out
    assert printed.err == ""
    assert out.stat().st_size < 0.54 * 4 * model.count_params()
    assert_predicts(out, model, "pred_ens", share=5e-3)
    contents = out.read_bytes()
    for place in (ROOT, tmp_path, "/home/me", "site-packages"):
        assert str(place).encode() not in contents


def test_the_bins_of_alexnet():
    # Its integer division rounds to zero, which gave bins of no pixels.
    pool = AdaptiveAveragePool(6)
    spec = [tf.TensorSpec([None, None, None, 2], name="x")]
    function = tf.function(lambda x: {"y": pool(x)}, input_signature=spec)
    proto, _ = tf2onnx.convert.from_function(function, spec, opset=17)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    for height, width in ((1, 1), (7, 13), (6, 6)):
        x = np.random.default_rng(0).normal(size=(2, height, width, 2))
        x = x.astype(np.float32)
        assert_close(session.run(None, {"x": x})[0], pool(x))


ALONE = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
class_id, logits, probabilities = session.run(
    ["class_id", "logits", "probabilities"], {"images": np.load(sys.argv[2])}
)
assert (class_id == logits.argmax(-1)).all()
np.save(sys.argv[3], probabilities)
"""


def test_onnxruntime_alone_is_enough(with_stub, tmp_path):
    model = make("dmg", "stub")
    export_onnx(model, RESULTS, tmp_path / "out.onnx")
    images = some_images(3, SIZE, SIZE)
    np.save(tmp_path / "in.npy", images)
    files = [tmp_path / name for name in ("out.onnx", "in.npy", "found.npy")]
    finish(run_python(ALONE, *files, cwd=tmp_path))
    expected = tf.nn.softmax(model.logits(prepared(model, images)))
    assert_close(np.load(files[2]), expected)


# === What can go wrong ===


@pytest.mark.parametrize("missing", ["tf2onnx", "onnxruntime"])
def test_what_to_install(missing, monkeypatch, capsys):
    find = request.importlib.util.find_spec
    monkeypatch.setattr(
        request.importlib.util,
        "find_spec",
        lambda name: None if name == missing else find(name),
    )
    assert error_of(capsys, "run", "x.onnx", "--format", "onnx") == (
        f"error: --format onnx needs {missing}, not installed: "
        'pip install "dmg-tf[onnx]"'
    )


def test_a_weight_beyond_16_bits(with_stub, tmp_path):
    model = make("aggregate", "stub")
    kernel = model.task_network.stages[-1].kernel
    kernel.assign(kernel * 0 + 1e6)
    with pytest.raises(UserError, match="reach 1e[+]06, which does not fit"):
        export_onnx(model, RESULTS, tmp_path / "o.onnx", precision="float16")
    assert not list(tmp_path.iterdir())


def test_what_the_converter_says_is_one_line(with_stub, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError("no such operation\nand a page of graph")

    monkeypatch.setattr(tf2onnx.convert, "from_function", fail)
    with pytest.raises(UserError) as caught:
        export_onnx(make("aggregate", "stub"), RESULTS, tmp_path / "o.onnx")
    assert str(caught.value) == (
        "tf2onnx cannot make ONNX of this model: no such operation"
    )
    assert not list(tmp_path.iterdir())


def test_a_file_that_onnxruntime_refuses_is_not_kept(
    with_stub, tmp_path, monkeypatch
):
    damaged = onnx.ModelProto()
    monkeypatch.setattr(
        tf2onnx.convert, "from_function", lambda *a, **k: (damaged, None)
    )
    monkeypatch.setattr(onnx.checker, "check_model", lambda proto: None)
    with pytest.raises(UserError, match="onnxruntime cannot run the file"):
        export_onnx(make("aggregate", "stub"), RESULTS, tmp_path / "o.onnx")
    assert not list(tmp_path.iterdir())


def test_a_rule_that_needs_the_domain(with_stub, tmp_path):
    model = make("dmg", "stub")
    for rule, words in (
        ("known_domain", "needs the domain of each image"),
        ("mask/q", f"mask/{DOMAINS[0]}"),
    ):
        with pytest.raises(UserError, match=words):
            export_onnx(
                model, RESULTS, tmp_path / "o.onnx", prediction_rule=rule
            )
    assert "tf2onnx" in sys.modules and not list(tmp_path.iterdir())
