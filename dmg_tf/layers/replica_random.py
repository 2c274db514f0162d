"""Random numbers that depend on the row of a batch, not on the device."""

import keras
import tensorflow as tf


def uniform(shape, seed_generator, dtype="float32"):
    """Draws uniform numbers for this replica's rows of the whole batch.

    The n-th call gives the same numbers to the same row of the whole batch,
    however many replicas share it: each draws for all rows, from the same
    seed, and takes its own. Rows are shared out in the order of the replicas,
    equally many to each.

    Args:
        shape: int32 [R], the rows of this replica first.
        seed_generator: A `keras.random.SeedGenerator`; each replica's copy
            moves on by one.
        dtype: Float type.

    Returns:
        [...] of that shape, in [0, 1).
    """
    replica = tf.distribute.get_replica_context()
    replicas = replica.num_replicas_in_sync if replica else 1
    if replicas == 1:
        return keras.random.uniform(shape, dtype=dtype, seed=seed_generator)
    shape = tf.convert_to_tensor(shape)
    rows = shape[:1]
    whole = keras.random.uniform(
        tf.concat([rows * replicas, shape[1:]], axis=0),
        dtype=dtype,
        seed=seed_generator,
    )
    first = rows * tf.cast(replica.replica_id_in_sync_group, rows.dtype)
    begin = tf.concat([first, tf.zeros_like(shape[1:])], axis=0)
    return tf.slice(whole, begin, shape)


@keras.saving.register_keras_serializable("dmg_tf")
class RowDropout(keras.layers.Dropout):
    """Dropout that drops the same units however many replicas there are."""

    def call(self, inputs, training=False):
        """Returns the inputs, in training with units dropped."""
        if not training or not self.rate:
            return inputs
        return tf.nn.experimental.general_dropout(
            inputs,
            self.rate,
            lambda shape, dtype: uniform(
                shape, self.seed_generator, dtype.name
            ),
        )
