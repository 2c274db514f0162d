"""What a SavedModel answers to, in this process and without the package."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.commands import export
from dmg_tf.data.images.decoding import decode
from dmg_tf.data.images.transforms import resize
from dmg_tf.export.signatures import decode_batch
from dmg_tf.registry import BACKBONES
from tests.conftest import ROOT
from tests.export.helpers import (
    CLASSES,
    COMMON,
    DOMAINS,
    KNOWN,
    SIZE,
    assert_answer,
    assert_close,
    finish,
    make,
    prepared,
    run_python,
    some_images,
    total_size,
    write_run,
)
from tests.stubs import WIDE


@pytest.fixture(scope="module")
def model():
    with BACKBONES.with_name("wide", WIDE):
        yield make("dmg", "wide")


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
import json, sys
# Whoever imports them fails.
sys.modules["dmg_tf"] = sys.modules["keras"] = None
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
"""


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


def test_folded_in_16_bits(model, saved, run_dir, capsys):
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
    # 11 bits of a kernel's entry: 2^-12 each.
    assert 0 < error < 5e-3
