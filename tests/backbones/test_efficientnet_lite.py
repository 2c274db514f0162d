import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.backbones.blocks import NetworkSpec
from dmg_tf.backbones.efficientnet_lite.network import efficientnet_lite0
from dmg_tf.errors import UserError
from dmg_tf.layers.batch_norm import FusedBatchNorm
from dmg_tf.methods.build import build_model
from tests.helpers import assert_step_moves_every_weight, random_batch

DOMAINS = ("a", "b", "c")
# Input, filters, kernel and stride of each block, as the weight file has them.
BLOCKS = (
    (32, 16, 3, 1),
    (16, 24, 3, 2),
    (24, 24, 3, 1),
    (24, 40, 5, 2),
    (40, 40, 5, 1),
    (40, 80, 3, 2),
    (80, 80, 3, 1),
    (80, 80, 3, 1),
    (80, 112, 5, 1),
    (112, 112, 5, 1),
    (112, 112, 5, 1),
    (112, 192, 5, 2),
    (192, 192, 5, 1),
    (192, 192, 5, 1),
    (192, 192, 5, 1),
    (192, 320, 3, 1),
)


def named_layers(network):
    return {
        layer.name: layer
        for stage in network.stages
        for layer in getattr(stage, "layers", [stage])
    }


@pytest.fixture(scope="module")
def network():
    return efficientnet_lite0(NetworkSpec(7, seed=3))


# === Architecture ===


@pytest.mark.parametrize("number", range(16))
def test_blocks(network, number):
    inputs, filters, kernel, stride = BLOCKS[number]
    layers = named_layers(network)
    width = inputs if number == 0 else 6 * inputs
    name = f"blocks.{number}"
    if number:
        expand = layers[f"{name}.expand_conv"]
        assert expand.kernel.shape == (1, 1, inputs, width)
    else:
        assert f"{name}.expand_conv" not in layers
    depthwise = layers[f"{name}.depthwise_conv"]
    assert depthwise.kernel.shape == (kernel, kernel, width, 1)
    assert depthwise.strides == (stride, stride)
    project = layers[f"{name}.project_conv"]
    assert project.kernel.shape == (1, 1, width, filters)


def test_stages_and_default_sites(network):
    names = [stage.name for stage in network.stages]
    assert names == ["features", "blocks.15", "conv_head", "fc"]
    assert network.mask_sites == ("blocks.15", "fc")
    model = build_model("dmg", "efficientnet_lite0", 7, DOMAINS)
    widths = {s: m.mask_logits.shape[1] for s, m in model.domain_masks.items()}
    assert widths == {"blocks.15": 192, "fc": 1280}


@pytest.mark.parametrize("site, width", [("conv_head", 320), ("fc", 1280)])
def test_other_sites(site, width):
    model = build_model(
        "dmg", "efficientnet_lite0", 7, DOMAINS, mask_sites=[site]
    )
    assert model.domain_masks[site].mask_logits.shape == (3, width)


def test_number_of_parameters():
    model = build_model("aggregate", "efficientnet_lite0", 1000, DOMAINS)
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trained == 4_652_008


def test_normalisation(network):
    pixels = np.array([[0, 127, 255]])
    found = (pixels / 255 - network.mean) / network.std
    np.testing.assert_allclose(found, (pixels - 127) / 128, atol=1e-12)


def test_batch_norm_constants(network):
    found = {
        (layer.epsilon, layer.momentum)
        for layer in named_layers(network).values()
        if isinstance(layer, FusedBatchNorm)
    }
    assert found == {(1e-3, 0.99)}


@pytest.mark.parametrize("size", [32, 65])
def test_any_size_from_32(network, size):
    x = np.random.default_rng(0).normal(size=(2, size, size, 3))
    for stage in network.stages:
        x = stage(x)
    assert x.shape == (2, 7)
    assert np.all(np.isfinite(x)) and np.ptp(x, axis=1).min() > 0


def test_activations_end_at_six(network):
    x = np.full((1, 32, 32, 3), 1e4, np.float32)
    features = keras.Model(
        network.stages[0].input,
        [
            layer.output
            for layer in network.stages[0].layers
            if isinstance(layer, keras.layers.ReLU)
        ],
    )
    assert max(float(np.max(y)) for y in features(x)) == 6.0


def test_dropout_stands_before_the_classifier():
    for dropout in (True, False):
        network = efficientnet_lite0(NetworkSpec(7, dropout=dropout))
        found = [
            (stage.name, layer.rate)
            for stage in network.stages
            for layer in getattr(stage, "layers", [])
            if isinstance(layer, keras.layers.Dropout)
        ]
        assert found == ([("conv_head", 0.2)] if dropout else [])


# === Weights ===


def test_initial_weights(network):
    layers = named_layers(network)
    # Normal, of variance 2 / (outputs * pixels of the kernel).
    for name, fan_out in (
        ("conv_head", 1280),
        ("blocks.12.expand_conv", 1152),
        ("blocks.12.depthwise_conv", 25),
    ):
        kernel = layers[name].kernel.numpy()
        # Five standard errors of a standard deviation.
        bound = 5 / np.sqrt(2 * kernel.size)
        np.testing.assert_allclose(
            kernel.std(), np.sqrt(2 / fan_out), rtol=bound
        )
    again = named_layers(efficientnet_lite0(NetworkSpec(7, seed=3)))
    other = named_layers(efficientnet_lite0(NetworkSpec(7, seed=4)))
    name = "blocks.12.depthwise_conv"
    kernel = layers[name].kernel.numpy()
    np.testing.assert_array_equal(again[name].kernel.numpy(), kernel)
    assert np.abs(other[name].kernel.numpy() - kernel).max() > 0
    assert (
        np.abs(layers["blocks.13.depthwise_conv"].kernel.numpy() - kernel).max()
        > 0
    )


def test_entries_have_the_names_of_the_file():
    model = build_model("aggregate", "efficientnet_lite0", 7, DOMAINS)
    entries = model.torchvision_entries()
    # 5 for each of 49 convolutions with batch normalisation, and the last two.
    assert len(entries) == 5 * 49 + 2
    assert {
        "_conv_stem.weight",
        "_bn0.running_mean",
        "_blocks.0._depthwise_conv.weight",
        "_blocks.1._expand_conv.weight",
        "_blocks.15._bn2.running_var",
        "_conv_head.weight",
        "_bn1.bias",
        "_fc.weight",
        "_fc.bias",
    } <= set(entries)
    assert model.classifier_entries == ("_fc.weight", "_fc.bias")


def test_load_keeps_a_classifier_of_other_classes():
    model = build_model("dmg", "efficientnet_lite0", 7, DOMAINS)
    rng = np.random.default_rng(0)
    state = {}
    for name, (variable, axes) in model.torchvision_entries().items():
        shape = np.zeros(len(axes), int)
        shape[list(axes)] = variable.shape
        state[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    state["_bn0.num_batches_tracked"] = np.int64(5)
    state["_fc.weight"] = np.ones((1000, 1280), np.float32)
    state["_fc.bias"] = np.ones(1000, np.float32)
    fresh = model.task_network.stages[-1].kernel.numpy()
    model.load_torchvision(state)
    np.testing.assert_array_equal(
        model.task_network.stages[-1].kernel.numpy(), fresh
    )
    depthwise = model.torchvision_entries()["_blocks.3._depthwise_conv.weight"]
    np.testing.assert_array_equal(
        depthwise[0].numpy()[..., 0],
        state["_blocks.3._depthwise_conv.weight"][:, 0].transpose(1, 2, 0),
    )
    state["conv_stem.weight"] = state.pop("_conv_stem.weight")
    with pytest.raises(UserError, match="missing: _conv_stem.weight"):
        model.load_torchvision(state)


# === Training and saving ===


@pytest.mark.slow
def test_trains_and_saves(tmp_path):
    model = build_model("dmg", "efficientnet_lite0", 3, DOMAINS, image_size=32)
    # Eagerly: tracing it would take longer than all else here.
    model.compile(optimizer="adam", run_eagerly=True)
    inputs, labels = random_batch()
    data = tf.data.Dataset.from_tensors((inputs, labels))
    assert_step_moves_every_weight(model, data)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.logits(inputs["image"]), model.logits(inputs["image"])
    )


def test_unknown_sites_are_refused():
    with pytest.raises(UserError, match="mask site of efficientnet_lite0"):
        build_model(
            "dmg", "efficientnet_lite0", 7, DOMAINS, mask_sites=["features"]
        )
