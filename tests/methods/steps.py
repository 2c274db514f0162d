"""A step of a method on one device and on two."""

import numpy as np
import tensorflow as tf

from dmg_tf.devices.strategy import make_strategy
from tests.helpers import random_batch


def assert_two_replicas_are_one(make, batch=12):
    """Checks that a step ends alike where two replicas share its images.

    Args:
        make: () -> a compiled model of 16 pixels, three classes and domains.
        batch: Images of a step, a multiple of 6.
    """
    inputs, labels = random_batch(batch=batch, size=16)
    alone = make()
    alone.train_step((inputs, labels))
    strategy = make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        shared = make()
        shared.optimizer.build(shared.trainable_variables)
    half = batch // 2

    def of_replica(x):
        return strategy.experimental_distribute_values_from_function(
            lambda place: tf.constant(
                x[half * place.replica_id_in_sync_group :][:half]
            )
        )

    data = ({k: of_replica(x) for k, x in inputs.items()}, of_replica(labels))
    strategy.run(tf.function(lambda *d: shared.train_step(d)), args=data)
    start = make().get_weights()
    for before, one, two in zip(
        start, alone.get_weights(), shared.get_weights(), strict=True
    ):
        # Of the movement, and the rounding of weights that hardly move.
        most = 1e-4 * np.abs(one - before).max() + 2e-7 * np.abs(one).max()
        np.testing.assert_allclose(two, one, rtol=0, atol=most)
