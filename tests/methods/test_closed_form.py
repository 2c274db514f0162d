import numpy as np
import pytest

from dmg_tf.methods.closed_form import Moments, ridge, sharpness


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels, ids = rng.integers(0, 3, 50), rng.integers(0, 2, 50)
    labels[(labels == 2) & (ids == 1)] = 0  # a class that a domain lacks
    features = 1e3 + rng.normal(size=(50, 4)) + labels[:, None] * np.eye(4)[0]
    return features.astype(np.float32), labels, ids


def moments_of(data, size=7):
    rows = range(0, len(data[1]), size)
    return Moments(3, 2, [[x[i : i + size] for x in data] for i in rows])


def test_moments_are_numpy_s(data):
    features, labels, ids = data
    found = moments_of(data)
    exact = features.astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(0))
    np.testing.assert_allclose(
        found.scatter, np.cov(exact.T, bias=True), atol=1e-9
    )
    means = np.stack([exact[ids == d].mean(0) for d in range(2)])
    between = np.cov(means.T, bias=True)
    np.testing.assert_allclose(found.between, between, atol=1e-9)
    for label in range(3):
        chosen = exact[labels == label]
        sums = (chosen - exact.mean(0)).sum(0)
        np.testing.assert_allclose(found.class_sums[:, label], sums, atol=1e-9)
    assert found.counts[2, 1] == 0
    np.testing.assert_array_equal(found.class_means[2, 1], found.mean)


def test_a_domain_without_images_has_no_part_in_the_variance(data):
    features, labels, ids = data
    three = Moments(3, 3, [(features, labels, 2 * ids)])
    np.testing.assert_allclose(three.between, moments_of(data).between)


def test_scaled_moments_are_those_of_scaled_features(data):
    features, *rest = data
    found, expected = (
        moments_of(data).scaled(3.0),
        Moments(3, 2, [(3.0 * features.astype(np.float64), *rest)]),
    )
    for name in ("mean", "scatter", "between", "class_sums", "class_means"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), atol=1e-6
        )


def test_ridge_regression_is_least_squares_with_a_penalty(data):
    features, labels, _ = data
    moments = moments_of(data)
    kernel, bias = ridge(moments, 0.5)
    x = np.concatenate([features - moments.mean, np.ones((50, 1))], axis=1)
    inner = x.T @ x + 50 * np.diag([0.5] * 4 + [0.0])
    expected = np.linalg.solve(inner, x.T @ np.eye(3)[labels])
    np.testing.assert_allclose(kernel, expected[:-1], atol=1e-6)
    scores = features @ kernel + bias
    np.testing.assert_allclose(scores, x @ expected, atol=1e-5)


def test_sharpness_is_that_of_least_cross_entropy():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 5))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (probs.cumsum(1) < rng.random((4000, 1))).sum(1)
    # The standard error from 4000 draws is about 0.02 of it.
    assert sharpness(0.1 * logits, labels) == pytest.approx(10, rel=0.08)
    assert sharpness(np.eye(5), np.arange(5)) == pytest.approx(100)
    assert sharpness(np.eye(5), (np.arange(5) + 1) % 5) == pytest.approx(0.01)
