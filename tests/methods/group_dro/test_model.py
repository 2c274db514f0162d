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
    model = build_model(
        "group_dro", "stub", 3, domains, image_size=16, **options
    )
    model.compile(OPTIMIZERS["sgd"](1e-2))
    return model


@pytest.fixture(scope="module")
def model(with_stub):
    model = make(group_dro_step=0.5)
    model.domain_weights.assign([0.5, 0.3, 0.2])
    return model


def next_weights(model, risks, there=(1, 1, 1)):
    risks, there = tf.constant(risks, tf.float32), tf.constant(there)
    return model.next_weights(risks, tf.cast(there, tf.float32)).numpy()


def test_weights_grow_with_the_loss(model):
    q = np.array([0.5, 0.3, 0.2]) * np.exp([0.1, 0.6, 1.0])
    found = next_weights(model, [0.2, 1.2, 2.0])
    np.testing.assert_allclose(found, q / q.sum(), rtol=1e-6)


def test_a_domain_without_images_keeps_its_weight(model):
    found = next_weights(model, [0.2, 0.0, 2.0], (1, 0, 1))
    q = np.array([0.5, 0.2]) * np.exp([0.1, 1.0])
    q *= 0.7 / q.sum()
    np.testing.assert_allclose(found, [q[0], 0.3, q[1]], rtol=1e-6)


def test_a_loss_may_be_high(model):
    np.testing.assert_allclose(next_weights(model, [1e4, 1, 1]), [1, 0, 0])


@pytest.mark.parametrize("risk", [np.inf, np.nan])
def test_a_step_that_overflows_changes_no_weight(model, risk):
    found = next_weights(model, [1.0, risk, 2.0])
    np.testing.assert_array_equal(found, model.domain_weights)


def test_losses_and_weights_are_reported():
    model = make(group_dro_step=1.0)
    logs = model.train_step(random_batch(batch=6, size=16))
    risks = np.array([logs[f"risk_{d}"] for d in "abc"])
    q = np.array([logs[f"weight_{d}"] for d in "abc"])
    np.testing.assert_allclose(q, model.domain_weights, rtol=1e-6)
    np.testing.assert_allclose(
        q, np.exp(risks) / np.exp(risks).sum(), rtol=1e-5
    )
    assert float(logs["loss"]) == pytest.approx((q * risks).sum(), rel=1e-5)
    assert float(logs["cross_entropy"]) == pytest.approx(risks.mean(), rel=1e-5)
    assert float(logs["worst"]) == risks.max()


def test_one_source_has_all_the_weight():
    with pytest.raises(UserError, match="GroupDRO weighs .* at least 2, got 1"):
        make(("a",))


def test_two_replicas_take_the_step_of_one():
    """And have one q."""
    assert_two_replicas_are_one(lambda: make(group_dro_step=2.0))
