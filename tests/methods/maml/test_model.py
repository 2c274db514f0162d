import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(**options):
    model = build_model(
        "maml", "stub", 3, ("a", "b", "c"), image_size=16, **options
    )
    model.compile(OPTIMIZERS["sgd"](1e-2))
    return model


def test_what_adapts_is_not_what_judges():
    """Images of one half alone change the loss only through the other's."""
    inputs, labels = random_batch(batch=12, size=16)
    judged_by = np.arange(12) // 3 % 2 == 1
    weights = np.where(judged_by, 0.0, 1.0).astype(np.float32)
    step = make().objective(inputs, labels, weights)
    assert float(step.terms["adapted"][1]) == 0
    step = make(maml_inner_rate=0.5).objective(inputs, labels, 1 - weights)
    tiny = make(maml_inner_rate=1e-9).objective(inputs, labels, 1 - weights)
    # Nothing adapts either.
    np.testing.assert_allclose(step.loss, tiny.loss, rtol=1e-6)


def test_a_domain_without_images_adds_nothing():
    inputs, labels = random_batch(batch=6, size=16)
    inputs["domain_ids"] = np.int32([0, 0, 1, 1, 0, 1])
    model = make(maml_inner_steps=2)
    logs = model.train_step((inputs, labels))
    assert np.isfinite(float(logs["loss"])) and float(logs["loss"]) > 0
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_domain_needs_two_images():
    model = make()
    data = tf.data.Dataset.from_tensors(random_batch(batch=3, size=16))
    with pytest.raises(UserError, match="at least 2 images .* got 1"):
        model.fit(data, verbose=0)


def test_two_replicas_take_the_step_of_one():
    assert_two_replicas_are_one(lambda: make(maml_inner_rate=0.3))
