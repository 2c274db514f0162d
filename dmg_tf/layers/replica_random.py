"""Random numbers that depend on the row of a batch, not on the device."""

import keras
import tensorflow as tf


def own_rows(draw, shape):
    """Returns this replica's rows of what is drawn for the whole batch.

    The n-th call gives the same numbers to the same row of the whole batch,
    however many replicas share it: each draws for all rows, from the same
    seed, and takes its own. Rows are shared out in the order of the replicas,
    equally many to each.

    Args:
        draw: (shape of the whole batch) -> tensor of that shape.
        shape: int32 [R], the rows of this replica first.

    Returns:
        [...] of the given shape.
    """
    replica = tf.distribute.get_replica_context()
    replicas = replica.num_replicas_in_sync if replica else 1
    if replicas == 1:
        return draw(shape)
    shape = tf.convert_to_tensor(shape)
    rows = shape[:1]
    whole = draw(tf.concat([rows * replicas, shape[1:]], axis=0))
    first = rows * tf.cast(replica.replica_id_in_sync_group, rows.dtype)
    begin = tf.concat([first, tf.zeros_like(shape[1:])], axis=0)
    return tf.slice(whole, begin, shape)


def uniform(shape, seed_generator, dtype="float32"):
    """Draws uniform numbers for this replica's rows; see `own_rows`.

    Args:
        shape: int32 [R], the rows of this replica first.
        seed_generator: A `keras.random.SeedGenerator`; each replica's copy
            moves on by one.
        dtype: Float type.

    Returns:
        [...] of that shape, in [0, 1).
    """
    return own_rows(
        lambda whole: keras.random.uniform(
            whole, dtype=dtype, seed=seed_generator
        ),
        shape,
    )


def permutation(rows, seed_generator):
    """Draws an order of the whole batch; returns this replica's part.

    Args:
        rows: Number of rows of this replica.
        seed_generator: As for `uniform`.

    Returns:
        int32 [rows], rows of the whole batch, none twice.
    """
    return own_rows(
        lambda whole: tf.argsort(
            keras.random.uniform(whole, seed=seed_generator)
        ),
        [rows],
    )


# One try in 20 fails at worst: all of them, one draw in 10^10.
_TRIES = 8
# Uniform numbers that a draw of `beta_of` takes.
NUMBERS_OF_BETA = (2, 2 * _TRIES + 1)


def beta(concentration: float, rows, seed_generator):
    """Draws shares from Beta(α, α) for this replica's rows; see `own_rows`.

    Args:
        concentration: α, above 0.
        rows: Number of rows of this replica.
        seed_generator: As for `uniform`.

    Returns:
        float32 [rows], in [0, 1].
    """
    numbers = uniform([rows, *NUMBERS_OF_BETA], seed_generator)
    return beta_of(concentration, numbers)


def beta_of(concentration: float, numbers):
    """Makes draws from Beta(α, α) of uniform numbers.

    A quotient of gamma draws, in logarithms: at α = 0.1 the draws themselves
    can be too small for float32. They are made of uniform numbers, as XLA has
    no gamma: G(α) = G(α + 1) U^(1/α), and G(α + 1) by Marsaglia and Tsang, "A
    Simple Method for Generating Gamma Variables", 2000, with a fixed number of
    tries.

    Args:
        concentration: α, above 0.
        numbers: float32 [N, *NUMBERS_OF_BETA], uniform in [0, 1).

    Returns:
        float32 [N], in [0, 1].
    """
    # Never 0, whose logarithm is none.
    numbers = 1.0 - numbers
    tried, accepting, last = tf.split(numbers, [_TRIES, _TRIES, 1], axis=-1)
    d = concentration + 2 / 3
    normal = 2**0.5 * tf.math.erfinv(2.0 * tried - 1.0)
    cube = (1.0 + normal / (9.0 * d) ** 0.5) ** 3
    accepted = tf.logical_and(
        cube > 0,
        tf.math.log(accepting)
        < 0.5 * normal**2 + d * (1.0 - cube + tf.math.log(cube)),
    )
    first = tf.argmax(tf.cast(accepted, tf.int32), axis=-1)
    chosen = tf.where(accepted, cube, 1.0)
    chosen = tf.gather(chosen, first, batch_dims=2)
    logs = tf.math.log(chosen) + tf.math.log(last[..., 0]) / concentration
    return tf.sigmoid(logs[:, 0] - logs[:, 1])


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
