"""A model's inference on copies of its weights: plain, folded, in 16 bits."""

import numpy as np
import pytest

from dmg_tf.errors import UserError
from dmg_tf.export.network import stored_network
from dmg_tf.methods.dmg.folding import folded_kernels
from dmg_tf.registry import BACKBONES
from tests.export.helpers import assert_close, make, prepared, some_images

# The default sites and further ones, and how many kernels they scale: a
# residual stage has two.
SITES = {
    "conv4": (("conv3", "conv4", "fc"), 3),
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
    rules = [rule.name for rule in stored.rules]
    assert rules == list(model.prediction_rules)
    expected = model.logits_by_rule(inputs, rules, [1, 0])
    found = stored.logits(inputs, rules, [1, 0])
    for rule in rules:
        assert_close(found[rule], expected[rule])
    folded = stored_network(model, fold=True)
    found = folded.logits(inputs, [rule.name for rule in folded.rules])
    assert np.abs(expected["mask_ens"]).max() > 0.1
    assert list(found) == ["mask_ens"]
    assert_close(found["mask_ens"], expected["mask_ens"])
    # One plain network, and no mask.
    masks = [m.mask_logits.path for m in model.domain_masks.values()]
    plain = [tuple(w.shape) for w in model.weights if w.path not in masks]
    shapes = [tuple(variable.shape) for variable in folded.variables]
    assert sorted(shapes) == sorted(plain)


def test_a_shortcut_without_weights_cannot_be_folded():
    model = make("dmg", "resnet18", mask_sites=("layer1", "fc"))
    with pytest.raises(UserError, match="'layer1' cannot be folded: Add "):
        stored_network(model, fold=True)


def test_a_weight_beyond_16_bits_is_an_error(with_stub):
    model = make("aggregate", "stub")
    kernel = model.task_network.stages[-1].kernel
    kernel.assign(kernel * 0 + 1e6)
    with pytest.raises(UserError, match="reach 1e[+]06, which does not fit"):
        stored_network(model, precision="float16")
