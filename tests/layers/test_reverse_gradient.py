import numpy as np
import tensorflow as tf

from dmg_tf.layers.reverse_gradient import reverse_gradient


def test_values_stay_and_gradients_turn_round():
    x = tf.constant([[1.0, -2.0], [3.0, 0.5]])
    strength = tf.constant(0.7)

    @tf.function
    def compute(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = reverse_gradient(x, strength)
                loss = tf.reduce_sum(y**3)
            first = inner.gradient(loss, x)
            squares = tf.reduce_sum(first**2)
        return y, first, outer.gradient(squares, x)

    y, first, second = compute(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_allclose(first, -0.7 * 3 * x**2, rtol=1e-6)
    # (0.7 * 3 y²)² has the slope 4 (0.7 * 3)² y³, which is turned round too.
    np.testing.assert_allclose(second, -0.7 * 4 * 2.1**2 * x**3, rtol=1e-6)


def test_16_bits_stay_so():
    x = tf.constant([1.0, 2.0], tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = reverse_gradient(x, tf.constant(0.5))
    assert y.dtype == tape.gradient(y, x).dtype == tf.bfloat16
