"""What is random belongs to a row of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.devices.strategy import make_strategy
from dmg_tf.layers.replica_random import RowDropout, uniform
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
