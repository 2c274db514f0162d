"""The components of DICA, from the moments of features."""

import dataclasses

import numpy as np

from dmg_tf.methods.closed_form import Moments

# Eigenvalues below this share of the largest are rounding.
_ROUNDING = 1e-10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """Which generalised eigenproblem is solved; see `components`.

    Attributes:
        form: "symmetric", "printed" or "unsupervised".
        shrinkage: κ of M = S + κ s̄ I, s̄ the mean eigenvalue of S; None for
            M = I.
        variance_weight: ρ.
        epsilon: ε.
        decay: λ.
    """

    form: str = "symmetric"
    shrinkage: float | None = None
    variance_weight: float = 1.0
    epsilon: float = 1e-3
    decay: float = 0.0


def components(
    moments: Moments, number: int, problem: Problem
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the directions that DICA projects features on.

    Of features X [n, F], centred, under the kernel X M⁻¹ Xᵀ the coefficients b
    of the n images are the directions w = M⁻¹ Xᵀ b, and the n x n problems are

        unsupervised:       S w = γ R w
        symmetric:          E w = γ R w
        printed:   M S⁻¹ E M⁻¹ S w = γ R w
        with  R = ρ S_b + M + (λ/n) M S⁻¹ M,  E = (1/n) A (T + nεI)⁻¹ Aᵀ

    where A are the classes' sums and T the centred Gram matrix of one-hot
    labels. S⁻¹ is the pseudoinverse: all else lies in the range of S.

    Args:
        moments: Of the features.
        number: How many to find, m.
        problem: Which problem.

    Returns:
        γ [m], the largest first, and w [F, m] with wᵀ R w = 1. Fewer than m if
        the others are zero.
    """
    scatter, size = moments.scatter, len(moments.scatter)
    metric = np.eye(size)
    if problem.shrinkage is not None:
        metric *= problem.shrinkage * np.trace(scatter) / size
        metric += scatter
    cost = problem.variance_weight * moments.between + metric
    needs_inverse = problem.decay or problem.form == "printed"
    inverse = _inverse(scatter) if needs_inverse else None
    if problem.decay:
        decay = problem.decay / moments.number
        cost += decay * metric @ inverse @ metric
    if problem.form == "unsupervised":
        return _of_whole_rank(scatter, cost, number)
    left = right = explained(moments, problem.epsilon)
    if problem.form == "printed":
        left = metric @ (inverse @ left)
        right = scatter @ np.linalg.solve(metric, right)
    return _of_low_rank(left, right, cost, number)


def explained(moments: Moments, epsilon: float) -> np.ndarray:
    """Returns a root [F, C] of what the labels explain: E = root rootᵀ."""
    counts, number = moments.class_counts, moments.number
    labels = np.diag(counts) - np.outer(counts, counts) / number
    labels += number * epsilon * np.eye(len(counts))
    root = np.linalg.cholesky(number * labels)
    return np.linalg.solve(root, moments.class_sums.T).T


def _of_whole_rank(gain, cost, number):
    """Solves gain w = γ cost w, both symmetric."""
    root = np.linalg.cholesky(cost)
    half = np.linalg.solve(root, gain)
    values, vectors = np.linalg.eigh(np.linalg.solve(root, half.T))
    values, vectors = _largest(values, vectors, number)
    return values, np.linalg.solve(root.T, vectors)


def _of_low_rank(left, right, cost, number):
    """Solves left rightᵀ w = γ cost w by a problem of [C, C]."""
    solved = np.linalg.solve(cost, left)
    small = right.T @ solved
    if left is right:
        values, vectors = np.linalg.eigh((small + small.T) / 2)
    else:
        # As the authors do: their matrix is not symmetric.
        values, vectors = (x.real for x in np.linalg.eig(small))
    values, vectors = _largest(values, vectors, number)
    directions = solved @ vectors
    lengths = np.einsum("fm,fm->m", directions, cost @ directions)
    return values, directions / np.sqrt(lengths)


def _largest(values, vectors, number):
    order = np.argsort(-values)[:number]
    order = order[values[order] > _ROUNDING * values.max()]
    return values[order], vectors[:, order]


def _inverse(scatter):
    values, vectors = np.linalg.eigh(scatter)
    kept = values > _ROUNDING * values.max()
    return (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
