"""The temperature at which probabilities are as sure as they are right."""

import math

import numpy as np

from dmg_tf.rules import Calibration

# Where temperatures end: beyond, images tell nothing more.
LOWEST, HIGHEST = 0.1, 10.0
# Of fewer images a fit is worse than none unless the logits are far off: of 12
# it loses 0.04 to 0.12 nats on others by its own error, of 20 less than 0.05;
# a temperature that is off by 1.25 costs 0.02, by 2 it costs 0.2. (Simulated: 7
# classes, true temperatures 0.5 to 4.)
FEW = 20
_STEPS = 50
_CLOSE = 1e-10


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Returns the temperature that makes the labels likeliest.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, Sec. 4.2.
    It stays within `LOWEST` to `HIGHEST`, and is 1 where there are fewer than
    `FEW` images or all are right: then nothing says how often it will be wrong,
    and the likeliest temperature would be 0.

    Args:
        logits: float [N, C].
        labels: int [N], the true classes.
    """
    count = len(labels)
    if count < FEW:
        return Calibration(note=f"not fitted: fewer than {FEW} images")
    if np.all(logits.argmax(axis=1) == labels):
        return Calibration(note="not fitted: all images are right")
    # As a function of 1 / temperature, the loss is convex.
    low, high = 1 / HIGHEST, 1 / LOWEST
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    of_truth = logits[np.arange(count), labels].mean()
    for end in (low, high):
        slope, _ = _derivatives(logits, of_truth, end)
        if (slope > 0) == (end == low):
            note = "the end of the range that is searched"
            return Calibration(1 / end, count, note)
    inverse = 1.0
    for _ in range(_STEPS):
        slope, curvature = _derivatives(logits, of_truth, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        # Newton's step where it stays between the two, else the middle.
        further = inverse - slope / curvature if curvature else math.inf
        if not low < further < high:
            further = math.sqrt(low * high)
        if abs(further - inverse) < _CLOSE * inverse:
            break
        inverse = further
    return Calibration(1 / inverse, count)


def _derivatives(logits, of_truth, inverse) -> tuple[float, float]:
    """Returns slope and curvature of the mean cross entropy.

    Args:
        logits: float64 [N, C], 0 the largest of each row.
        of_truth: The mean logit of the true classes.
        inverse: 1 / temperature.
    """
    shares = np.exp(inverse * logits)
    shares /= shares.sum(axis=1, keepdims=True)
    means = np.sum(shares * logits, axis=1)
    variances = np.sum(shares * logits**2, axis=1) - means**2
    return float(means.mean() - of_truth), float(variances.mean())
