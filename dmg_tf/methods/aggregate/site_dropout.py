"""Dropout on the inputs of a task network's layers, as masks would drop."""

import keras
import tensorflow as tf

from dmg_tf.layers.replica_random import uniform
from dmg_tf.methods.task_network import TaskNetwork


@keras.saving.register_keras_serializable("dmg_tf")
class SiteDropout(keras.layers.Layer):
    """Drops units in training; otherwise scales all by the share kept.

    Srivastava et al., "Dropout", JMLR 2014, Sec. 4, as it stands there: what is
    kept is not scaled in training. On maps and tokens a unit is a channel,
    dropped everywhere, as a mask of DMG drops it.

    Args:
        rate: Share of the units that are dropped, in [0, 1).
        seed: Seed of the draws.

    Call arguments:
        inputs: [B, F], [B, H, W, F] or tokens [B, T, F], any float type.
        training: Whether to drop.

    Randomness:
        [B, F] numbers a training call. The n-th draw is a function of the seed,
        n and the row in the batch of all replicas.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        """Returns the units that are left, of the shape of `inputs`."""
        keep = 1.0 - self.rate
        if not training:
            return inputs * keep
        shape = [tf.shape(inputs)[0], inputs.shape[-1]]
        kept = uniform(shape, self.seed_generator) < keep  # [B, F]
        for _ in inputs.shape[2:]:
            kept = kept[:, tf.newaxis]  # [B, 1, ..., F]
        return inputs * tf.cast(kept, inputs.dtype)

    def compute_output_shape(self, input_shape):
        """Returns the input's shape."""
        return input_shape

    def get_config(self):
        """Returns the arguments that rebuild the layer."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class DroppingTaskNetwork(TaskNetwork):
    """A task network that drops units on the inputs of some stages.

    Args:
        stages: As for `TaskNetwork`.
        dropouts: {stage name: SiteDropout}.

    Call arguments: Those of `TaskNetwork`.
    """

    def __init__(self, stages, dropouts: dict[str, SiteDropout], **kwargs):
        super().__init__(stages, **kwargs)
        self.dropouts = dict(dropouts)

    def hidden(self, features):
        """Returns what the last stage takes, units dropped: [B, F]."""
        x = features
        for stage in self.stages:
            if stage.name in self.dropouts:
                x = self.dropouts[stage.name](x)
            if stage is not self.stages[-1]:
                x = stage(x)
        return x
