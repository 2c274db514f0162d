import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.build import build_model
from dmg_tf.methods.metareg.model import regularizer
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch

DOMAINS = ("a", "b", "c")


@pytest.fixture
def make(with_stub):
    def make(**kwargs):
        return build_model(
            "metareg", "stub", 4, DOMAINS, image_size=32, **kwargs
        )

    return make


def problem(model, seed=0):
    """Returns the arguments of `meta_loss`, away from kinks, in float32."""
    rng = np.random.default_rng(seed)
    inputs, labels = random_batch(batch=9, classes=4)
    shapes = [w.shape for w in model.task_network.trainable_variables]
    weights = [tf.constant(rng.uniform(0, 0.3, s), tf.float32) for s in shapes]
    signs = [rng.choice([-1, 1], s) for s in shapes]
    start = [
        tf.constant(sign * rng.uniform(0.5, 1.0, sign.shape), tf.float32)
        for sign in signs
    ]
    features = model.feature_extractor(inputs["image"])
    ids = inputs["domain_ids"]
    chosen = [tf.constant(ids == d, tf.float32) for d in (0, 1)]
    return weights, start, features, tf.constant(labels), *chosen


def test_regularizer_is_weighted_l1():
    weights = [tf.constant([1.0, 2.0]), tf.constant([[3.0]])]
    parameters = [tf.constant([-4.0, 0.5]), tf.constant([[-2.0]])]
    assert float(regularizer(weights, parameters)) == 4 + 1 + 6


def test_meta_gradient_is_that_of_finite_differences(make):
    model = make(meta_steps=3)
    model.inner_learning_rate = 0.3
    weights, *rest = problem(model)
    found = model.meta_gradient(weights, *rest)
    rng = np.random.default_rng(1)
    for _ in range(4):
        directions = [rng.normal(size=w.shape) for w in weights]

        def loss(distance, directions=directions):
            moved = [
                w + tf.constant(distance * d, tf.float32)
                for w, d in zip(weights, directions, strict=True)
            ]
            return float(model.meta_loss(moved, *rest))

        expected = (loss(0.02) - loss(-0.02)) / 0.04
        along = sum(
            float(tf.reduce_sum(g * d))
            for g, d in zip(found, directions, strict=True)
        )
        assert abs(expected) > 1e-3
        assert along == pytest.approx(expected, rel=0.02, abs=1e-4)


def test_meta_gradient_of_one_step_in_closed_form(make):
    """dL_b(θ - α (∇L_a + φ sign θ)) / dφ = -α sign θ · ∇L_b."""
    model = make(meta_steps=1)
    weights, start, features, labels, train, test = problem(model)
    with tf.GradientTape() as tape:
        tape.watch(start)
        loss = model._loss(start, features, labels, train)
        loss += regularizer(weights, start)
    rate = model.inner_learning_rate
    after = [
        p - rate * g
        for p, g in zip(start, tape.gradient(loss, start), strict=True)
    ]
    with tf.GradientTape() as tape:
        tape.watch(after)
        loss = model._loss(after, features, labels, test)
    found = model.meta_gradient(weights, start, features, labels, train, test)
    for one, p, g in zip(found, start, tape.gradient(loss, after), strict=True):
        np.testing.assert_allclose(one, -rate * tf.sign(p) * g, atol=1e-7)


def test_a_domain_without_images_has_no_loss(make):
    model = make()
    weights, start, features, labels, train, _ = problem(model)
    none = tf.zeros_like(train)
    assert float(model._loss(start, features, labels, none)) == 0
    found = model.meta_gradient(weights, start, features, labels, train, none)
    assert all(np.all(np.asarray(g) == 0) for g in found)


def test_pairs_are_two_sources_and_all_come_up(make):
    model = make()
    pairs = {
        tuple(int(x) for x in model._pair(tf.constant(step, tf.int64)))
        for step in range(60)
    }
    assert pairs == {(a, b) for a in range(3) for b in range(3) if a != b}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_trains_all_three(make, optimizer):
    model = make(meta_learning_rate=10.0)
    model.compile(OPTIMIZERS[optimizer](1e-3), run_eagerly=True)
    inputs, labels = random_batch(batch=9, classes=4)
    data = tf.data.Dataset.from_tensors((inputs, labels)).repeat(3)
    before = [s.numpy() for s in model.domain_networks]
    logs = model.fit(data, verbose=0, shuffle=False).history
    assert logs["regularizer"][0] > 0
    assert logs["loss"][0] == pytest.approx(
        logs["cross_entropy"][0] + logs["regularizer"][0], rel=1e-5
    )
    phi = np.concatenate([w.numpy().ravel() for w in model.regularizer_weights])
    assert phi.min() == 0 and phi.max() > 0
    for old, stack in zip(before, model.domain_networks, strict=True):
        moved = np.abs(stack.numpy() - old).reshape(3, -1).max(axis=1)
        assert np.all(moved > 0)  # the network of every source
        assert np.abs(stack.numpy()[0] - stack.numpy()[1]).max() > 0


def test_task_network_is_the_last_layer_unless_told_otherwise(make):
    model = make()
    assert [stage.name for stage in model.task_network.stages] == ["fc"]
    assert [w.shape for w in model.regularizer_weights] == [(8, 4), (4,)]
    wider = make(mask_sites=["body"])
    assert len(wider.regularizer_weights) > 2
    model.compile(OPTIMIZERS["adam"](1e-3), run_eagerly=True)
    inputs, labels = random_batch(batch=9, classes=4)
    data = tf.data.Dataset.from_tensors((inputs, labels))
    assert np.isfinite(model.fit(data, verbose=0).history["loss"][0])


def test_saved_with_all_it_learned(make, tmp_path):
    model = make(meta_steps=2, meta_learning_rate=0.5)
    rng = np.random.default_rng(0)
    for weight in (*model.regularizer_weights, *model.domain_networks):
        weight.assign(rng.uniform(size=weight.shape))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.options.meta_steps == 2
    assert again.options.meta_learning_rate == 0.5
    for old, new in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())
