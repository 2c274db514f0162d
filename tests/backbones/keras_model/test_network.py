"""A user's model, from its masks to the exported file."""

import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.backbones.blocks import NetworkSpec
from dmg_tf.backbones.keras_model import network
from dmg_tf.backbones.spec import named
from dmg_tf.commands import export
from dmg_tf.errors import UserError
from dmg_tf.evaluation.scoring import dtype_policy
from dmg_tf.experiment import run_training
from dmg_tf.export.network import stored_network
from dmg_tf.layers.batch_norm import batch_norms
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES
from tests.backbones.keras_model import models
from tests.export.helpers import assert_close, make, prepared, some_images
from tests.helpers import random_batch
from tests.training.runs import (
    Copy,
    assert_same,
    kept,
    short_run,
    without_clocks,
)

DOMAINS = ("a", "b", "c")
IMAGES = np.random.default_rng(0).normal(size=(2, 32, 32, 3))


@pytest.fixture(scope="module", autouse=True)
def known():
    with (
        BACKBONES.with_name("own", f"{models.HERE}:RESIDUAL"),
        BACKBONES.with_name("tokens", f"{models.HERE}:TOKENS"),
    ):
        yield


def stages_of(name, **changes):
    return BACKBONES[name](NetworkSpec(3, **changes)).stages


def features_of(stages):
    x = IMAGES
    for stage in stages[:-1]:
        x = stage(x)
    return np.asarray(x)


def names_of(stages):
    return [each.name for stage in stages[:-1] for each in stage.layers[1:]]


# === The network ===


@pytest.mark.parametrize("name, axes", [("own", (1, 2)), ("tokens", 1)])
def test_features_are_the_models_own(name, axes):
    spec = BACKBONES[name]
    with network.drawn_from(seed=5):
        model = named(spec.model)(**spec.arguments)
    expected = np.asarray(model(IMAGES)).mean(axes)
    found = features_of(stages_of(name, seed=5))
    assert np.ptp(expected, axis=0).min() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_first_weights_and_names_depend_on_the_seed_alone():
    random.seed(1)
    before = random.getstate()
    first = stages_of("own", seed=5)
    assert random.getstate() == before
    keras.layers.Conv2D(1, 1)  # takes a number of Keras' own
    random.seed(2)
    second, other = stages_of("own", seed=5), stages_of("own", seed=6)
    np.testing.assert_array_equal(features_of(first), features_of(second))
    assert not np.array_equal(features_of(first), features_of(other))
    assert names_of(first) == names_of(second)
    assert {"conv2d_0", "conv2d_2", "sequential_1"} <= set(names_of(first))


def test_normalisation_is_this_packages():
    stages = stages_of("own")
    layers = batch_norms(stages)
    assert len(layers) == 6
    learned = [len(layer.trainable_variables) for layer in layers]
    assert sorted(learned) == [1, 2, 2, 2, 2, 2]  # one has no scale
    assert not any(
        isinstance(part, keras.layers.BatchNormalization)
        for stage in stages
        for part in stage._flatten_layers()
    )


def test_statistics_that_are_assigned_are_used():
    stages = stages_of("own")
    before = features_of(stages)
    (layer,) = (
        part
        for part in stages[0].layers
        if isinstance(part, keras.layers.Normalization)
    )
    layer.adapt_mean.assign([1.0, 2.0, 3.0])
    assert not np.allclose(features_of(stages), before)


def test_dropout_can_be_left_out():
    def rates(dropout):
        return {
            part.rate
            for stage in stages_of("own", dropout=dropout)
            for part in stage._flatten_layers()
            if isinstance(part, keras.layers.Dropout)
        }

    assert (rates(True), rates(False)) == ({0.5}, {0.0})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: keras.Sequential([keras.layers.Flatten()]), "without a graph"),
        (lambda: keras.layers.Dense(3), "Dense without a graph"),
        (
            lambda: keras.Sequential(
                [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3)]
            ),
            r"Sequential of shapes \(None, 8, 8, 1\), \(None, 6, 6, 4\)",
        ),
    ],
)
def test_other_models_are_refused(make, message):
    with pytest.raises(UserError, match=f"own:model must return.*{message}"):
        network.backbone_of(
            make(), NetworkSpec(3), models.from_keras("own:model", title="x")
        )


def test_another_size_is_refused():
    with pytest.raises(
        UserError,
        match="tokens takes images of 32 x 32 pixels alone: --image-size must "
        "be 32, got 64",
    ):
        build_model("dmg", "tokens", 3, DOMAINS, image_size=64)


# === Methods on it ===


@pytest.mark.parametrize("name", ["own", "tokens"])
def test_masks_learn_and_are_folded(name):
    model = build_model("dmg", name, 3, DOMAINS, image_size=32)
    sites = {s: m.mask_logits.shape[1] for s, m in model.domain_masks.items()}
    assert (
        sites
        == {
            "own": {"stage2": 16, "fc": 24},
            "tokens": {"stage3": 5, "fc": 5},
        }[name]
    )
    inputs, labels = random_batch(batch=6)
    model.compile(optimizer="adam", run_eagerly=True)
    before = [w.numpy() for w in model.trainable_weights]
    model.train_on_batch(inputs, labels)
    still = [
        weight.path
        for weight, old in zip(model.trainable_weights, before, strict=True)
        if np.array_equal(weight.numpy(), old)
    ]
    assert not still
    found = model.logits(inputs["image"], "mask_ens")
    if name == "tokens":  # the shortcut goes past the weights
        with pytest.raises(UserError, match="'stage3' cannot be folded"):
            stored_network(model, fold=True)
        return
    folded = stored_network(model, fold=True).logits(
        inputs["image"], ["mask_ens"]
    )
    assert_close(folded["mask_ens"], found)


@pytest.mark.parametrize("method", ["mixstyle", "sagnet", "crossgrad"])
def test_methods_that_cut_or_copy_it_learn(method):
    model = build_model(method, "own", 3, DOMAINS, image_size=32)
    model.total_steps = 3
    model.compile(optimizer="sgd", run_eagerly=True)
    inputs, labels = random_batch(batch=6)
    assert np.isfinite(model.train_on_batch(inputs, labels)).all()
    state = {
        name: np.full([variable.shape[i] for i in np.argsort(axes)], 0.1)
        for name, (variable, axes) in model.torchvision_entries().items()
    }
    model.load_torchvision(state)
    kernel = model.torchvision_entries()["conv2d_1.weight"][0]
    assert np.all(kernel.numpy() == np.float32(0.1))


def test_16_bits():
    with dtype_policy("mixed_bfloat16"):
        model = build_model("dmg", "own", 3, DOMAINS, image_size=32)
        model.compile(optimizer="sgd", run_eagerly=True)
        inputs, labels = random_batch(batch=6)
        assert np.isfinite(model.train_on_batch(inputs, labels)).all()
    assert {w.dtype for w in model.trainable_weights} == {"float32"}


# === A run ===


@pytest.fixture(scope="module")
def runs(tiny_folder, tmp_path_factory):
    """A run, and its folder as it was after the first epoch."""
    root = tmp_path_factory.mktemp("runs")
    config = short_run(
        tiny_folder, root / "whole", backbone="own", method="dmg", epochs=2
    )
    copy = Copy(root / "whole", root / "broken", after=1)
    run_training(config, callbacks=[copy])
    return root


def test_resumed_bit_for_bit(runs, tiny_folder):
    whole, broken = runs / "whole", runs / "broken"
    run_training(
        short_run(tiny_folder, broken, backbone="own", method="dmg", epochs=2),
        resume=True,
    )
    assert without_clocks(broken) == without_clocks(whole)
    assert_same(kept(whole), kept(broken))


@pytest.mark.parametrize(
    "flags", [[], ["--fold"], ["--format", "tflite"], ["--format", "onnx"]]
)
def test_exported(runs, tmp_path, flags, capsys):
    if "onnx" in flags:
        pytest.importorskip("tf2onnx")
    path = tmp_path / "model"
    if "--format" in flags:
        path = path.with_suffix(f".{flags[-1]}")
    # A file is run, and compared with the model, when it is written.
    assert export.main([str(runs / "whole"), str(path), *flags]) == 0
    assert path.exists()
    if flags == ["--fold"]:
        model = keras.models.load_model(runs / "whole" / "model.keras")
        images = some_images(2)
        served = tf.saved_model.load(str(path)).signatures["serving_default"]
        assert_close(
            served(images=images)["logits"],
            model.logits(prepared(model, images), "mask_ens"),
        )


@pytest.mark.parametrize("part", ["task_network", "classifier"])
def test_a_part_is_trained(tiny_folder, tmp_path, part):
    weights = tmp_path / "own.npz"
    entries = make("aggregate", "own").torchvision_entries()
    np.savez(
        weights,
        **{
            name: variable.numpy().transpose(np.argsort(axes))
            for name, (variable, axes) in entries.items()
        },
    )
    config = short_run(
        tiny_folder,
        tmp_path / "run",
        backbone="own",
        method="dmg",
        train=part,
        weights=str(weights),
        epochs=1,
    )
    run_training(config)
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert environment["weights"]["file"] == str(weights)
