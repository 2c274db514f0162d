import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.source_classifier import (
    dense_layers,
    domain_loss,
    ramp,
)
from dmg_tf.methods.steps import accuracy


def test_loss_and_accuracy_of_domains():
    logits = tf.constant([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 0.0]])
    ids = tf.constant([0, 1, 1, 0])
    assert float(accuracy(ids, logits)) == 0.75
    sure = np.log1p(np.exp(-9.0))
    each = np.array([sure, sure + 9, sure, np.log(2)])
    found = domain_loss(ids, logits)
    assert float(found) == pytest.approx(each.mean(), rel=1e-5)
    weights = np.array([2.0, 0.0, 1.0, 1.0])
    found = domain_loss(ids, logits, weights)
    assert float(found) == pytest.approx((each * weights).mean(), rel=1e-5)


def test_dense_layers_are_those_of_their_seed():
    first, again, other = (dense_layers("x", 4, [8, 3], s) for s in (0, 0, 1))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    (w1, b1, w2, b2) = (w.numpy() for w in first.weights)
    expected = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    np.testing.assert_allclose(first(x), expected, atol=1e-6)
    np.testing.assert_array_equal(first(x), again(x))
    assert np.abs(first(x) - other(x)).max() > 0.01


def test_the_ramp_goes_from_0_to_almost_1():
    found = [float(ramp(tf.constant(p))) for p in (0.0, 0.1, 1.0)]
    assert found == pytest.approx([0, np.tanh(0.5), np.tanh(5)], abs=1e-6)
