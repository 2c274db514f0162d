"""What is random belongs to a row of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.devices.strategy import make_strategy
from dmg_tf.layers.replica_random import (
    RowDropout,
    beta,
    permutation,
    uniform,
)
from dmg_tf.methods.dmg.domain_mask import DomainMask
from tests.helpers import assert_layer_contract


def on_replicas(make, call, inputs, times=3):
    """Calls a layer some times on two replicas; returns whole batches."""
    strategy = make_strategy("mirrored")
    with strategy.scope():
        layer = make()
    halves = np.split(inputs, strategy.num_replicas_in_sync)
    values = strategy.experimental_distribute_values_from_function(
        lambda place: tf.constant(halves[place.replica_id_in_sync_group])
    )

    @tf.function
    def run(values):
        return strategy.run(lambda x: call(layer, x), args=(values,))

    return [
        np.concatenate(strategy.experimental_local_results(run(values)))
        for _ in range(times)
    ]


def on_one(make, call, inputs, times=3):
    layer = make()
    return [call(layer, inputs).numpy() for _ in range(times)]


ONES = np.ones((6, 40), np.float32)
LAYERS = {
    "mask": (
        lambda: DomainMask(2, seed=4),
        lambda layer, x: layer(
            x, tf.zeros(tf.shape(x)[0], tf.int32), training=True
        ),
    ),
    "dropout": (
        lambda: RowDropout(0.5, seed=4),
        lambda layer, x: layer(x, training=True),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_two_replicas_draw_what_one_draws(name):
    one, two = on_one(*LAYERS[name], ONES), on_replicas(*LAYERS[name], ONES)
    np.testing.assert_array_equal(one, two)
    # neither rows nor calls repeat each other
    assert len({row.tobytes() for batch in two for row in batch}) == 18


def test_numbers_of_one_replica_are_those_of_keras():
    first, second = (keras.random.SeedGenerator(3) for _ in range(2))
    for _ in range(2):
        np.testing.assert_array_equal(
            uniform((4, 5), first), keras.random.uniform((4, 5), seed=second)
        )


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_dropout_of_one_replica_is_that_of_keras(dtype):
    ours = RowDropout(0.3, seed=5, dtype=dtype)
    theirs = keras.layers.Dropout(0.3, seed=5, dtype=dtype)
    for _ in range(2):
        np.testing.assert_array_equal(
            ours(ONES, training=True), theirs(ONES, training=True)
        )
    np.testing.assert_array_equal(ours(ONES), ONES)


def test_dropout_contract():
    assert_layer_contract(lambda: RowDropout(0.5, seed=1), ONES)


def test_two_replicas_share_an_order_and_shares():
    class Draws(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seed_generator = keras.random.SeedGenerator(6)

        def call(self, x):
            rows = tf.shape(x)[0]
            order = permutation(rows, self.seed_generator)
            shares = beta(0.1, rows, self.seed_generator)
            return tf.stack([tf.cast(order, tf.float32), shares], axis=1)

    def call(layer, x):
        return layer(x)

    one, two = on_one(Draws, call, ONES), on_replicas(Draws, call, ONES)
    np.testing.assert_allclose(one, two, rtol=1e-5)
    assert len({batch.tobytes() for batch in two}) == 3
    for batch in two:
        assert sorted(batch[:, 0]) == list(range(6))


@pytest.mark.parametrize("concentration", [0.01, 0.1, 1.0, 5.0])
def test_shares_are_of_a_beta_distribution(concentration):
    count = 20000
    shares = beta(concentration, count, keras.random.SeedGenerator(7)).numpy()
    assert np.isfinite(shares).all() and 0 <= shares.min() <= shares.max() <= 1
    rng = np.random.default_rng(0)
    expected = rng.beta(concentration, concentration, count)
    # Kolmogorov and Smirnov's distance of two samples, at 1 in 10^5.
    # The smallest are exactly 0 in one precision, not in the other.
    points = np.linspace(0.005, 0.995, 199)
    found, wanted = (
        np.searchsorted(np.sort(x), points, side="right") / count
        for x in (shares, expected)
    )
    assert np.abs(found - wanted).max() < 2.5 * (2 / count) ** 0.5
