import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.devices.strategy import make_strategy
from dmg_tf.training.optimizers import SGD, Adam, AdamW


class Numpy:
    """torch.optim.Adam, AdamW and SGD, written out."""

    def __init__(self, kind, rate, l2):
        self.kind, self.rate, self.l2 = kind, rate, l2
        self.m = self.v = 0.0
        self.t = 0

    def step(self, value, gradient):
        self.t += 1
        if self.kind == "adamw":
            value = value - self.rate * self.l2 * value
        else:
            gradient = gradient + self.l2 * value
        if self.kind == "sgd":
            self.m = 0.9 * self.m + gradient
            return value - self.rate * self.m
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        mean = self.m / (1 - 0.9**self.t)
        scale = np.sqrt(self.v / (1 - 0.999**self.t)) + 1e-8
        return value - self.rate * mean / scale


@pytest.mark.parametrize(
    "kind,make", [("adam", Adam), ("adamw", AdamW), ("sgd", SGD)]
)
def test_updates_match_the_formula(kind, make):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(2, 7)).astype(np.float32)
    network = keras.Variable(start[0], name="kernel")
    mask = keras.Variable(start[1], name="mask_logits")
    optimizer = make(0.01, l2=0.1, rates=[1.0, 3.0])
    expected = [Numpy(kind, 0.01, 0.1), Numpy(kind, 0.03, 0.1)]
    values = start.astype(np.float64)
    for _ in range(5):
        gradients = rng.normal(size=(2, 7)).astype(np.float32)
        optimizer.apply([tf.constant(g) for g in gradients], [network, mask])
        values = np.stack(
            [
                e.step(v, g)
                for e, v, g in zip(expected, values, gradients, strict=True)
            ]
        )
    np.testing.assert_allclose(network, values[0], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(mask, values[1], rtol=2e-5, atol=1e-6)


def test_epsilon_stands_where_pytorch_has_it():
    variable = keras.Variable(np.zeros(1, np.float32), name="kernel")
    Adam(1.0).apply([tf.constant([1e-8])], [variable])
    # g / (|g| + eps) = 1 / 2; an uncorrected epsilon would give 0.03
    assert variable.numpy()[0] == pytest.approx(-0.5, rel=1e-3)


@pytest.mark.parametrize("make", [Adam, SGD])
def test_config_round_trip(make):
    optimizer = make(0.01, l2=0.1, rates=[1.0, 3.0])
    config = optimizer.get_config()
    assert config["rates"] == [1.0, 3.0]
    assert make.from_config(config).get_config() == config
    # Version 0.1 had one ratio, which the model makes rates of.
    old = {**config, "rates": None, "mask_rate_ratio": 3.0}
    assert make.from_config(old).rates is None


@pytest.mark.parametrize("make", [Adam, SGD])
def test_there_is_a_rate_for_each_variable(make):
    variables = [keras.Variable(np.zeros(2, np.float32)) for _ in range(2)]
    with pytest.raises(ValueError, match="as many as the 2 variables, got 1"):
        make(0.01, rates=[3.0]).build(variables)


def test_sgd_without_momentum():
    variable = keras.Variable(np.ones(2, np.float32), name="kernel")
    SGD(0.5, momentum=0.0).apply([tf.constant([1.0, 2.0])], [variable])
    np.testing.assert_allclose(variable, [0.5, 0.0])


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind,make", [("adam", Adam), ("sgd", SGD)])
def test_a_restart_is_a_new_optimizer(kind, make, scaled):
    rng = np.random.default_rng(0)
    value = rng.normal(size=7).astype(np.float32)
    variable = keras.Variable(value, name="kernel")
    optimizer = make(0.01, l2=0.1, restart_at=3)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, 1.0)
        # A step that is skipped is no step, whether before or at the restart.
        bad = (1, 3)
    optimizer.build([variable])
    expected = Numpy(kind, 0.01, 0.1)
    update = tf.function(lambda g: optimizer.apply([g], [variable]))
    for step in range(6):
        gradient = rng.normal(size=7).astype(np.float32)
        if scaled and step in bad:
            update(tf.constant(gradient * np.nan))
        if step == 3:
            expected = Numpy(kind, 0.01, 0.1)
        scale = float(optimizer.dynamic_scale) if scaled else 1.0
        update(tf.constant(gradient * np.float32(scale)))
        value = expected.step(value, gradient)
        np.testing.assert_allclose(variable, value, rtol=2e-5, atol=1e-6)


def taken(optimizer, gradient):
    """Takes a step along a replica's own gradient."""
    own = tf.identity(gradient)
    optimizer.apply([own], optimizer._trainable_variables)


def test_a_restart_is_that_of_all_devices():
    strategy, found = make_strategy("mirrored"), []
    gradients = ([1.0, 0.1], [0.5, -9.0], [-3.0, 1.0], [1.0, 1.0])
    for each in (tf.distribute.get_strategy(), strategy):
        with each.scope():
            variable = keras.Variable([1.0, -2.0], name="kernel")
            optimizer = Adam(0.1, restart_at=2)
            optimizer.build([variable])
        one = functools.partial(taken, optimizer)
        run = tf.function(lambda g, s=each, f=one: s.run(f, args=(g,)))
        for gradient in gradients:
            run(tf.constant(gradient) / each.num_replicas_in_sync)
        found.append([variable, *optimizer.variables])
    assert strategy.num_replicas_in_sync == 2
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(np.array(two), np.array(one), rtol=1e-6)
