"""The settings beside the paper's that a recipe is made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.layers.batch_norm import batch_norms
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES
from dmg_tf.training.losses import CrossEntropy
from dmg_tf.training.setup import balanced
from tests.golden.checks.files import Recorder
from tests.stubs import NORMED


@pytest.fixture
def model(with_stub):
    """A baseline with batch normalisation, and a batch."""
    with BACKBONES.with_name("normed", NORMED):
        model = build_model("aggregate", "normed", 4, ("a", "b"), image_size=32)
    model.compile(Recorder())
    return model


@pytest.fixture
def batch():
    """Images with labels."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 32, 32, 3)).astype(np.float32)
    return tf.constant(images), tf.constant([0, 1, 2, 3, 3, 3])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_labels(smoothing):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 4)).astype(np.float32)
    labels = np.array([0, 3, 2, 1, 1])
    shares = np.eye(4, dtype=np.float32)[labels]
    expected = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing
    )
    ours = CrossEntropy(label_smoothing=smoothing)
    for given in (labels, shares):
        assert float(ours(given, logits)) == pytest.approx(
            float(expected(shares, logits)), rel=1e-5
        )
    again = CrossEntropy.from_config(ours.get_config())
    assert again.label_smoothing == smoothing


def gradients(model, batch):
    model.train_step(batch)
    return [np.asarray(model.optimizer.of(w)) for w in model.trainable_weights]


def norm(arrays):
    return np.sqrt(sum(np.sum(np.square(a)) for a in arrays))


def test_a_gradient_is_clipped_as_a_whole(model, batch):
    plain = gradients(model, batch)
    model.gradient_clip = norm(plain) / 2
    for free, clipped in zip(plain, gradients(model, batch), strict=True):
        np.testing.assert_allclose(clipped, free / 2, rtol=1e-4, atol=1e-7)
    model.gradient_clip = norm(plain) * 2
    for free, clipped in zip(plain, gradients(model, batch), strict=True):
        np.testing.assert_allclose(clipped, free, rtol=1e-6)


def test_frozen_batch_statistics(model, batch):
    (norms,) = {len(batch_norms([model]))}
    assert norms == 2
    for layer in batch_norms([model]):
        layer.moving_mean.assign_add(0.05 * tf.ones([8]))
        layer.frozen = True
    before = [layer.moving_mean.numpy() for layer in batch_norms([model])]
    images, _ = batch
    np.testing.assert_allclose(
        model(images, training=True), model(images, training=False), rtol=1e-5
    )
    found = gradients(model, batch)
    for value, layer in zip(before, batch_norms([model]), strict=True):
        np.testing.assert_array_equal(layer.moving_mean, value)
        gamma = model.optimizer.of(layer.gamma)
        assert np.any(np.asarray(gamma) != 0)
    assert len(found) == len(model.trainable_weights)


def test_balanced_classes():
    weights = balanced([0, 0, 0, 1], 3)
    np.testing.assert_allclose(weights, [4 / (2 * 3), 4 / 2, 0.0])
    # The mean over images is 1.
    assert np.mean([weights[label] for label in (0, 0, 0, 1)]) == 1


def test_class_weights_are_sample_weights(model, batch):
    images, labels = batch
    weights = tf.constant([2.0, 0.5, 1.0, 0.25])
    expected = gradients(model, (images, labels, tf.gather(weights, labels)))
    model.class_weights = weights.numpy().tolist()
    for given in (labels, tf.one_hot(labels, 4)):
        for mine, theirs in zip(
            gradients(model, (images, given)), expected, strict=True
        ):
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
    both = gradients(model, (images, labels, tf.fill([6], 2.0)))
    for mine, theirs in zip(both, expected, strict=True):
        np.testing.assert_allclose(mine, 2 * theirs, atol=1e-6)
