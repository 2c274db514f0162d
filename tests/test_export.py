"""Exported models: the same answers, without the package, in one plain file."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import dmg_tf
import train
from dmg_tf import export
from dmg_tf.backbones.blocks import Backbone, PaddedConv2D, classifier
from dmg_tf.data.decoding import decode
from dmg_tf.data.transforms import normalize, resize
from dmg_tf.errors import UserError
from dmg_tf.export_network import folded_kernels, stored_network
from dmg_tf.export_signatures import decode_batch
from dmg_tf.registry import BACKBONES, METHODS
from dmg_tf.training.optimizers import Adam
from dmg_tf.training.schedules import EpochSchedule
from dmg_tf.training.scoring import dtype_policy
from tests.conftest import ROOT
from tests.helpers import random_batch

DOMAINS = ("a", "b", "c")
CLASSES = ["v", "w", "x", "y", "z"]
SIZE = 32
# Signatures that every method has.
COMMON = {"serving_default", "serving_float", "serving_bytes", "metadata"}
KNOWN = {"known_domain", "known_domain_by_name"}


def stub(spec):
    """A backbone that takes no time to trace."""
    stages, width = [], 3
    for name in ("stem", "body"):
        inputs = keras.Input((None, None, width))
        x = PaddedConv2D(8, 3, pixels=1, strides=2, name=f"{name}.conv")(inputs)
        x = keras.layers.ReLU()(x)
        if name == "body":
            x = keras.layers.GlobalAveragePooling2D()(x)
        stages.append(keras.Model(inputs, x, name=name))
        width = 8
    return Backbone((*stages, classifier("fc", 8, spec)), ("body", "fc"))


@pytest.fixture
def with_stub(monkeypatch):
    place = "tests.test_export:stub"
    monkeypatch.setitem(BACKBONES._places, "stub", place)


def make(method, backbone, **options):
    """A model whose weights, statistics and masks are far from their start."""
    model = dmg_tf.build_model(
        method, backbone, len(CLASSES), DOMAINS, image_size=SIZE, **options
    )
    rng = np.random.default_rng(5)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign_add(rng.uniform(-0.1, 0.3, weight.shape))
    for mask in model.domain_masks.values():
        mask.mask_logits.assign(rng.normal(0, 3, mask.mask_logits.shape))
    for layer in model.named_layers():
        if layer.name.startswith(("fc", "classifier.6")):
            heads = getattr(layer, "layers", [layer])
            for head in heads:
                head.kernel.assign(rng.normal(0, 0.2, head.kernel.shape))
    return model


def write_run(model, folder):
    """What export needs of a run folder."""
    folder.mkdir()
    model.save(folder / "model.keras")
    config = {
        "method": "dmg",
        "data": "/home/me/images",
        "output": str(folder),
        "weights": "/home/me/start.npz",
        "epochs": 3,
    }
    results = {
        "config": config,
        "class_names": CLASSES,
        "source_domains": list(DOMAINS),
        "out_of_domain": {"pred_ens": {"d": 0.5, "overall": 0.5}},
        "bad_images": {"/home/me/images/a.png": "unreadable"},
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def some_images(batch=4, height=50, width=70):
    rng = np.random.default_rng(batch)
    return rng.integers(0, 256, (batch, height, width, 3), np.uint8)


def prepared(model, images):
    return normalize(resize(images, SIZE), model.mean, model.std)


def assert_close(found, expected):
    """Checks that no value is off by 1e-5 of the largest one, or of 1."""
    expected = np.asarray(expected)
    atol = 1e-5 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def assert_answer(answer, logits):
    """Checks an answer against the logits [..., C] that are expected."""
    logits = np.asarray(logits)
    assert np.abs(logits).max() > 0.1  # else the tolerance would be idle
    assert set(answer) == {"logits", "probabilities", "class_id"}
    assert_close(answer["logits"], logits)
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(answer["probabilities"], softmax, atol=1e-5)
    np.testing.assert_array_equal(answer["class_id"], logits.argmax(-1))
    assert answer["class_id"].dtype == tf.int32


def total_size(folder):
    files = pathlib.Path(folder).rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file())


@pytest.fixture(scope="module")
def model():
    return make("dmg", "resnet18")


@pytest.fixture(scope="module")
def run_dir(model, tmp_path_factory):
    return write_run(model, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def saved(run_dir):
    """The folder that the command line wrote."""
    assert export.main([str(run_dir), str(run_dir.parent / "saved")]) == 0
    return run_dir.parent / "saved"


@pytest.fixture(scope="module")
def loaded(saved):
    return tf.saved_model.load(str(saved))


# === Signatures ===


@pytest.mark.parametrize("shape", [(1, 50, 70), (3, 32, 32), (2, 20, 9)])
def test_default_predicts_as_the_model(model, loaded, shape):
    images = some_images(*shape)
    expected = model.logits(prepared(model, images))
    floats = tf.constant(images, tf.float32)
    served = loaded.signatures
    assert_answer(served["serving_default"](images=images), expected)
    assert_answer(served["serving_float"](images=floats), expected)
    assert_answer(loaded.predict(images), expected)
    assert_answer(loaded.predict(floats), expected)


def test_bytes_of_several_formats_and_sizes(model, loaded):
    pictures = [some_images(1, *s)[0] for s in ((50, 70), (9, 33), (40, 40))]
    files = [
        tf.io.encode_png(pictures[0]),
        tf.io.encode_jpeg(pictures[1]),
        tf.io.encode_png(pictures[2][..., :1]),  # grey
        tf.io.encode_png(pictures[2].astype(np.uint16) * 200),
    ]
    images = tf.stack([resize(decode(file), SIZE) for file in files])
    np.testing.assert_array_equal(decode_batch(tf.stack(files), SIZE), images)
    expected = model.logits(prepared(model, images))
    answer = loaded.signatures["serving_bytes"](image_bytes=tf.stack(files))
    assert_answer(answer, expected)


def test_every_other_rule(model, loaded):
    images = some_images()
    inputs = prepared(model, images)
    served = loaded.signatures
    assert set(served) == COMMON | KNOWN | {"mask_ens", "per_mask"}
    expected = model.logits(inputs, "mask_ens")
    assert_answer(served["mask_ens"](images=images), expected)
    ids = np.array([2, 0, 1, 2], np.int32)
    names = np.array(DOMAINS)[ids]
    expected = model.logits(inputs, "known_domain", ids)
    assert_answer(
        served["known_domain"](images=images, domain_ids=ids), expected
    )
    answer = served["known_domain_by_name"](images=images, domains=names)
    assert_answer(answer, expected)
    rules = [f"mask/{domain}" for domain in DOMAINS]
    each = model.logits_by_rule(inputs, rules)
    expected = np.stack([each[rule] for rule in rules], axis=1)  # [B, D, C]
    assert_answer(served["per_mask"](images=images), expected)
    assert_answer(loaded.per_mask(tf.cast(images, tf.float32)), expected)


PNG = tf.io.encode_png(some_images(1)[0]).numpy()
JPEG = tf.io.encode_jpeg(some_images(1)[0]).numpy()


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda m: m.predict_bytes([PNG, b"no", PNG[:-900], JPEG]),
            "complete JPEG or PNG image: image_bytes at position 1, 2",
        ),
        (
            lambda m: m.predict_bytes([JPEG[: len(JPEG) // 2]]),
            "image_bytes at position 0",
        ),
        (lambda m: m.predict_bytes(tf.constant([], tf.string)), "is empty"),
        (lambda m: m.predict(some_images()[:0]), "the batch is empty"),
        (
            lambda m: m.known_domain(some_images(), [0, 3, 1, -1]),
            r"domain_ids at position 1, 3; known: 0 to 2 \(a, b, c\)",
        ),
        (
            lambda m: m.known_domain(some_images(), [0]),
            "one domain an image is needed: got 1 for 4 images",
        ),
        (
            lambda m: m.known_domain_by_name(some_images(3), ["a", "q", "b"]),
            "unknown domain q at position 1; known: a, b, c",
        ),
    ],
)
def test_a_wrong_request_is_named(loaded, call, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(loaded)


# === What travels along ===


def test_metadata(saved, loaded):
    text = (saved / "assets" / "metadata.json").read_text()
    metadata = json.loads(text)
    assert metadata["class_names"] == CLASSES
    assert metadata["source_domains"] == list(DOMAINS)
    assert metadata["prediction_rule"] == "pred_ens"
    assert metadata["image_size"] == SIZE
    assert metadata["precision"] == "float32" and not metadata["folded"]
    training = metadata["training"]
    assert training["config"]["epochs"] == 3
    assert training["out_of_domain"]["pred_ens"]["d"] == 0.5
    by_call = loaded.metadata().numpy().decode()
    served = loaded.signatures["metadata"]()["metadata"].numpy().decode()
    assert json.loads(by_call) == json.loads(served) == metadata
    asset = loaded.metadata_file.asset_path.numpy().decode()
    assert pathlib.Path(asset).read_text() == text


def test_no_path_of_this_machine_travels_along(saved):
    for path in saved.rglob("*"):
        if path.is_file():
            contents = path.read_bytes()
            for place in (ROOT, saved.parent, "/home/me", "site-packages"):
                assert str(place).encode() not in contents, (path, place)


ALONE = """
import importlib.util, json, sys
assert importlib.util.find_spec("dmg_tf") is None
sys.modules["keras"] = None  # whoever imports it fails
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
data = np.load(sys.argv[2])
found = {}
for name, inputs in json.loads(sys.argv[3]).items():
    answer = loaded.signatures[name](
        **{key: tf.constant(data[value]) for key, value in inputs.items()}
    )
    found[name] = answer["logits"].numpy()
np.savez(sys.argv[4], **found)
assert json.loads(loaded.metadata().numpy())["class_names"][0] == "v"
assert "dmg_tf" not in sys.modules
"""


def run_python(code, *args, cwd):
    """Runs code in a new process that sees no more than the installed."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        cwd=cwd,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors


@pytest.mark.slow
def test_tensorflow_alone_is_enough(model, saved, tmp_path):
    images, ids = some_images(), np.array([1, 1, 0, 2], np.int32)
    np.savez(
        tmp_path / "in.npz",
        images=images,
        floats=images.astype(np.float32),
        ids=ids,
        names=np.array(DOMAINS)[ids],
        files=np.array([tf.io.encode_png(i).numpy() for i in images]),
    )
    calls = {
        "serving_default": {"images": "images"},
        "serving_float": {"images": "floats"},
        "serving_bytes": {"image_bytes": "files"},
        "known_domain": {"images": "images", "domain_ids": "ids"},
        "known_domain_by_name": {"images": "images", "domains": "names"},
        "mask_ens": {"images": "images"},
        "per_mask": {"images": "images"},
    }
    process = run_python(
        ALONE,
        saved,
        tmp_path / "in.npz",
        json.dumps(calls),
        tmp_path / "out.npz",
        cwd=tmp_path,
    )
    finish(process)
    found = np.load(tmp_path / "out.npz")
    inputs = prepared(model, images)
    for name in calls:
        rule = name.removesuffix("_by_name")
        if name.startswith("serving"):
            rule = "pred_ens"
        if name == "per_mask":
            each = [model.logits(inputs, f"mask/{d}") for d in DOMAINS]
            expected = np.stack(each, axis=1)
        else:
            expected = model.logits(inputs, rule, ids)
        assert_close(found[name], expected)


# === Methods and backbones ===


@pytest.mark.parametrize(
    "method, rule, more",
    [
        ("aggregate", None, set()),
        ("multi_headed", None, {*KNOWN, "per_head"}),
        ("dmg", "mask/c", {*KNOWN, "per_mask", "mask_ens"}),
    ],
)
def test_every_method(with_stub, method, rule, more, tmp_path):
    model = make(method, "stub")
    results = {"class_names": CLASSES}
    export.export_saved_model(
        model, results, tmp_path / "out", prediction_rule=rule
    )
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
    marks = test_every_method.pytestmark
    cases = next(mark for mark in marks if mark.name == "parametrize")
    tested = {case[0] for case in cases.args[1]}
    missing = set(METHODS.names()) - tested
    assert not missing, f"add {missing} to test_every_method"


# The default sites and further ones, and how many kernels they scale: a
# residual stage has two.
SITES = {
    "resnet18": (("layer2", "layer3", "layer4", "fc"), 7),
    "resnet50": (("layer1", "layer4", "fc"), 5),
    "alexnet": (("classifier.1", "classifier.4", "classifier.6"), 3),
    "efficientnet_lite0": (("blocks.15", "conv_head", "fc"), 3),
}


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_stored_and_folded_networks_of_every_backbone(backbone):
    sites, kernels = SITES[backbone]
    model = make("dmg", backbone, mask_sites=sites)
    assert len(folded_kernels(model)) == kernels
    inputs = prepared(model, some_images(2))
    stored = stored_network(model)
    expected = model.logits_by_rule(inputs, stored.rules, [1, 0])
    found = stored.logits(inputs, stored.rules, [1, 0])
    for rule in stored.rules:
        assert_close(found[rule], expected[rule])
    folded = stored_network(model, fold=True)
    found = folded.logits(inputs, folded.rules)
    assert np.abs(expected["mask_ens"]).max() > 0.1
    assert list(found) == ["mask_ens"]
    assert_close(found["mask_ens"], expected["mask_ens"])
    # One plain network, and no mask.
    masks = [m.mask_logits.path for m in model.domain_masks.values()]
    plain = [tuple(w.shape) for w in model.weights if w.path not in masks]
    shapes = [tuple(variable.shape) for variable in folded.variables]
    assert sorted(shapes) == sorted(plain)


# === Folding ===


def test_a_shortcut_without_weights_cannot_be_folded():
    model = make("dmg", "resnet18", mask_sites=("layer1", "fc"))
    with pytest.raises(UserError, match="'layer1' cannot be folded: Add "):
        stored_network(model, fold=True)


def test_folded_in_16_bits(with_stub, model, saved, run_dir, capsys):
    out = run_dir.parent / "small"
    args = ["--fold", "--precision", "float16"]
    assert export.main([str(run_dir), str(out), *args]) == 0
    assert "float16, predicts by mask_ens" in capsys.readouterr().out
    assert total_size(out) < 0.54 * total_size(saved)
    small = tf.saved_model.load(str(out))
    assert set(small.signatures) == COMMON
    images = some_images(8)
    expected = model.logits(prepared(model, images), "mask_ens").numpy()
    found = small.predict(images)["logits"].numpy()
    error = np.abs(found - expected).max() / np.abs(expected).max()
    # 11 bits of a kernel's entry: 2^-12 each, through 20 layers.
    assert 0 < error < 5e-3


def test_a_weight_beyond_16_bits_is_an_error(with_stub):
    model = make("aggregate", "stub")
    kernel = model.task_network.stages[-1].kernel
    kernel.assign(kernel * 0 + 1e6)
    with pytest.raises(UserError, match="reach 1e[+]06, which does not fit"):
        stored_network(model, precision="float16")


def test_a_16_bit_run_is_exported_in_float32(with_stub, tmp_path):
    with dtype_policy("mixed_bfloat16"):
        model = make("aggregate", "stub")
    run = write_run(model, tmp_path / "run")
    export.export_run(run, tmp_path / "out")
    plain = make("aggregate", "stub")
    plain.set_weights(model.get_weights())
    images = some_images()
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    assert_answer(loaded.predict(images), plain.logits(prepared(plain, images)))


# === The command line ===


def error_of(capsys, *args):
    capsys.readouterr()
    assert export.main([str(arg) for arg in args]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


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


def test_mistakes_of_callers(with_stub, tmp_path):
    model = make("aggregate", "stub")
    results = {"class_names": CLASSES}
    with pytest.raises(UserError, match="Aggregate has no masks to fold"):
        export.export_saved_model(model, results, tmp_path / "o", fold=True)
    with pytest.raises(ValueError, match="1 class names for a model of 5"):
        export.export_saved_model(model, {"class_names": ["v"]}, tmp_path / "o")
    with pytest.raises(UserError, match="unknown precision 'float61'.*float16"):
        export.export_saved_model(
            model, results, tmp_path / "o", precision="float61"
        )


def test_nothing_half_written_stays(with_stub, tmp_path, monkeypatch):
    def full_disk(module, path, signatures):
        pathlib.Path(path).mkdir()
        (pathlib.Path(path) / "saved_model.pb").touch()
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    model = make("aggregate", "stub")
    with pytest.raises(UserError, match="out: the disk is full"):
        export.export_saved_model(
            model, {"class_names": CLASSES}, tmp_path / "out"
        )
    assert not list(tmp_path.iterdir())


def test_train_exports(with_stub, tiny_folder, tmp_path):
    flags = ["--backbone", "stub", "--weights", "none", "--image-size", "32"]
    where = ["--data", tiny_folder, "--target", "c", "--output", tmp_path / "r"]
    # The method with the fewest signatures, which is quick to export.
    flags += ["--method", "aggregate", "--epochs", "1", "--export"]
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
model = keras.models.load_model(sys.argv[3], safe_mode=True)
data = np.load(sys.argv[4])
inputs = {"image": data["image"], "domain_ids": data["domain_ids"]}
before = model.logits(inputs["image"], "pred_ens").numpy()
if len(sys.argv) == 6:  # the other process goes no further
    np.savez(sys.argv[5], before=before)
    sys.exit()
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
def test_a_keras_model_goes_on_in_a_fresh_process(tmp_path):
    model = make("dmg", "resnet18")
    optimizer = Adam(EpochSchedule(1e-3, "exponential", 1), l2=1e-5)
    model.compile(optimizer=optimizer, run_eagerly=True)
    inputs, labels = random_batch(batch=3, classes=len(CLASSES))
    batch = tf.data.Dataset.from_tensors((inputs, labels))
    model.fit(batch, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "in.npz", labels=labels, **inputs)
    files = [tmp_path / name for name in ("model.keras", "in.npz")]
    processes = [
        run_python(FRESH, ROOT, imports, *files, *args, cwd=tmp_path)
        for imports, *args in (
            ("import keras; import dmg_tf", tmp_path / "0.npz", "train"),
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
        if index == 0:
            # Optimizer and schedule were kept: the next step is the same.
            assert found["steps"] == 2
            assert found["loss"] == pytest.approx(loss, rel=1e-4)
            np.testing.assert_allclose(found["after"], after, atol=1e-3)
