"""What DSN minimises beside the cross entropy. Pure functions, no state.

Bousmalis et al., NeurIPS 2016, Sec. 3.2.
"""

import itertools

import tensorflow as tf

from dmg_tf.methods.replicas import num_replicas
from dmg_tf.methods.steps import mean_loss


def difference(shared, private, domain_ids, form: str = "pairs"):
    """Measures what the codes of each domain have in common.

    ‖H_cᵀ H_p‖² is Σ_ij (H_c H_cᵀ)_ij (H_p H_pᵀ)_ij over a domain's images: no
    matrix of the codes' widths is made.

    Args:
        shared: [B, F], codes h_c.
        private: [B, P], codes h_p.
        domain_ids: int32 [B].
        form: "printed": Σ_d ‖H_cᵀ H_p‖² of raw codes. "authors": Σ_d of the
            mean of the squared entries, codes centred on their domain's mean
            and then of unit length. "port": not centred, lengths constant to
            the gradient. "pairs": the authors' codes, mean over pairs of
            different images of a domain, then over domains. It does not depend
            on widths and batch size as the others do, and the diagonal, which
            is constant, is left out.

    Returns:
        A scalar; a domain without images (or pairs) adds 0.
    """
    same = tf.cast(
        domain_ids[:, tf.newaxis] == domain_ids[tf.newaxis], shared.dtype
    )
    if form == "port":
        shared, private = map(_port_unit_rows, (shared, private))
    elif form != "printed":
        shared, private = (
            _unit_rows(_centred(codes, same)) for codes in (shared, private)
        )
    products = same * _gram(shared) * _gram(private)
    if form == "printed":
        return tf.reduce_sum(products)
    if form != "pairs":
        entries = shared.shape[-1] * private.shape[-1]
        return tf.reduce_sum(products) / entries
    products = tf.linalg.set_diag(
        products, tf.zeros_like(domain_ids, same.dtype)
    )
    counts = tf.reduce_sum(same, axis=1)  # [B], images of each one's domain
    means = tf.math.divide_no_nan(
        tf.reduce_sum(products, axis=1), counts * (counts - 1.0)
    )
    # Rows of a domain sum up to its mean.
    domains = tf.reduce_sum(1.0 / counts)
    return tf.reduce_sum(means) / domains


def scale_invariant(target, rebuilt):
    """Returns ‖e‖²/k - (Σe)²/k² of each image's errors e: [B].

    Args:
        target: [B, k].
        rebuilt: [B, k].
    """
    return tf.math.reduce_variance(target - rebuilt, axis=1)


def pixel_pairs(target, rebuilt):
    """Returns the mean over pairs of pixels of (e_i - e_j)²: [B]."""
    k = target.shape[1]
    return 2.0 * k / (k - 1.0) * scale_invariant(target, rebuilt)


def squared_error(target, rebuilt):
    """Returns the mean squared error of each image: [B]."""
    return tf.reduce_mean(tf.square(target - rebuilt), axis=1)


def brightness(target, rebuilt):
    """Returns (Σe)² / (B k)² over the batch, which the port adds."""
    return tf.square(tf.reduce_mean(target - rebuilt))


def reconstruction(target, rebuilt, form="scale_invariant", weights=None):
    """Measures how far images are from what is rebuilt.

    Args:
        target: [B, k].
        rebuilt: [B, k].
        form: "scale_invariant" and "mse" are means over images; "authors" is
            the sum of `pixel_pairs` over the images of all replicas, as
            TensorFlow's `mean_pairwise_squared_error` is; "port" is "mse" and
            `brightness`.
        weights: float [B], how much each image counts, or None.

    Returns:
        A scalar.
    """
    if form == "scale_invariant":
        return mean_loss(scale_invariant(target, rebuilt), weights)
    if form == "authors":
        each = pixel_pairs(target, rebuilt)
        images = tf.cast(tf.shape(each)[0] * num_replicas(), each.dtype)
        return images * mean_loss(each, weights)
    loss = mean_loss(squared_error(target, rebuilt), weights)
    return loss + brightness(target, rebuilt) if form == "port" else loss


def mmd_of_pairs(codes, domain_ids, num_domains: int, widths):
    """Returns the squared mean discrepancy of each pair of domains.

    MMD² of codes P and Q is the mean of k(p, p') and that of k(q, q') less
    twice that of k(p, q), pairs of an image with itself included, and k a sum
    of Gaussians exp(-‖a - b‖² / 2σ).

    Args:
        codes: [B, F].
        domain_ids: int32 [B].
        num_domains: Number of domains D.
        widths: [K], σ of each Gaussian.

    Returns:
        [D * (D - 1) / 2]: (1, 0), (2, 0), (2, 1), ...; 0 of a domain without
        images.
    """
    distances = squared_distances(codes)[..., tf.newaxis]
    widths = tf.cast(widths, codes.dtype)
    kernel = tf.reduce_sum(tf.exp(-distances / (2.0 * widths)), axis=-1)
    members = tf.one_hot(domain_ids, num_domains, dtype=codes.dtype)  # [B, D]
    counts = tf.reduce_sum(members, axis=0)
    means = tf.math.divide_no_nan(
        tf.matmul(members, tf.matmul(kernel, members), transpose_a=True),
        counts[:, tf.newaxis] * counts,
    )
    there = tf.cast(counts > 0, codes.dtype)
    pairs = [
        there[i] * there[j] * (means[i, i] + means[j, j] - 2.0 * means[i, j])
        for i, j in sorted(
            (j, i) for i, j in itertools.combinations(range(num_domains), 2)
        )
    ]
    return tf.stack(pairs)


def squared_distances(codes):
    """Returns ‖a - b‖² of all pairs, [B, B], exactly 0 on the diagonal."""
    gram = _gram(codes)
    norms = tf.linalg.diag_part(gram)
    distances = norms[:, tf.newaxis] + norms - 2.0 * gram
    return tf.linalg.set_diag(tf.maximum(distances, 0.0), tf.zeros_like(norms))


def median(values):
    """Returns the median of all entries of a tensor, the upper of two."""
    values = tf.reshape(values, [-1])
    return tf.sort(values)[tf.size(values) // 2]


def _gram(codes):
    return tf.matmul(codes, codes, transpose_b=True)


def _centred(codes, same):
    counts = tf.reduce_sum(same, axis=1, keepdims=True)
    return codes - tf.matmul(same, codes) / counts


def _unit_rows(codes):
    squares = tf.reduce_sum(tf.square(codes), axis=1, keepdims=True)
    return codes * tf.math.rsqrt(tf.maximum(squares, 1e-12))


def _port_unit_rows(codes):
    norms = tf.stop_gradient(tf.norm(codes, axis=1, keepdims=True))
    return codes / (norms + 1e-6)
