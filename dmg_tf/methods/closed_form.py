"""What is fitted in closed form on the features of all source images."""

import copy
from collections.abc import Iterable

import numpy as np

# Bounds of what `sharpness` returns.
_FLATTEST, _SHARPEST = 1e-2, 1e2


class Moments:
    """Counts, sums and products of features, gathered batch by batch.

    Sums are float64, of features less the mean of the first batch: squares of
    numbers far from zero would lose the digits that tell them apart.

    Args:
        num_classes: Number of classes C.
        num_domains: Number of source domains D.
        batches: (features [B, F], labels int [B], domain ids int [B]) of all
            images.

    Attributes:
        counts: [C, D], images.
        mean: [F], of all images.
        scatter: [F, F], covariance of all images (S).
        class_means: [C, D, F], mean of the images of a class in a domain; of
            none, the mean of all.
    """

    def __init__(
        self,
        num_classes: int,
        num_domains: int,
        batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    ):
        shift = None
        counts = np.zeros(num_classes * num_domains)
        for features, labels, domain_ids in batches:
            if shift is None:
                shift = np.mean(features, axis=0, dtype=np.float64)
                sums = np.zeros((len(counts), len(shift)))
                products = np.zeros((len(shift), len(shift)))
            moved = features - shift
            group = np.asarray(labels, np.int64) * num_domains + domain_ids
            np.add.at(counts, group, 1)
            np.add.at(sums, group, moved)
            products += moved.T @ moved
        number = counts.sum()
        offset = sums.sum(axis=0) / number
        self.counts = counts.reshape(num_classes, num_domains)
        self.mean = shift + offset
        self.scatter = products / number - np.outer(offset, offset)
        self._sums = sums.reshape(num_classes, num_domains, -1)
        # Sums of features less the mean of all.
        self._sums -= self.counts[..., np.newaxis] * offset
        self.class_means = self.mean + _divided(self._sums, self.counts)

    def scaled(self, factor: float) -> "Moments":
        """Returns the moments of features times a number."""
        moments = copy.copy(self)
        moments.mean = factor * self.mean
        moments.scatter = factor**2 * self.scatter
        moments._sums = factor * self._sums
        moments.class_means = factor * self.class_means
        return moments

    @property
    def number(self) -> float:
        """Number of all images, n."""
        return self.counts.sum()

    @property
    def deviations(self) -> np.ndarray:
        """[F, D]: mean of each domain less the mean of these (m_d - m̄).

        Domains without images are left out.
        """
        counts = self.counts.sum(axis=0)
        sums = self._sums.sum(axis=0)[counts > 0]
        means = sums / counts[counts > 0, np.newaxis]
        return (means - means.mean(axis=0)).T

    @property
    def between(self) -> np.ndarray:
        """[F, F]: covariance of the domains' means, equally weighted (S_b).

        Its trace is the distributional variance under the linear kernel.
        """
        deviations = self.deviations
        return deviations @ deviations.T / deviations.shape[1]

    @property
    def class_sums(self) -> np.ndarray:
        """[F, C]: sums of each class' features less the mean of all (A)."""
        return self._sums.sum(axis=1).T

    @property
    def class_counts(self) -> np.ndarray:
        """[C]: images of each class."""
        return self.counts.sum(axis=1)


def ridge(
    moments: Moments, decay: float, directions: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Regresses the labels, one-hot, on the features or on projections.

    Args:
        moments: Of the features.
        decay: Added to the eigenvalues of the covariance of what is regressed
            on.
        directions: [F, M], what the centred features are projected on first;
            None for none.

    Returns:
        Kernel [F, C] and bias [C]: features @ kernel + bias are the scores.
    """
    shares = moments.class_counts / moments.number
    scatter, cross = moments.scatter, moments.class_sums / moments.number
    if directions is not None:
        scatter = directions.T @ scatter @ directions
        cross = directions.T @ cross
    kernel = np.linalg.solve(scatter + decay * np.eye(len(scatter)), cross)
    if directions is not None:
        kernel = directions @ kernel
    return kernel, shares - moments.mean @ kernel


def sharpness(
    scores: np.ndarray, labels: np.ndarray, smoothing: float = 0.0
) -> float:
    """Finds what scores are to be multiplied by to be log-probabilities.

    That is one over the temperature of least cross entropy, between 1/100 and
    100. Scores of a regression lie between 0 and 1, and their softmax is almost
    flat.

    Args:
        scores: [N, C].
        labels: int [N].
        smoothing: Share of each label that is spread over all classes.

    Returns:
        A positive number.
    """
    scores = scores - scores.max(axis=1, keepdims=True)
    own = scores[np.arange(len(labels)), labels].mean()
    own = (1 - smoothing) * own + smoothing * scores.mean()
    low, high = np.log(_FLATTEST), np.log(_SHARPEST)
    # The cross entropy is convex, so its slope has one zero at most.
    for _ in range(40):
        middle = (low + high) / 2
        weights = np.exp(scores * np.exp(middle))
        expected = (weights * scores).sum(axis=1) / weights.sum(axis=1)
        if expected.mean() < own:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def _divided(sums, counts):
    """Returns sums [..., F] over counts [...], 0 where the count is."""
    counts = counts[..., np.newaxis]
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
