"""The style of an image: mean and variance of each channel of its map."""

import tensorflow as tf


def style_of(x):
    """Returns what counts as an image's style.

    Args:
        x: float32 [B, H, W, K], or [B, F], which is taken for a map of F places
            and one channel.

    Returns:
        (mean, variance), [B, 1, 1, K] or [B, 1]; the variance divides by one
        less than the places.
    """
    axes = [1, 2] if len(x.shape) == 4 else [1]
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    shape = tf.shape(x)
    places = tf.cast(tf.reduce_prod([shape[axis] for axis in axes]), x.dtype)
    # One place has a variance of 0.
    return mean, variance * places / tf.maximum(places - 1.0, 1.0)


def per_image(shares, x):
    """Returns shares [B] so that they multiply an image's map or vector."""
    return tf.reshape(shares, [-1, *[1] * (len(x.shape) - 1)])
