import re

import numpy as np
import pytest

import dmg_tf.backbones  # noqa: F401  (fills the registry)
from dmg_tf.backbones.blocks import NetworkSpec
from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES

# Published numbers of parameters (of conv4 counted), 1000 classes.
PARAMETERS = {
    "conv4": 177_832,
    "alexnet": 61_100_840,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "efficientnet_lite0": 4_652_008,
}
SITES = {
    "conv4": ("conv4", "fc"),
    "alexnet": ("classifier.1", "classifier.4", "classifier.6"),
    "resnet18": ("layer4", "fc"),
    "resnet50": ("layer4", "fc"),
    "efficientnet_lite0": ("blocks.15", "fc"),
}
WIDTHS = {
    "conv4": [64, 64],
    "alexnet": [9216, 4096, 4096],
    "resnet18": [256, 512],
    "resnet50": [1024, 2048],
    "efficientnet_lite0": [192, 1280],
}
DOMAINS = ("a", "b", "c")


def test_every_backbone_has_an_entry():
    assert set(PARAMETERS) == set(BACKBONES.names())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_masks(name):
    model = build_model("dmg", name, 1000, DOMAINS, image_size=64)
    masks = sum(3 * width for width in WIDTHS[name])
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trained == PARAMETERS[name] + masks
    assert tuple(model.domain_masks) == SITES[name]
    assert [m.mask_logits.shape[1] for m in model.domain_masks.values()] == (
        WIDTHS[name]
    )


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("size", [32, 65])
def test_any_size_from_32(name, size):
    model = build_model("aggregate", name, 5, DOMAINS, image_size=size)
    images = np.random.default_rng(0).normal(size=(2, size, size, 3))
    logits = model.logits(images).numpy()
    assert logits.shape == (2, 5)
    assert np.all(np.isfinite(logits)) and np.ptp(logits, axis=1).min() > 0


@pytest.mark.parametrize("name", PARAMETERS)
def test_load_torchvision_reaches_every_entry(name):
    model = build_model("dmg", name, 7, DOMAINS, image_size=64)
    entries = model.torchvision_entries()
    rng = np.random.default_rng(0)
    state = {}
    for key, (variable, axes) in entries.items():
        shape = np.zeros(len(axes), int)
        shape[list(axes)] = variable.shape
        state[key] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        if key.endswith("running_mean"):
            state[
                key.replace("mean", "var").replace(
                    "running_var", "num_batches_tracked"
                )
            ] = np.int64(3)
    model.load_torchvision(state)
    for key, (variable, axes) in entries.items():
        np.testing.assert_array_equal(
            variable.numpy(), state[key].transpose(axes)
        )
    # every variable but the masks has a name in torchvision
    named = {id(variable) for variable, _ in entries.values()}
    rest = [v.path for v in model.weights if id(v) not in named]
    assert all(re.search("mask_logits$", path) for path in rest), rest


def test_load_torchvision_is_strict():
    model = build_model("aggregate", "resnet18", 7, DOMAINS, image_size=32)
    state = {
        key: np.zeros([variable.shape[i] for i in np.argsort(axes)], np.float32)
        for key, (variable, axes) in model.torchvision_entries().items()
    }
    missing = {k: v for k, v in state.items() if k != "layer2.0.bn1.bias"}
    with pytest.raises(UserError, match=r"layer2\.0\.bn1\.bias"):
        model.load_torchvision(missing)
    with pytest.raises(UserError, match="extra.weight"):
        model.load_torchvision({**state, "extra.weight": np.zeros(3)})
    state["conv1.weight"] = np.zeros((64, 3, 3, 3), np.float32)
    with pytest.raises(UserError, match="conv1.weight"):
        model.load_torchvision(state)


def test_other_number_of_classes_keeps_the_classifier_fresh():
    model = build_model("aggregate", "resnet18", 7, DOMAINS, image_size=32)
    before = model.task_network.stages[-1].kernel.numpy()
    other = build_model("aggregate", "resnet18", 1000, DOMAINS, seed=5)
    state = {
        key: variable.numpy().transpose(np.argsort(axes))
        for key, (variable, axes) in other.torchvision_entries().items()
    }
    model.load_torchvision(state)
    np.testing.assert_array_equal(model.task_network.stages[-1].kernel, before)
    first, theirs = (
        m.feature_extractor.layers[0].layers[1].kernel for m in (model, other)
    )
    np.testing.assert_array_equal(first, theirs)


def test_dropout_can_be_left_out():
    names = {
        dropout: [
            layer.name
            for stage in BACKBONES["alexnet"](
                NetworkSpec(3, dropout=dropout)
            ).stages[:-1]
            for layer in stage.layers
        ]
        for dropout in (True, False)
    }
    assert {"classifier.0", "classifier.3"} <= set(names[True])
    assert not {"classifier.0", "classifier.3"} & set(names[False])


def test_same_weights_whatever_is_masked():
    first = build_model("dmg", "resnet18", 3, DOMAINS, mask_sites=["fc"])
    second = build_model("aggregate", "resnet18", 3, DOMAINS)
    theirs = second.torchvision_entries()
    for key, (variable, _) in first.torchvision_entries().items():
        np.testing.assert_array_equal(variable, theirs[key][0])


def test_unknown_site_is_refused():
    with pytest.raises(UserError, match="Did you mean 'layer4'"):
        build_model("dmg", "resnet18", 3, DOMAINS, mask_sites=["layer5"])
