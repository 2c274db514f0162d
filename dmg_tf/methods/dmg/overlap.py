"""Penalties on mask probabilities. Pure functions, no state.

Paper: Sec. 3.2 (sIoU, Eq. 1 and 2) and Sec. 7.2 (sparsity).
"""

import itertools

import tensorflow as tf

# Added to both parts of the fraction by the official code; it keeps the ratio
# of two all-zero masks at 1 instead of 0 / 0.
SMOOTHING = 1e-6
REDUCTIONS = ("mean", "sum")


def domain_pairs(num_domains: int) -> list[tuple[int, int]]:
    """Returns the unordered pairs (i, j), i < j, in lexicographic order."""
    return list(itertools.combinations(range(num_domains), 2))


def soft_iou(first, second):
    """Measures how far two masks overlap, differentiably.

    Paper: Sec. 3.2, Eq. 1 (sIoU). Differs: 1e-6 is added to intersection and
    union, as in the official code. On masks of 0 and 1 this is the plain
    intersection over union.

    Args:
        first: float32 [..., F]. Mask probabilities in [0, 1].
        second: float32 [..., F]. Mask probabilities in [0, 1].

    Returns:
        float32 [...] in (0, 1], unitless.
    """
    product = first * second
    intersection = tf.reduce_sum(product, axis=-1)
    union = tf.reduce_sum(first + second - product, axis=-1)
    return (intersection + SMOOTHING) / (union + SMOOTHING)


def pairwise_iou(mask_probs):
    """Measures the overlap of every pair of source-domain masks.

    Paper: Sec. 7.1 when given masks thresholded at 0.5.

    Args:
        mask_probs: float32 [D, F]. Soft or binary masks; D >= 2.

    Returns:
        float32 [D * (D - 1) / 2], in the order of `domain_pairs`.

    Raises:
        ValueError: If there are fewer than two masks.
    """
    num_domains = mask_probs.shape[0]
    if len(mask_probs.shape) != 2 or num_domains < 2:
        raise ValueError(
            "`mask_probs` must be [D, F] with D >= 2 domains, got shape "
            f"{tuple(mask_probs.shape)}"
        )
    first, second = zip(*domain_pairs(num_domains), strict=True)
    return soft_iou(tf.gather(mask_probs, first), tf.gather(mask_probs, second))


def siou_penalty(mask_probs, reduction: str = "mean"):
    """Penalises the overlap of the source-domain masks at one site.

    Paper: Sec. 3.2, Eq. 2 (the double sum that λ_O multiplies). Differs: the
    default takes the mean over pairs, as the official code does and all
    published numbers do; `reduction="sum"` is Eq. 2 to the letter.

    Args:
        mask_probs: float32 [D, F]. Mask probabilities in (0, 1); D >= 2.
        reduction: "mean" or "sum" over pairs of domains.

    Returns:
        float32 scalar, unitless; in (0, 1] for the mean. Not divided by the
        number of replicas.

    Raises:
        ValueError: If D < 2 or the reduction is unknown.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"`reduction` must be one of {REDUCTIONS}, got {reduction!r}"
        )
    pairs = pairwise_iou(mask_probs)
    return (
        tf.reduce_mean(pairs) if reduction == "mean" else tf.reduce_sum(pairs)
    )


def sparsity_penalty(mask_probs):
    """Penalises the L1 norm of the soft masks at one site.

    Paper: Sec. 7.2 (the alternative to sIoU, weighted by λ_S). Differs:
    nothing.

    Args:
        mask_probs: float32 [D, F]. Mask probabilities in (0, 1).

    Returns:
        float32 scalar in (0, D * F): the sum over domains and units.
    """
    return tf.reduce_sum(tf.abs(mask_probs))
