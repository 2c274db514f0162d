"""How far the source domains' own predictions agree on an image."""

import itertools

import tensorflow as tf


def votes(domain_class_ids, class_ids):
    """Returns the share of source domains that predict the same class.

    Args:
        domain_class_ids: int [B, D], the class under each domain's mask.
        class_ids: int [B], the class predicted.

    Returns:
        float32 [B] in [0, 1].
    """
    same = tf.equal(domain_class_ids, class_ids[:, tf.newaxis])
    return tf.reduce_mean(tf.cast(same, tf.float32), axis=1)


def agreement(probabilities):
    """Measures how much the source domains' predictions have in common.

    One minus the total variation distance of two distributions, which is their
    overlap; the mean over all pairs of domains.

    Args:
        probabilities: float [B, D, C], D >= 2 known.

    Returns:
        float [B] in [0, 1]: 1 where all are equal, 0 where each is certain of
        another class.
    """
    domains = range(probabilities.shape[1])
    pairs = itertools.combinations(domains, 2)
    first, second = zip(*pairs, strict=True)
    apart = tf.abs(
        tf.gather(probabilities, first, axis=1)
        - tf.gather(probabilities, second, axis=1)
    )
    distance = 0.5 * tf.reduce_sum(apart, axis=-1)  # [B, pairs]
    # Rounded probabilities can sum to a little more than 1.
    return tf.maximum(1.0 - tf.reduce_mean(distance, axis=1), 0.0)
