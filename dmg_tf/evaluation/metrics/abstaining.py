"""When a model should leave the decision to someone else."""

from typing import Any

import numpy as np

from dmg_tf.rules import ABSTAIN_RATES, NEVER, rate_name

# What a threshold is below the least sure image that it keeps, where it keeps
# them all: 16 bits and other kernels round differently.
_A_LITTLE = 1e-4


def thresholds_of(confidence: np.ndarray, hits: np.ndarray) -> dict[str, float]:
    """Returns {wanted error rate: the least probability that decides}.

    Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks",
    NeurIPS 2017, without their bound: as many images as possible are decided,
    so that the share of errors among these images is at most the rate. Nothing
    is promised of others.

    Args:
        confidence: float [N], the probability of the predicted class.
        hits: bool [N], whether that is the true one.
    """
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order].astype(np.float64)
    risks = np.cumsum(~hits[order]) / np.arange(1, len(sure) + 1)
    # Images that are equally sure are decided together, or none of them.
    ends = np.append(sure[:-1] > sure[1:], True)
    found = {}
    for rate in ABSTAIN_RATES:
        able = np.flatnonzero(ends & (risks <= rate))
        if not len(able):
            threshold = NEVER
        elif able[-1] + 1 == len(sure):
            threshold = sure[-1] - _A_LITTLE
        else:
            threshold = (sure[able[-1]] + sure[able[-1] + 1]) / 2
        found[rate_name(rate)] = float(threshold)
    return found


def coverage_and_risk(
    confidence: np.ndarray, hits: np.ndarray, threshold: float
) -> dict[str, Any]:
    """Returns what becomes of images at a threshold.

    Args:
        confidence: float [N], the probability of the predicted class.
        hits: bool [N], whether that is the true one.
        threshold: The least probability that decides.

    Returns:
        "decided", how many; "coverage", their share; and "risk", the share of
        errors among them, or None where there are none.
    """
    decided = confidence >= threshold
    count = int(decided.sum())
    return {
        "decided": count,
        "coverage": count / len(hits),
        "risk": float((~hits[decided]).mean()) if count else None,
    }
