"""A batch as the groups of its domains, and an order of domains."""

from typing import NamedTuple

import tensorflow as tf

from dmg_tf.methods.replicas import gathered
from dmg_tf.methods.steps import step_key


class Groups(NamedTuple):
    """Images by domain: G groups of N.

    Attributes:
        images: [G, N, H, W, 3].
        labels: int [G, N], or float [G, N, C] of shares.
        weights: float32 [G, N]: how much an image counts in the mean over the
            N of its group; the group of a domain without images has zeros.
        rows: int32 [G, N], their places in the batch.
    """

    images: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor
    rows: tf.Tensor

    def at(self, index) -> "Groups":
        """Returns some of the groups, or one without its first axis.

        Args:
            index: What a tensor's first axis can be indexed by.
        """
        return Groups(*(x[index] for x in self))

    def alone(self) -> "Groups":
        """Returns one group, which has no first axis, as one of one."""
        return Groups(*(x[tf.newaxis] for x in self))


class Seen(NamedTuple):
    """What a network says of groups, with the images of all replicas.

    Attributes:
        logits: float32 [G, N, C].
        hidden: [G, N, F].
        labels: int [G, N], or float [G, N, C] of shares.
        weights: float32 [G, N], as those of `Groups`.
    """

    logits: tf.Tensor
    hidden: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor

    @property
    def there(self) -> tf.Tensor:
        """Which groups have images that count: float32 [G] of 0 and 1."""
        return tf.cast(tf.reduce_any(self.weights > 0, axis=1), tf.float32)


def groups_of(
    images, labels, domain_ids, num_domains: int, weights=None, order=None
) -> Groups:
    """Sorts a batch by domain; order is kept within one.

    Args:
        images: [B, H, W, 3].
        labels: int [B], or float [B, C] of shares.
        domain_ids: int32 [B].
        num_domains: Number of domains D.
        weights: float [B], how much each image counts, or None.
        order: int32 [D], the domains' ids in the order of the groups; None for
            that of their ids.

    Returns:
        D groups of N = B / D images, rounded up. Where a batch does not have as
        many of a domain, some of another stand in their place and count
        nothing; what is more than that is left out.
    """
    total = images.shape[0] or tf.shape(images)[0]
    size = -(-total // num_domains)
    domains = tf.range(num_domains) if order is None else order
    others = tf.cast(domain_ids[tf.newaxis] != domains[:, tf.newaxis], tf.int32)
    rows = tf.argsort(others, axis=1, stable=True)[:, :size]  # [D, N]
    is_own = 1.0 - tf.cast(tf.gather(others, rows, batch_dims=1), tf.float32)
    scale = tf.math.divide_no_nan(
        tf.cast(size, tf.float32), tf.reduce_sum(is_own, 1, keepdims=True)
    )
    counts = is_own * scale
    if weights is not None:
        counts *= tf.cast(tf.gather(weights, rows), tf.float32)
    return Groups(
        tf.gather(images, rows), tf.gather(labels, rows), counts, rows
    )


def flat(x):
    """Returns groups as one batch: [G, N, ...] -> [G * N, ...]."""
    return tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0))


def in_groups(x, num_groups: int):
    """Undoes `flat`: [G * N, ...] -> [G, N, ...]."""
    shape = tf.concat([[num_groups, -1], tf.shape(x)[1:]], axis=0)
    return tf.reshape(x, shape)


def on_all_replicas(groups: Groups, logits, hidden) -> Seen:
    """Returns what each replica computed of its part of the groups.

    Differentiable, with the gradients that one replica with all the images
    would give; see `gathered`.

    Args:
        groups: G groups of this replica's images.
        logits: float32 [G, N, C].
        hidden: [G, N, F].
    """
    parts = (logits, hidden, groups.labels, groups.weights)
    return Seen(*(gathered(x, axis=1) for x in parts))


def mean_losses(model, groups: Groups | Seen, logits) -> list[tf.Tensor]:
    """Returns the mean loss of each group, float32 scalars.

    That of a domain without images is 0.

    Args:
        model: A `DomainModel`, for its loss.
        groups: G groups of N.
        logits: float32 [G * N, C].
    """
    count = groups.labels.shape[0]
    each = zip(
        tf.unstack(groups.labels, count),
        tf.unstack(in_groups(logits, count), count),
        tf.unstack(groups.weights, count),
        strict=True,
    )
    return [model.cross_entropy(*group) for group in each]


def domain_order(seed: int, step, num_domains: int):
    """Returns a random order of the domains, int32 [D].

    Args:
        seed: The run's.
        step: int, number of the step. The order is a function of both.
        num_domains: D.
    """
    lots = tf.random.stateless_uniform([num_domains], step_key(seed, step))
    return tf.argsort(lots)
