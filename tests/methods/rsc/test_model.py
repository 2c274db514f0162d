import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.build import build_model
from dmg_tf.methods.rsc.model import lies_below
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(**options):
    model = build_model(
        "rsc", "stub", 3, ("a", "b", "c"), image_size=16, **options
    )
    model.compile(OPTIMIZERS["sgd"](1e-2), run_eagerly=True)
    return model


@pytest.mark.parametrize("share", [0.0, 0.25, 1 / 3, 0.5, 2 / 3, 0.9, 1.0])
@pytest.mark.parametrize("count", [1, 2, 12, 16, 17])
def test_what_lies_below_is_numpy_s(share, count):
    rng = np.random.default_rng(count)
    # Among few whole numbers some are equal.
    for x in (rng.normal(size=(5, count)), rng.integers(0, 4, (5, count))):
        x = x.astype(np.float64)
        bound = np.percentile(x, 100 * share, axis=1, keepdims=True)
        place = share * (count - 1)
        if 0 < place % 1 < 1e-9:  # NumPy's own rounding decides
            below, above = (np.sort(x)[:, int(place) + i] for i in (0, 1))
            bound = np.where(above > below, below + 1e-9, below)[:, None]
        found = lies_below(tf.constant(x, tf.float32), share)
        np.testing.assert_array_equal(found, x < bound)


def test_muted_features_say_most_for_the_class():
    model = make(rsc_feature_share=0.5)
    inputs, labels = random_batch(batch=9, size=16)
    logits, hidden, _ = model.forward(inputs, training=True)
    kept = model.kept(logits, hidden, tf.constant(labels))
    kernel = model.task_network.stages[-1].kernel.numpy()
    for image, label in enumerate(labels):
        order = np.argsort(kernel[:, label])
        np.testing.assert_array_equal(
            np.flatnonzero(kept.features[image]), np.sort(order[:4])
        )
    # By whom it hurts most: a third, of nine images three.
    hurt = np.argsort(kept.change)[-3:]
    assert set(np.flatnonzero(~kept.spared.numpy())) == set(hurt.tolist())
    expected = kept.features.numpy() | kept.spared.numpy()[:, np.newaxis]
    np.testing.assert_array_equal(kept.mask, expected)
    shares = np.eye(3, dtype=np.float32)[labels]
    for one, two in zip(
        kept, model.kept(logits, hidden, tf.constant(shares)), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_without_muting_the_step_is_the_pooled_one():
    data = random_batch(batch=6, size=16)
    plain = build_model("aggregate", "stub", 3, ("a", "b", "c"), image_size=16)
    plain.compile(OPTIMIZERS["sgd"](1e-2), run_eagerly=True)
    # The largest is never below the largest: a share of 0 mutes it alone.
    model, muted = make(), make()
    model.kept = lambda *args: muted.kept(*args)._replace(
        mask=tf.ones([6, 8], tf.bool)
    )
    for each in (plain, model, muted):
        logs = each.train_step(data)
    weights = [m.network_weights() for m in (plain, model, muted)]
    for one, two in zip(*weights[:2], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-7)
    moved = [np.abs(a - b).max() for a, b in zip(*weights[1:], strict=True)]
    assert max(moved) > 1e-5
    assert logs["cross_entropy"] > logs["whole_cross_entropy"]
    assert logs["change"] > 0


def test_two_replicas_take_the_step_of_one():
    # Each by itself would mute another three of its six images.
    assert_two_replicas_are_one(make)
