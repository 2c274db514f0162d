import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(domains=("a", "b", "c"), **options):
    model = build_model("mixup", "stub", 3, domains, image_size=16, **options)
    model.compile(OPTIMIZERS["sgd"](1e-2))
    return model


def test_shares_are_a_function_of_seed_and_step():
    def draws(seed):
        model = make(seed=seed)
        found = []
        for step in range(5):
            model.optimizer.iterations.assign(step)
            found.append(tuple(model.draw_shares().numpy()))
        return found

    first, other = draws(0), draws(1)
    assert first == draws(0)
    assert len({share for draw in first + other for share in draw}) == 30


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_without_a_share_an_image_changes_nothing(share):
    inputs, labels = random_batch(batch=6, size=16)
    model = make()
    model.draw_order = lambda: tf.constant([1, 2, 0])
    model.draw_shares = lambda: tf.constant([share] * 3)
    step = model.objective(inputs, labels)
    logits = model.forward(inputs, training=True).logits
    plain = float(model.cross_entropy(labels, logits))
    assert float(step.loss) == pytest.approx(plain, rel=1e-5)
    # And the accuracy has the label of what is to be seen.
    np.testing.assert_allclose(
        step.logits, tf.gather(logits, step.rows), atol=1e-5
    )


def test_a_mixture_has_both_labels():
    inputs, labels = random_batch(batch=6, size=16)
    model = make()
    model.draw_order = lambda: tf.constant([0, 1, 2])
    model.draw_shares = lambda: tf.constant([0.75, 0.25, 0.5])
    x = inputs["image"]
    first, second = [0, 3, 1, 4, 2, 5], [1, 4, 2, 5, 0, 3]
    shares = np.repeat(np.float32([0.75, 0.25, 0.5]), 2)
    weights = shares.reshape(-1, 1, 1, 1)
    mixed = weights * x[first] + (1 - weights) * x[second]
    logits = model.forward({"image": mixed}, training=True).logits
    targets = np.eye(3)[labels]
    targets = (
        shares[:, None] * targets[first]
        + (1 - shares)[:, None] * targets[second]
    )
    expected = -(targets * tf.nn.log_softmax(logits)).numpy().sum(1).mean()
    step = model.objective(inputs, labels)
    assert float(step.loss) == pytest.approx(expected, rel=1e-5)
    assert step.rows.numpy().tolist() == [0, 3, 2, 5, 2, 5]


def test_a_domain_without_images_adds_nothing():
    inputs, labels = random_batch(batch=6, size=16)
    inputs["domain_ids"] = np.int32([0, 0, 1, 1, 0, 1])
    model = make()
    model.train_step((inputs, labels))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_one_source_has_no_partner():
    with pytest.raises(UserError, match="Mixup mixes .* at least 2, got 1"):
        make(("a",))


def test_two_replicas_take_the_step_of_one():
    assert_two_replicas_are_one(lambda: make(mixup_alpha=1.0))
