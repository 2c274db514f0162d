"""Models, runs and checks that the tests of exporting share."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import tensorflow as tf

import dmg_tf
from dmg_tf.commands import export
from dmg_tf.data.images.transforms import normalize, resize

DOMAINS = ("a", "b", "c")
CLASSES = ["v", "w", "x", "y", "z"]
SIZE = 32
# Signatures that every method has.
COMMON = {"serving_default", "serving_float", "serving_bytes", "metadata"}
KNOWN = {"known_domain", "known_domain_by_name"}


def make(method, backbone, *, domains=DOMAINS, classes=5, **options):
    """A model whose weights, statistics and masks are far from their start."""
    model = dmg_tf.build_model(
        method, backbone, classes, domains, image_size=SIZE, **options
    )
    rng = np.random.default_rng(5)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign_add(rng.uniform(-0.1, 0.3, weight.shape))
    for mask in getattr(model, "domain_masks", {}).values():
        mask.mask_logits.assign(rng.normal(0, 3, mask.mask_logits.shape))
    for layer in model.named_layers():
        if layer.name.startswith(("fc", "classifier.6")):
            heads = getattr(layer, "layers", [layer])
            for head in heads:
                kernel = kernel_of(head)
                kernel.assign(rng.normal(0, 0.2, kernel.shape))
    return model


def kernel_of(layer):
    """Returns the variable that what a layer computes is proportional to."""
    return layer.core if hasattr(layer, "core") else layer.kernel


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
        "source_domains": list(model.source_domains),
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
    # Of the answer's own logits: large ones may differ by more than 1e-5.
    own = np.asarray(answer["logits"])
    softmax = np.exp(own - own.max(-1, keepdims=True))
    softmax /= softmax.sum(-1, keepdims=True)
    np.testing.assert_allclose(answer["probabilities"], softmax, atol=1e-5)
    np.testing.assert_array_equal(answer["class_id"], logits.argmax(-1))
    assert answer["class_id"].dtype == tf.int32


def assert_predicts(predict, path, model, rule, share=1e-5, batch=3):
    """Checks a file's logits on images that the export did not compare.

    Args:
        predict: (path, uint8 [N, S, S, 3]) -> logits [N, C].
        path: The file.
        model: The Keras model it was made of.
        rule: How both predict.
        share: Largest difference, as a share of the largest logit.
        batch: Number of images.
    """
    images = some_images(batch, SIZE, SIZE)
    expected = model.logits(prepared(model, images), rule).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(
        predict(path, images),
        expected,
        rtol=0,
        atol=share * np.abs(expected).max(),
    )


def total_size(folder):
    files = pathlib.Path(folder).rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file())


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


def error_of(capsys, *args):
    capsys.readouterr()
    assert export.main([str(arg) for arg in args]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]
