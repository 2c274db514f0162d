import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.masf.losses import global_loss, local_loss
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(domains=("a", "b", "c"), **options):
    options = {"masf_metric_units": (6, 4), **options}
    model = build_model("masf", "stub", 3, domains, image_size=16, **options)
    model.compile(OPTIMIZERS["sgd"](1e-2))
    return model


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# === Losses ===


def test_global_loss_is_the_symmetrised_divergence():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 6, 4)).astype(np.float32)
    labels = rng.integers(0, 4, (3, 6))
    labels[1][labels[1] == 2] = 0  # a class that a domain lacks
    expected = []
    for s in (0, 1):
        for c in range(4):
            own, other = labels[s] == c, labels[2] == c
            if own.any() and other.any():
                p = softmax(logits[s][own].mean(0) / 2)
                q = softmax(logits[2][other].mean(0) / 2)
                both = p * np.log(p / q) + q * np.log(q / p)
                expected.append(both.sum() / 2)
    weights = np.ones((3, 6), np.float32)
    found = global_loss(logits, labels, weights, 2.0)
    np.testing.assert_allclose(found, sum(expected) / 4 / 2, rtol=1e-5)
    soft = np.eye(4, dtype=np.float32)[labels]
    np.testing.assert_allclose(
        global_loss(logits, soft, weights, 2.0), found, rtol=1e-6
    )


def test_no_class_in_both_is_no_difference():
    logits = tf.random.normal([2, 4, 3], seed=0)
    labels = np.int32([[0] * 4, [1] * 4])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = global_loss(logits, labels, tf.ones([2, 4]), 2.0)
    assert float(loss) == 0
    assert np.all(tape.gradient(loss, logits).numpy() == 0)


def test_local_loss_is_that_of_a_loop():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(9, 3)).astype(np.float32)
    classes = np.int32([0, 1, 2, 0, 1, 2, 0, 0, 1])
    square = ((x[:, None] - x[None]) ** 2).sum(-1)
    losses = []
    for a in range(9):
        others = square[a][classes != classes[a]]
        for p in range(9):
            if p != a and classes[p] == classes[a]:
                farther = others[others > square[a, p]]
                n = farther.min() if len(farther) else others.max()
                losses.append(max(0, 0.7 + square[a, p] - n))
    found = local_loss(x, classes, 0.7)
    np.testing.assert_allclose(found, np.mean(losses), rtol=1e-5)


@pytest.mark.parametrize("classes", [[0, 1, 2], [1, 1, 1]])
def test_no_triplet_is_no_loss(classes):
    x = tf.random.normal([3, 2], seed=0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = local_loss(x, tf.constant(classes), 20.0)
    assert float(loss) == 0
    assert np.all(tape.gradient(loss, x).numpy() == 0)


# === The model ===


def test_a_domain_without_images_adds_nothing():
    inputs, labels = random_batch(batch=6, size=16)
    inputs["domain_ids"] = np.int32([0, 0, 1, 1, 0, 1])
    model = make()
    model.draw_order = lambda: tf.constant([0, 1, 2])
    logs = model.train_step((inputs, labels))
    assert float(logs["global"]) == 0
    assert np.isfinite(float(logs["loss"]))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_metric_network_is_kept_and_not_exported():
    model = make(masf_metric_units=(5, 4, 2))
    shapes = [tuple(w.shape) for w in model.metric_weights]
    assert shapes == [(8, 5), (5,), (5, 4), (4,), (4, 2), (2,)]
    kept = {id(w) for w in model.trainable_weights}
    assert {id(w) for w in model.metric_weights} <= kept
    exported = {id(v) for x in model.inference_layers() for v in x.variables}
    assert not exported & {id(w) for w in model.metric_weights}
    assert model.get_config()["masf_metric_units"] == [5, 4, 2]


def test_mistakes():
    with pytest.raises(UserError, match="at least 2, got 1"):
        make(("a",))
    with pytest.raises(UserError, match="at least 1, got 4 0"):
        make(masf_metric_units=(4, 0))


def test_two_replicas_take_the_step_of_one():
    """A large inner step that is not clipped, and losses that count."""
    assert_two_replicas_are_one(
        lambda: make(
            masf_inner_rate=0.02,
            masf_clip=100.0,
            masf_local=1.0,
            masf_margin=1.0,
            masf_global=10.0,
        )
    )
