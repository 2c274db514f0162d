"""A batch as the groups of its domains, and an order of domains."""

from typing import NamedTuple

import tensorflow as tf


class Groups(NamedTuple):
    """A batch, sorted by domain.

    Attributes:
        images: [D, N, H, W, 3].
        labels: int [D, N], or float [D, N, C] of shares.
        weights: float32 [D, N]: how much an image counts in the mean over the
            N of its group; the group of a domain without images has zeros.
    """

    images: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor

    def at(self, index) -> "Groups":
        """Returns some groups, or one without its first axis.

        Args:
            index: A slice, or an int or int32 scalar.
        """
        if isinstance(index, slice):
            return Groups(*(x[index] for x in self))
        return Groups(*(tf.gather(x, index) for x in self))

    def in_order(self, order) -> "Groups":
        """Returns the groups in another order of domains, int32 [D]."""
        return Groups(*(tf.gather(x, order) for x in self))


def groups_of(
    images, labels, domain_ids, num_domains: int, weights=None
) -> Groups:
    """Sorts a batch by domain; order is kept within one.

    Args:
        images: [B, H, W, 3].
        labels: int [B], or float [B, C] of shares.
        domain_ids: int32 [B].
        num_domains: Number of domains D.
        weights: float [B], how much each image counts, or None.

    Returns:
        Groups of N = B / D images, rounded up. Where a batch does not have as
        many of a domain, some of another stand in their place and count
        nothing; what is more than that is left out.
    """
    total = images.shape[0] or tf.shape(images)[0]
    size = -(-total // num_domains)
    domains = tf.range(num_domains)[:, tf.newaxis]
    others = tf.cast(domain_ids[tf.newaxis] != domains, tf.int32)  # [D, B]
    rows = tf.argsort(others, axis=1, stable=True)[:, :size]
    is_own = 1.0 - tf.cast(tf.gather(others, rows, batch_dims=1), tf.float32)
    scale = tf.math.divide_no_nan(
        tf.cast(size, tf.float32), tf.reduce_sum(is_own, 1, keepdims=True)
    )
    counts = is_own * scale
    if weights is not None:
        counts *= tf.cast(tf.gather(weights, rows), tf.float32)
    return Groups(tf.gather(images, rows), tf.gather(labels, rows), counts)


def flat(x):
    """Returns groups as one batch: [G, N, ...] -> [G * N, ...]."""
    return tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0))


def in_groups(x, num_groups: int):
    """Undoes `flat`: [G * N, ...] -> [G, N, ...]."""
    shape = tf.concat([[num_groups, -1], tf.shape(x)[1:]], axis=0)
    return tf.reshape(x, shape)


def domain_order(seed: int, step, num_domains: int):
    """Returns a random order of the domains, int32 [D].

    Args:
        seed: The run's.
        step: int, number of the step. The order is a function of both.
        num_domains: D.
    """
    key = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    return tf.argsort(tf.random.stateless_uniform([num_domains], key))
