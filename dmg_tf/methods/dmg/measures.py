"""What the masks look like: their overlap, and how much they keep."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from dmg_tf.methods.dmg.domain_mask import DomainMask
from dmg_tf.methods.dmg.overlap import domain_pairs, pairwise_iou


def mask_iou(
    masks: Mapping[str, DomainMask], source_domains: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Measures the overlap of binary masks at each site.

    Paper: Sec. 7.1 (soft masks thresholded at 0.5). Differs: 1e-6 is added to
    both parts of the fraction, as in the official code.

    Returns:
        {site: {"a|b": IoU, ..., "mean": mean over pairs}}.
    """
    names = [
        f"{source_domains[i]}|{source_domains[j]}"
        for i, j in domain_pairs(len(source_domains))
    ]
    table = {}
    for site, mask in masks.items():
        values = pairwise_iou(mask.binary_masks).numpy().tolist()
        table[site] = dict(zip(names, values, strict=True))
        table[site]["mean"] = float(np.mean(values))
    return table


def mask_density(
    masks: Mapping[str, DomainMask], source_domains: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Returns {site: {domain: fraction of units whose soft mask is > 0.5}}."""
    binary = {site: mask.binary_masks for site, mask in masks.items()}
    return _means(binary, source_domains)


def mask_keep(
    masks: Mapping[str, DomainMask], source_domains: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Returns {site: {domain: how often a unit is kept, mean over units}}."""
    soft = {site: mask.mask_probs for site, mask in masks.items()}
    return _means(soft, source_domains)


def _means(
    masks: Mapping[str, tf.Tensor], source_domains: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Returns {site: {domain: mean}} of masks [domains, units]."""
    return {
        site: dict(
            zip(
                source_domains,
                mask.numpy().mean(axis=1).tolist(),
                strict=True,
            )
        )
        for site, mask in masks.items()
    }
