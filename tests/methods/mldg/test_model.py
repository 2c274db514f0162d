import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(domains=("a", "b", "c"), optimizer="sgd", **options):
    model = build_model("mldg", "stub", 3, domains, image_size=16, **options)
    model.compile(OPTIMIZERS[optimizer](1e-2))
    return model


def test_all_sources_are_held_out_in_turn():
    model = make(mldg_held_out=2)
    held_out = set()
    for step in range(30):
        model.optimizer.iterations.assign(step)
        held_out.add(frozenset(model.draw_order().numpy()[1:].tolist()))
    assert held_out == {frozenset(s) for s in ((0, 1), (0, 2), (1, 2))}


@pytest.mark.parametrize("missing", [0, 2])
def test_a_domain_without_images_adds_nothing(missing):
    inputs, labels = random_batch(batch=6, size=16)
    ids = inputs["domain_ids"]
    model = make()
    model.draw_order = lambda: tf.constant([0, 1, 2])
    kept = model.objective(inputs, labels)
    ids[ids == missing] = 1
    step = model.objective(inputs, labels)
    assert np.isfinite(float(step.loss))
    if missing == 2:  # held out
        assert float(step.terms["held_out"][1]) == 0 < float(kept.loss)
    logs = model.train_step((inputs, labels))
    assert np.isfinite(float(logs["loss"]))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_the_inner_step_suits_the_optimizer():
    assert make(optimizer="adam").inner_rate == 1e-4
    assert make(optimizer="sgd").inner_rate == 5e-4
    assert make(optimizer="adam", mldg_inner_rate=0.5).inner_rate == 0.5
    scaled = make()
    scaled.compile(
        keras.optimizers.LossScaleOptimizer(OPTIMIZERS["adam"](1e-3))
    )
    assert scaled.inner_rate == 1e-4


@pytest.mark.parametrize("held_out,domains", [(1, "a"), (2, "ab"), (3, "abc")])
def test_a_source_must_be_left_to_train_on(held_out, domains):
    with pytest.raises(UserError, match=f"more than {held_out}, got "):
        make(tuple(domains), mldg_held_out=held_out)


@pytest.mark.parametrize("options", [{}, {"mldg_variant": "domainbed"}])
def test_two_replicas_take_the_step_of_one(options):
    """The inner step, too: a large one, so that its half would show."""
    assert_two_replicas_are_one(lambda: make(mldg_inner_rate=0.3, **options))
