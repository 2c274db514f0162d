"""The Gaussian kernel by landmarks (Nyström)."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from dmg_tf.methods.fitted_head import Head

# Eigenvalues of the landmarks' kernel below this share of the largest are
# dropped.
_ROUNDING = 1e-8


class Landmarks:
    """Maps features to where a linear kernel is the Gaussian one.

    k(a, b) = exp(-γ ‖a - b‖²) is, of landmarks exactly and of other points
    nearly, the inner product of φ(h) = k(h, Z) K(Z, Z)^(-1/2).

    Args:
        points: [R, F], the landmarks Z.

    Attributes:
        gamma: γ, one over the median squared distance of two landmarks.
        root: [R, R], K(Z, Z)^(-1/2).
    """

    def __init__(self, points: np.ndarray, gamma: float | None = None):
        self.points = np.asarray(points, np.float64)
        if gamma is None:
            gamma = 1 / _median_distance(self.points)
        self.gamma = gamma
        values, vectors = np.linalg.eigh(self.kernel(self.points))
        kept = values > _ROUNDING * values.max()
        vectors = vectors[:, kept]
        self.root = (vectors / np.sqrt(values[kept])) @ vectors.T

    def kernel(self, features) -> np.ndarray:
        """Returns k(h, Z), [B, R], of features [B, F]."""
        return np.exp(-self.gamma * _distances(features, self.points))

    def __call__(self, features) -> np.ndarray:
        """Returns φ, [B, R], of features [B, F]."""
        return self.kernel(features) @ self.root


def choose_landmarks(
    batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    each: int,
    seed: int,
) -> np.ndarray:
    """Draws images of each class in each domain, equally many.

    Args:
        batches: (features [B, F], labels [B], domain ids [B]) of all images.
        each: How many of a class in a domain; all where there are fewer.
        seed: Which ones is a function of it and the order of the images.

    Returns:
        Their features [R, F].
    """
    rng = np.random.default_rng(seed)
    drawn = {}
    for features, labels, domain_ids in batches:
        lots = rng.random(len(labels))
        for lot, row, *group in zip(
            lots, features, labels, domain_ids, strict=True
        ):
            kept = drawn.setdefault(tuple(map(int, group)), [])
            kept.append((lot, row))
            if len(kept) > each:
                kept.remove(max(kept, key=lambda pair: pair[0]))
    return np.stack([row for _, g in sorted(drawn.items()) for _, row in g])


class LandmarkHead(Head):
    """Logits by the Gaussian kernel's values at the landmarks.

    Args:
        num_landmarks: Number of landmarks R; places that stay empty have a
            kernel of zero.
        num_classes: Number of classes C.

    Weights:
        center: [F], mean of the landmarks.
        points: [R, F], landmarks less their mean, which keeps the digits of
            their distances.
        gamma: γ.
        kernel: [R, C]; bias: [C].
    """

    def __init__(self, num_landmarks: int, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_landmarks = num_landmarks
        self.num_classes = num_classes

    def build(self, shape):
        """Makes the weights for features [B, F]."""
        super().build(shape)
        features, rows = shape[-1], self.num_landmarks
        self.center = self.add_fitted("center", (features,))
        self.points = self.add_fitted("points", (rows, features))
        self.gamma = self.add_fitted("gamma", ())
        self.kernel = self.add_fitted("kernel", (rows, self.num_classes))
        self.bias = self.add_fitted("bias", (self.num_classes,))

    def scores(self, hidden):
        """Returns [B, C] of features [B, F]."""
        hidden -= self.center
        distances = (
            tf.reduce_sum(hidden**2, axis=1, keepdims=True)
            + tf.reduce_sum(tf.convert_to_tensor(self.points) ** 2, axis=1)
            - 2 * tf.matmul(hidden, self.points, transpose_b=True)
        )
        values = tf.exp(-self.gamma * tf.nn.relu(distances))
        return tf.matmul(values, self.kernel) + self.bias

    def assign_fit(self, landmarks: Landmarks, kernel, bias) -> None:
        """Takes over what was fitted on φ.

        Args:
            landmarks: Landmarks, at most R.
            kernel: [landmarks, C], of the logits by φ.
            bias: [C].
        """
        center = landmarks.points.mean(axis=0)
        empty = self.num_landmarks - len(landmarks.points)
        rows = [(0, empty), (0, 0)]
        self.assign(
            center=center,
            points=np.pad(landmarks.points - center, rows),
            gamma=landmarks.gamma,
            kernel=np.pad(landmarks.root @ kernel, rows),
            bias=bias,
        )


def _distances(a, b):
    """Returns the squared distances [N, M] of the rows of two arrays."""
    center = b.mean(axis=0)
    a, b = a - center, b - center
    found = (a**2).sum(1)[:, np.newaxis] + (b**2).sum(1) - 2 * a @ b.T
    return np.maximum(found, 0.0)


def _median_distance(points):
    distances = _distances(points, points)
    pairs = distances[np.triu_indices(len(points), 1)]
    return float(np.median(pairs)) if pairs.size and np.any(pairs) else 1.0
