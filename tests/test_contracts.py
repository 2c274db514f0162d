"""Every backbone, on synthetic data, by the real step.

A method sees a backbone as stages alone: one with masks stands for all. The
same of every method is in tests/methods/test_base.py.
"""

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_trains_and_predicts_by_every_rule(backbone):
    domains = ("a", "b", "c", "d")
    model = build_model("dmg", backbone, 5, domains, image_size=32, seed=3)
    model.total_steps = 10
    inputs, labels = random_batch(batch=8, classes=5, domains=4)
    rules = dict.fromkeys((*model.prediction_rules, model.selection_rule))
    before = model.logits(inputs["image"]).numpy()
    # Eagerly: tracing ResNet-50 would take longer than all else here.
    optimizer = OPTIMIZERS["adam"](1e-3, l2=1e-5)
    model.compile(optimizer=optimizer, run_eagerly=True)
    data = tf.data.Dataset.from_tensors((inputs, labels))
    history = model.fit(data, verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"][0])
    assert not np.array_equal(before, model.logits(inputs["image"]))
    for rule in rules:
        logits = model.logits(inputs["image"], rule, inputs["domain_ids"])
        assert logits.shape == (8, 5) and logits.dtype == tf.float32
        assert np.all(np.isfinite(logits))


@pytest.mark.parametrize("backbone", BACKBONES.names())
def test_a_loaded_state_dict_does_not_reach_the_masks(backbone):
    model = build_model("dmg", backbone, 3, ("a", "b"), image_size=32)
    assert model.domain_masks
    masks = [m.mask_logits.numpy() for m in model.domain_masks.values()]
    state = {
        name: np.zeros([variable.shape[i] for i in np.argsort(axes)])
        for name, (variable, axes) in model.torchvision_entries().items()
    }
    model.load_torchvision(state)
    for before, mask in zip(masks, model.domain_masks.values(), strict=True):
        np.testing.assert_array_equal(before, mask.mask_logits)
