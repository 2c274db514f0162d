"""Computing in float64, where rounding moves no ReLU."""

import contextlib
from unittest import mock

import keras
import tensorflow as tf

from dmg_tf.layers.batch_norm import FusedBatchNorm


def _batch_norm(self, inputs, training=False):
    # TensorFlow has no kernel for float64.
    if not training:
        mean = tf.cast(tf.convert_to_tensor(self.moving_mean), tf.float64)
        variance = tf.cast(
            tf.convert_to_tensor(self.moving_variance), tf.float64
        )
    else:
        mean = tf.reduce_mean(inputs, [0, 1, 2])
        variance = tf.reduce_mean(tf.square(inputs - mean), [0, 1, 2])
        count = tf.cast(tf.size(inputs) / tf.size(mean), tf.float64)
        for running, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance * count / (count - 1)),
        ):
            change = tf.cast(batch, tf.float32) - running
            running.assign_add((1 - self.momentum) * change)
    gamma = tf.cast(tf.convert_to_tensor(self.gamma), tf.float64)
    beta = tf.cast(tf.convert_to_tensor(self.beta), tf.float64)
    scale = tf.math.rsqrt(variance + self.epsilon) * gamma
    return (inputs - mean) * scale + beta


@contextlib.contextmanager
def float64():
    """Makes new models compute in float64."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        with mock.patch.object(FusedBatchNorm, "call", _batch_norm):
            yield
    finally:
        keras.config.set_dtype_policy(before)
