"""The share of votes, and the overlap of the domains' predictions."""

import itertools

import numpy as np
import tensorflow as tf

from dmg_tf.evaluation.agreement import agreement, votes


def test_votes():
    ids = tf.constant([[0, 0, 0], [0, 1, 2], [1, 1, 0]])
    found = votes(ids, tf.constant([0, 2, 0]))
    np.testing.assert_allclose(found, [1, 1 / 3, 1 / 3], atol=1e-6)


def test_agreement():
    x, y, z = np.eye(3, dtype=np.float32)
    half = (x + y) / 2
    cases = [[x, x, x], [x, y, z], [x, x, y], [x, half, x], [x, half, y]]
    found = agreement(tf.constant(np.array(cases)))
    # Of the last, pairs are 0.5, 0.5 and 1 apart.
    expected = [1, 0, 1 / 3, 2 / 3, 1 / 3]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_agreement_stays_within_its_bounds():
    rng = np.random.default_rng(0)
    probs = tf.nn.softmax(rng.normal(0, 9, (500, 4, 30)).astype(np.float32))
    pairs = itertools.combinations(range(4), 2)
    common = [np.minimum(probs[:, i], probs[:, j]).sum(-1) for i, j in pairs]
    found = agreement(probs)
    np.testing.assert_allclose(found, np.mean(common, axis=0), atol=1e-6)
    assert found.numpy().min() >= 0
    # Exactly: the page says "100 %" of no less.
    np.testing.assert_array_equal(agreement(tf.repeat(probs[:, :1], 4, 1)), 1)
    # Sums of 1 + 2e-7, which share nothing.
    over = np.float32([[[0.5, 0.5000002, 0], [0, 0, 1.0000002]]])
    assert agreement(over).numpy() == [0]
