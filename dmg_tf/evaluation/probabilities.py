"""From logits to probabilities: the one place, for every way to predict."""

import tensorflow as tf


def probabilities(logits, temperature=1.0):
    """Returns what a model says of each class.

    Args:
        logits: float [..., C].
        temperature: What they are divided by: a number, or one for each along
            the last axis but one.

    Returns:
        float [..., C], which sums to 1.
    """
    if isinstance(temperature, float) and temperature == 1:
        return tf.nn.softmax(logits)
    inverse = 1 / tf.constant(temperature, logits.dtype)
    if inverse.shape.rank:
        inverse = inverse[:, tf.newaxis]
    return tf.nn.softmax(logits * inverse)
