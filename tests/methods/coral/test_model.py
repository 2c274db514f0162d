import itertools

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.coral.distances import distances_of_pairs
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(domains=("a", "b", "c"), **options):
    model = build_model("coral", "stub", 3, domains, image_size=16, **options)
    model.compile(OPTIMIZERS["sgd"](1e-2))
    return model


def expected(features):
    """The distances with matrices of F x F, in float64."""
    means = [x.astype(np.float64).mean(0) for x in features]
    covariances = [np.cov(x.astype(np.float64).T) for x in features]
    return [
        np.mean((means[d] - means[e]) ** 2)
        + np.mean((covariances[d] - covariances[e]) ** 2)
        for d, e in itertools.combinations(range(len(features)), 2)
    ]


@pytest.mark.parametrize("images,width", [(5, 40), (30, 4)])
def test_distances_are_those_of_whole_matrices(images, width):
    rng = np.random.default_rng(0)
    features = rng.normal(3, 1, (3, images, width)).astype(np.float32)
    found, there = distances_of_pairs(features, tf.ones([3, images]))
    np.testing.assert_allclose(found, expected(features), rtol=2e-6)
    assert there.numpy().tolist() == [1, 1, 1]


def test_alike_domains_are_told_apart_in_float32():
    """The products of like covariances nearly cancel each other."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 20)).astype(np.float32)
    features = np.stack([x, x * np.float32(1.01)])
    features[1] -= features[1].mean(0) - x.mean(0)
    found, _ = distances_of_pairs(features, tf.ones([2, 200]))
    np.testing.assert_allclose(found, expected(features), rtol=1e-2)


def test_there_is_no_matrix_of_the_features():
    traced = tf.function(distances_of_pairs).get_concrete_function(
        tf.TensorSpec([3, 4, 500]), tf.TensorSpec([3, 4])
    )
    sizes = [
        output.shape.num_elements()
        for operation in traced.graph.get_operations()
        for output in operation.outputs
        if output.shape.is_fully_defined()
    ]
    assert max(sizes) == 3 * 4 * 500


@pytest.mark.parametrize("form", ["missing", "single"])
def test_too_few_images_give_no_distance(form):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, 4, 6)).astype(np.float32)
    weights = np.ones((3, 4), np.float32)
    weights[1] = 0 if form == "missing" else [4, 0, 0, 0]
    features = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(features)
        found, there = distances_of_pairs(features, weights)
    assert np.isfinite(tape.gradient(found, features)).all()
    x = features.numpy()
    by_mean = [
        np.mean((x[1, 0] - x[0].mean(0)) ** 2),
        np.mean((x[1, 0] - x[2].mean(0)) ** 2),
    ]
    if form == "missing":
        by_mean = [0, 0]
    both = expected(x[::2])[0]
    np.testing.assert_allclose(found, [by_mean[0], both, by_mean[1]], rtol=1e-5)
    assert there.numpy().tolist() == [form == "single", 1, form == "single"]


def test_a_domain_without_images_adds_nothing():
    inputs, labels = random_batch(batch=6, size=16)
    inputs["domain_ids"] = np.int32([0, 0, 1, 1, 0, 1])
    model, both = make(), make(("a", "b"))
    three = model.objective(inputs, labels)
    # Of six images, three sources can have two each.
    some = {name: value[:4] for name, value in inputs.items()}
    two = both.objective(some, labels[:4])
    for name in ("cross_entropy", "distance"):
        assert float(three.terms[name][1]) == pytest.approx(
            float(two.terms[name][1]), rel=1e-5
        )
    model.train_step((inputs, labels))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_one_source_is_like_itself():
    with pytest.raises(UserError, match="CORAL makes .* at least 2, got 1"):
        make(("a",))


def test_two_replicas_take_the_step_of_one():
    assert_two_replicas_are_one(lambda: make(coral_weight=100.0))
