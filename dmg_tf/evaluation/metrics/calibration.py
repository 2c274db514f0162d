"""How far probabilities can be taken at their word."""

import numpy as np

BINS = 15


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Returns probabilities, float64 [N, C].

    Args:
        logits: float [N, C].
        temperature: What they are divided by.
    """
    scaled = logits.astype(np.float64) / temperature
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def of_each(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> dict[str, np.ndarray]:
    """Returns what probabilities say of each image, float [N] each.

    "brier" is the Brier score at the temperature; "raw_brier" is that without,
    and "raw_confidence" the probability of the predicted class without.

    Args:
        logits: float [N, C].
        labels: int [N], the true classes.
        temperature: What the logits are divided by.
    """
    raw = softmax(logits)
    scaled = raw if temperature == 1 else softmax(logits, temperature)
    return {
        "brier": brier(scaled, labels),
        "raw_confidence": raw.max(axis=1),
        "raw_brier": brier(raw, labels),
    }


def brier(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns each image's Brier score, float [N] in [0, 2].

    Brier, "Verification of forecasts expressed in terms of probability",
    Monthly Weather Review 1950: squared errors of all classes, added up.

    Args:
        probabilities: float [N, C].
        labels: int [N], the true classes.
    """
    of_truth = probabilities[np.arange(len(labels)), labels]
    return np.sum(probabilities**2, axis=1) - 2 * of_truth + 1


def calibration_error(confidence: np.ndarray, hits: np.ndarray) -> float:
    """Returns the expected calibration error (ECE), a fraction.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, Eq. 3:
    15 bins of equal width; the distance of a bin's accuracy to its mean
    confidence, weighted by its images. Few images make it too large.

    Args:
        confidence: float [N], the probability of the predicted class.
        hits: bool [N], whether that is the true one.
    """
    # Bins are open below and closed above, as in the paper.
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    bins = np.digitize(confidence, edges, right=True)
    apart = np.asarray(hits, np.float64) - confidence
    sums = np.bincount(bins, weights=apart, minlength=BINS)
    return float(np.abs(sums).sum() / len(confidence))
