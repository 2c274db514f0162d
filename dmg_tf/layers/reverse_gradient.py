"""The identity whose gradient is turned round, for adversaries."""

import tensorflow as tf


def reverse_gradient(x, strength=1.0):
    """Passes values on, and their gradient times -strength.

    Ganin and Lempitsky, ICML 2015, Eq. 9 and 10.

    Args:
        x: Tensor of any shape and float type.
        strength: Scalar, λ; a tensor gets no gradient.

    Returns:
        A tensor equal to `x`.
    """

    @tf.custom_gradient
    def reversed_at(values):
        def gradient(upstream):
            return -tf.cast(strength, upstream.dtype) * upstream

        return tf.identity(values), gradient

    return reversed_at(x)
