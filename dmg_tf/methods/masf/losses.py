"""What MASF asks of logits and embeddings behind the inner step."""

import tensorflow as tf

SMALLEST = 1e-8  # probability, as in the authors' code


def global_loss(logits, labels, weights, temperature: float):
    """Returns how much relations between classes differ from a domain's.

    The paper's global class alignment. p_d(c) is the softmax of the
    mean logits of a domain's images of class c; the symmetrised divergences of
    p_s(c) and p_V(c) are summed over the classes that both domains have,
    divided by the number of all classes, and averaged over domains s.

    Args:
        logits: float32 [D, N, C]; the last domain is V, the others s.
        labels: int [D, N], or float [D, N, C] of shares.
        weights: float32 [D, N], how much an image counts.
        temperature: What the mean logits are divided by.

    Returns:
        float32 scalar; 0 where no class is in both.
    """
    num_classes = logits.shape[-1]
    if len(labels.shape) == 2:
        labels = tf.one_hot(labels, num_classes)
    shares = labels * weights[..., tf.newaxis]
    sums = tf.einsum("dnc,dnk->dck", shares, logits)
    counts = tf.reduce_sum(shares, axis=1)[..., tf.newaxis]  # [D, C, 1]
    means = tf.math.divide_no_nan(sums, counts)
    probs = tf.clip_by_value(tf.nn.softmax(means / temperature), SMALLEST, 1.0)
    logs = tf.math.log(probs)
    differences = (probs[:-1] - probs[-1:]) * (logs[:-1] - logs[-1:]) / 2
    has_class = tf.cast(counts > 0, tf.float32)
    in_both = has_class[:-1] * has_class[-1:]
    by_domain = tf.reduce_sum(in_both * differences, axis=[1, 2]) / num_classes
    return tf.reduce_mean(by_domain)


def local_loss(embeddings, classes, margin: float):
    """Returns the triplet loss with semi-hard negatives.

    The paper's local sample clustering: the mean over ordered pairs (a, p) of
    one class of max(0, margin + |a - p|² - |a - n|²), where n is the nearest of
    another class that is farther than p, or, where none is, the farthest.

    Args:
        embeddings: float32 [M, E].
        classes: int [M].
        margin: See above.

    Returns:
        float32 scalar; 0 where no two images are of one class, or none of
        another.
    """
    apart = embeddings[:, tf.newaxis] - embeddings[tf.newaxis]
    square = tf.reduce_sum(tf.square(apart), axis=-1)  # [M, M]
    same = classes[:, tf.newaxis] == classes[tf.newaxis]
    pairs = same & ~tf.eye(tf.shape(classes)[0], dtype=tf.bool)
    pairs &= tf.reduce_any(~same, axis=1, keepdims=True)
    farther = ~same[:, tf.newaxis] & (
        square[:, tf.newaxis] > square[..., tf.newaxis]
    )  # [a, p, n]
    nearest = tf.reduce_min(
        tf.where(farther, square[:, tf.newaxis], square.dtype.max), axis=-1
    )
    farthest = tf.reduce_max(tf.where(same, 0.0, square), 1, keepdims=True)
    negative = tf.where(tf.reduce_any(farther, axis=-1), nearest, farthest)
    each = tf.nn.relu(margin + square - negative)
    counts = tf.cast(pairs, tf.float32)
    return tf.math.divide_no_nan(
        tf.reduce_sum(counts * tf.where(pairs, each, 0.0)),
        tf.reduce_sum(counts),
    )
