import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.dmg.overlap import (
    domain_pairs,
    pairwise_iou,
    siou_penalty,
    soft_iou,
    sparsity_penalty,
)


def test_domain_pairs_are_unordered_and_complete():
    assert domain_pairs(3) == [(0, 1), (0, 2), (1, 2)]
    assert len(domain_pairs(6)) == 15


@pytest.mark.parametrize(
    "first,second,expected",
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ([1, 1, 0, 0], [0, 0, 1, 1], 0.0),
        ([1, 1, 1, 0], [1, 0, 0, 0], 1 / 3),
        # k units at p: k p^2 / k (2 p - p^2) = p / (2 - p)
        ([0.5] * 4, [0.5] * 4, 1 / 3),
        ([0.0] * 4, [0.0] * 4, 1.0),
    ],
    ids=["equal", "disjoint", "third", "half", "empty"],
)
def test_soft_iou_closed_forms(first, second, expected):
    value = soft_iou(
        tf.constant(first, tf.float32), tf.constant(second, tf.float32)
    )
    assert float(value) == pytest.approx(expected, abs=1e-6)


def test_penalty_agrees_with_numpy():
    probs = np.random.default_rng(0).uniform(size=(4, 37)).astype(np.float32)
    expected = [
        (probs[i] @ probs[j] + 1e-6)
        / (np.sum(probs[i] + probs[j] - probs[i] * probs[j]) + 1e-6)
        for i, j in domain_pairs(4)
    ]
    np.testing.assert_allclose(pairwise_iou(probs), expected, rtol=1e-5)
    mean = float(siou_penalty(probs))
    assert mean == pytest.approx(np.mean(expected), rel=1e-5)
    total = float(siou_penalty(probs, "sum"))
    assert total == pytest.approx(np.sum(expected), rel=1e-5)


def test_penalty_pushes_overlapping_masks_apart():
    logits = tf.Variable(tf.zeros([2, 5]))
    with tf.GradientTape() as tape:
        penalty = siou_penalty(tf.sigmoid(logits))
    gradient = tape.gradient(penalty, logits).numpy()
    # p / (2 - p) has the derivative 2 / (2 - p)^2 along a joint change of p,
    # which is shared by 2 x 5 entries; dp/dm̃ = p (1 - p) = 1 / 4.
    np.testing.assert_allclose(gradient, 2 / 1.5**2 / 4 / 10, rtol=1e-5)


def test_sparsity_is_the_sum():
    probs = tf.constant([[0.25, 0.5], [1.0, 0.0]])
    assert float(sparsity_penalty(probs)) == pytest.approx(1.75)


@pytest.mark.parametrize("shape", [(1, 4), (4,), (2, 2, 2)])
def test_too_few_masks_are_refused(shape):
    with pytest.raises(ValueError, match="D >= 2"):
        siou_penalty(tf.zeros(shape))


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="'max'"):
        siou_penalty(tf.zeros((2, 3)), "max")
