import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.mixup.model import beta_shares
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(domains=("a", "b", "c"), **options):
    model = build_model("mixup", "stub", 3, domains, image_size=16, **options)
    model.compile(OPTIMIZERS["sgd"](1e-2))
    return model


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0])
def test_shares_have_the_distribution(alpha):
    shares = beta_shares(0, 7, alpha, 20_000).numpy().astype(np.float64)
    assert ((shares >= 0) & (shares <= 1)).all()
    variance = 1 / (4 * (2 * alpha + 1))
    # Four standard errors of the mean; the fourth moment is at most 1/16.
    assert abs(shares.mean() - 0.5) < 4 * np.sqrt(variance / 20_000)
    assert abs(shares.var() - variance) < 4 * np.sqrt(1 / 16 / 20_000)
    drawn = np.random.default_rng(0).beta(alpha, alpha, 20_000)
    for quantile in (0.05, 0.3):
        below = [(x < quantile).mean() for x in (shares, drawn)]
        # Four standard errors of a difference of two shares of at most 1/2.
        assert abs(below[0] - below[1]) < 4 * np.sqrt(2 / 4 / 20_000)


def test_shares_are_a_function_of_seed_and_step():
    draws = [
        tuple(beta_shares(seed, tf.constant(step), 0.2, 3).numpy())
        for seed in (0, 1)
        for step in range(5)
    ]
    again = [tuple(beta_shares(0, step, 0.2, 3).numpy()) for step in range(5)]
    assert draws[:5] == again
    assert len({share for draw in draws for share in draw}) == 30


def test_a_small_alpha_mixes_nothing():
    shares = beta_shares(0, 0, 1e-4, 1000).numpy()
    assert np.isfinite(shares).all()
    assert 400 < (shares > 0.5).sum() < 600
    assert (np.minimum(shares, 1 - shares) < 1e-6).mean() > 0.95


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
