"""Learning rates by epoch (Sec. 7.5)."""

import keras
import tensorflow as tf

KINDS = ("exponential", "inverse", "constant")


@keras.saving.register_keras_serializable("dmg_tf")
class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is constant within an epoch.

    Paper: Sec. 7.5. With t = 1, 2, ... the epoch: "exponential" is
    rate * 0.99^(t - 1) (PACS), "inverse" is rate / (1 + 1e-4 (t - 1))^0.75
    (DomainNet), "constant" is the rate. Differs: nothing; the official code
    leaves the masks' rate undecayed when it decays by epoch, the paper decays
    both, and so do the optimisers' `rates`.

    Args:
        initial_rate: Rate of the first epoch.
        kind: "exponential", "inverse" or "constant".
        steps_per_epoch: Steps that one epoch has.

    Raises:
        ValueError: If the kind is unknown.
    """

    def __init__(self, initial_rate: float, kind: str, steps_per_epoch: int):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {KINDS}, got {kind!r}")
        self.initial_rate = initial_rate
        self.kind = kind
        self.steps_per_epoch = steps_per_epoch

    def __call__(self, step):
        """Returns the rate at a step counted from 0, float32."""
        epoch = tf.cast(
            tf.cast(step, tf.int64) // self.steps_per_epoch, tf.float32
        )
        if self.kind == "exponential":
            return self.initial_rate * tf.pow(0.99, epoch)
        if self.kind == "inverse":
            return self.initial_rate * tf.pow(1.0 + 1e-4 * epoch, -0.75)
        return tf.constant(self.initial_rate, tf.float32)

    def get_config(self):
        """Returns the arguments that rebuild the schedule."""
        return {
            "initial_rate": self.initial_rate,
            "kind": self.kind,
            "steps_per_epoch": self.steps_per_epoch,
        }
