"""How far the features of domains are apart. Pure functions, no state."""

import itertools

import tensorflow as tf

from dmg_tf.methods.by_domain import flat


def distances_of_pairs(features, weights):
    """Returns how far mean and covariance of each pair of domains are apart.

    mean_k (μ_d - μ_e)_k² + mean_kl (C_d - C_e)_kl², with C's divisor one less
    than the number of images. ‖C_d - C_e‖² is made of the images' inner
    products: no matrix of F x F is made.

    Args:
        features: float32 [D, N, F].
        weights: float32 [D, N], how much an image counts.

    Returns:
        (distances, there), both float32 [D * (D - 1) / 2]: (0, 1), (0, 2), ...,
        (1, 2), ...; 0 of a domain without images, which is not there. A domain
        with one image has no covariance to compare.
    """
    domains, width = features.shape[0], features.shape[-1]
    total = tf.reduce_sum(weights, axis=1)  # [D]
    squares = tf.reduce_sum(tf.square(weights), axis=1)
    means = tf.math.divide_no_nan(
        tf.einsum("dn,dnf->df", weights, features), total[:, tf.newaxis]
    )
    counted = tf.math.count_nonzero(weights, axis=1, dtype=tf.float32)
    # With weights of 1: n - 1.
    freedom = total - tf.math.divide_no_nan(squares, total)
    spread = tf.where(counted > 1, freedom, 0.0)[:, tf.newaxis]
    shares = tf.math.divide_no_nan(weights, spread)[..., tf.newaxis]
    rows = flat((features - means[:, tf.newaxis]) * tf.sqrt(shares))
    gram = tf.matmul(rows, rows, transpose_b=True)
    size = tf.shape(features)[1]
    blocks = tf.reshape(tf.square(gram), [domains, size, domains, size])
    products = tf.reduce_sum(blocks, axis=[1, 3])  # [D, D]: Σ_kl C_d C_e
    distances, there = [], []
    for d, e in itertools.combinations(range(domains), 2):
        apart = products[d, d] + products[e, e] - 2.0 * products[d, e]
        both_spread = (counted[d] > 1) & (counted[e] > 1)
        both = tf.cast((counted[d] > 0) & (counted[e] > 0), tf.float32)
        covariances = tf.where(both_spread, apart / width**2, 0.0)
        means_apart = tf.reduce_mean(tf.square(means[d] - means[e]))
        distances.append(both * (means_apart + covariances))
        there.append(both)
    return tf.stack(distances), tf.stack(there)
