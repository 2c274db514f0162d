"""A user's model, from its masks to the exported file."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.backbones.blocks import NetworkSpec
from dmg_tf.backbones.keras_model import network
from dmg_tf.backbones.last_map import last_map_reader
from dmg_tf.commands import export
from dmg_tf.errors import UserError
from dmg_tf.evaluation.scoring import dtype_policy
from dmg_tf.experiment import run_training
from dmg_tf.export.network import stored_network
from dmg_tf.layers.batch_norm import batch_norms
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES, imported
from tests.backbones.keras_model import models
from tests.export.helpers import (
    assert_close,
    make,
    prepared,
    some_images,
    write_run,
)
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
        model = imported(spec.model)(**spec.arguments)
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


@pytest.mark.parametrize(
    "name, reader", [("own", "pool"), ("tokens", "reshape_0")]
)
def test_the_last_map_is_found(name, reader):
    assert last_map_reader(stages_of(name)).name == reader


def test_statistics_that_are_assigned_are_used():
    stages = stages_of("own")
    before = features_of(stages)
    layer, _ = (
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


def test_a_stage_of_most_of_the_model_is_not_masked():
    layers = keras.layers
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2)(inputs)
    ways = [layers.Conv2D(4, 3, strides=2)(x) for _ in range(2)]
    model = keras.Model(inputs, layers.Concatenate()(ways))
    spec = models.from_keras("own:model", title="x")
    found = network.backbone_of(model, NetworkSpec(3), spec)
    assert [stage.name for stage in found.stages] == ["stem", "stage1", "fc"]
    assert found.mask_sites == ("fc",)


def test_images_that_are_too_small_are_refused():
    model = keras.Sequential(
        [keras.Input((None, None, 3))]
        + [keras.layers.Conv2D(4, 3, strides=2) for _ in range(5)]
    )
    spec = models.from_keras("own:model", title="Deep")
    network.backbone_of(model, NetworkSpec(3, image_size=64), spec)
    with pytest.raises(
        UserError, match=r"^Deep can't take images of 32 x 32 pixels \(.*size"
    ):
        network.backbone_of(model, NetworkSpec(3, image_size=32), spec)


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


@pytest.mark.parametrize(
    "method, options",
    [("mixstyle", {"mixstyle_sites": ("activation_1",)}), ("crossgrad", {})],
)
def test_methods_that_cut_or_copy_it_learn(method, options):
    model = build_model(method, "own", 3, DOMAINS, image_size=32, **options)
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


# === Files and runs ===


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(
        make("dmg", "own"), tmp_path_factory.mktemp("runs") / "own"
    )


@pytest.mark.parametrize(
    "flags", [["--fold"], ["--format", "tflite"], ["--format", "onnx"]]
)
def test_exported(run_dir, tmp_path, flags):
    if "onnx" in flags:
        pytest.importorskip("tf2onnx")
    path = tmp_path / "model"
    if "--format" in flags:
        path = path.with_suffix(f".{flags[-1]}")
    # A single file is run, and compared with the model, when it is written.
    assert export.main([str(run_dir), str(path), *flags]) == 0
    assert path.exists()
    if flags == ["--fold"]:
        model = keras.models.load_model(run_dir / "model.keras")
        images = some_images(2)
        served = tf.saved_model.load(str(path)).signatures["serving_default"]
        assert_close(
            served(images=images)["logits"],
            model.logits(prepared(model, images), "mask_ens"),
        )


@pytest.mark.slow
def test_a_run_of_a_part_resumes_bit_for_bit(tiny_folder, tmp_path):
    weights = tmp_path / "own.npz"
    entries = make("aggregate", "own").torchvision_entries()
    np.savez(
        weights,
        **{
            name: variable.numpy().transpose(np.argsort(axes))
            for name, (variable, axes) in entries.items()
        },
    )

    def config(output):
        return short_run(
            tiny_folder,
            output,
            backbone="own",
            method="aggregate",
            train="task_network",
            weights=str(weights),
            epochs=2,
        )

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_training(config(whole), callbacks=[Copy(whole, broken, after=1)])
    run_training(config(broken), resume=True)
    assert without_clocks(broken) == without_clocks(whole)
    assert_same(kept(whole), kept(broken))
