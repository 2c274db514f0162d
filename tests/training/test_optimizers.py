import keras
import numpy as np
import pytest
import tensorflow as tf

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
