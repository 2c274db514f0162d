import keras
import numpy as np
import pytest

from dmg_tf.layers.batch_norm import FusedBatchNorm
from tests.helpers import assert_layer_contract


def batch(shape=(4, 3, 5, 6)):
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape) * 3 + 2).astype(np.float32)


def test_contract():
    assert_layer_contract(FusedBatchNorm, batch(), trainable=2, non_trainable=2)


def test_training_matches_numpy_and_moves_statistics_as_pytorch():
    layer, inputs = FusedBatchNorm(), batch()
    outputs = layer(inputs, training=True)
    mean, variance = inputs.mean((0, 1, 2)), inputs.var((0, 1, 2))
    np.testing.assert_allclose(
        outputs, (inputs - mean) / np.sqrt(variance + 1e-5), atol=1e-5
    )
    n = 4 * 3 * 5
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    # PyTorch keeps the unbiased variance
    np.testing.assert_allclose(
        layer.moving_variance, 0.9 + 0.1 * variance * n / (n - 1), rtol=1e-5
    )


def test_inference_uses_the_running_statistics():
    layer, inputs = FusedBatchNorm(), batch()
    layer.build(inputs.shape)
    layer.moving_mean.assign(np.arange(6.0))
    layer.moving_variance.assign(np.arange(1.0, 7.0))
    expected = (inputs - np.arange(6)) / np.sqrt(np.arange(1, 7) + 1e-5)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, np.arange(6.0))


def test_gradients_agree_with_keras():
    import tensorflow as tf

    inputs = batch()
    grads = []
    for layer in (
        FusedBatchNorm(),
        keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9),
    ):
        layer.build(inputs.shape)
        layer.gamma.assign(np.linspace(0.5, 2, 6))
        with tf.GradientTape() as tape:
            x = tf.constant(inputs)
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) ** 3)
        grads.append(
            tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        )
    for ours, theirs in zip(*grads, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5)


def test_in_bfloat16_statistics_are_float32():
    """Outputs and gradients are off by their rounding alone."""
    import tensorflow as tf

    found = []
    for dtype in ("float32", "mixed_bfloat16"):
        layer = FusedBatchNorm(dtype=dtype)
        # What 16 bits hold exactly: the difference is the layer's.
        x = tf.cast(batch(), "bfloat16")
        x = tf.cast(x, layer.compute_dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, "float32") ** 3)
        assert y.dtype == layer.compute_dtype
        weights = [layer.gamma.value, layer.beta.value]
        values = [y, *tape.gradient(loss, [x, *weights])]
        values += [layer.moving_mean, layer.moving_variance]
        found.append([tf.cast(value, "float32").numpy() for value in values])
    *computed, mean, variance = zip(*found, strict=True)
    for exact, rounded in computed:
        error = np.abs(rounded - exact).max() / np.abs(exact).max()
        assert error < 1e-2
    for exact, rounded in (mean, variance):
        np.testing.assert_allclose(rounded, exact, rtol=1e-5)


def test_other_ranks_are_refused():
    with pytest.raises(ValueError, match="got shape"):
        FusedBatchNorm().build((None, 4))
