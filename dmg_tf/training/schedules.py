"""Learning rates (Sec. 7.5)."""

import math

import keras
import tensorflow as tf

KINDS = ("exponential", "inverse", "constant", "cosine")


@keras.saving.register_keras_serializable("dmg_tf")
class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate by step.

    Paper: Sec. 7.5. With t = 1, 2, ... the epoch: "exponential" is
    rate * 0.99^(t - 1) (PACS), "inverse" is rate / (1 + 1e-4 (t - 1))^0.75
    (DomainNet), "constant" is the rate. Differs: nothing; the official code
    leaves the masks' rate undecayed when it decays by epoch, the paper decays
    both, and so do the optimisers' `rates`.

    Not the paper's: "cosine" falls to 0 at the run's end, step by step, as half
    a wave; in the first `warmup_steps` any kind grows linearly from near 0.

    Args:
        initial_rate: Rate of the first epoch.
        kind: "exponential", "inverse", "constant" or "cosine".
        steps_per_epoch: Steps that one epoch has.
        total_steps: Steps of the whole run; "cosine" needs it.
        warmup_steps: Steps until the rate is reached.

    Raises:
        ValueError: If the kind is unknown, or the length is not given.
    """

    def __init__(
        self,
        initial_rate: float,
        kind: str,
        steps_per_epoch: int,
        total_steps: int | None = None,
        warmup_steps: int = 0,
    ):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {KINDS}, got {kind!r}")
        if kind == "cosine" and not total_steps:
            raise ValueError("`total_steps` is needed for a cosine")
        self.initial_rate = initial_rate
        self.kind = kind
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        """Returns the rate at a step counted from 0, float32."""
        rate = self._without_warmup(step)
        if not self.warmup_steps:
            return rate
        done = tf.cast(step, tf.float32) + 1.0
        return rate * tf.minimum(done / float(self.warmup_steps), 1.0)

    def _without_warmup(self, step):
        if self.kind == "cosine":
            done = tf.cast(step, tf.float32) / float(self.total_steps)
            done = tf.minimum(done, 1.0)
            return self.initial_rate * 0.5 * (1.0 + tf.cos(math.pi * done))
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
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
        }
