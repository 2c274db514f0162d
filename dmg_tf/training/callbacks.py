"""What watches the steps: bad losses, time, and what a user brings along."""

import importlib
import math
import time
from collections.abc import Sequence

import keras

from dmg_tf.errors import UserError


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends the run when the loss is no finite number any more.

    The last checkpoint stays as it is: it was written before. The loss of the
    logs is a running mean, which one bad step spoils for the rest of the epoch:
    looking at it now and then is enough, and does not make the device wait for
    the host at each step.
    """

    _EVERY = 20

    def on_train_batch_end(self, batch, logs=None):
        """Raises UserError with the number of the step."""
        if batch % self._EVERY == self._EVERY - 1:
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Likewise, before anything of the epoch is written."""
        self._check(logs)

    def _check(self, logs):
        if not math.isfinite(logs["loss"]):
            step = int(self.model.optimizer.iterations.numpy())
            raise UserError(
                f"the loss is {float(logs['loss'])} at step {step}: training "
                "has diverged; the last checkpoint is kept. Try a smaller "
                "--learning-rate, or --precision float32"
            )


class Timer(keras.callbacks.Callback):
    """Measures how long the steps of each epoch take.

    Attributes:
        seconds: Time of the last epoch's steps, without validation.
        images_per_second: Its rate. The first step of all is left out, as it
            compiles the graph.
    """

    def __init__(self, batch_size: int):
        super().__init__()
        self.batch_size = batch_size
        self.seconds = 0.0
        self.images_per_second = float("nan")
        self._compiled = False

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._begin = self._rate_begin = time.perf_counter()
        self._steps = 0

    def on_train_batch_end(self, batch, logs=None):
        """Reads the clock; the epoch's end comes after validation."""
        self._end = time.perf_counter()
        if not self._compiled:
            self._compiled = True
            self._rate_begin = self._end
        else:
            self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        """Works out the rate."""
        self.seconds = self._end - self._begin
        if self._steps:
            elapsed = self._end - self._rate_begin
            self.images_per_second = self._steps * self.batch_size / elapsed


def load_callbacks(names: Sequence[str]) -> list[keras.callbacks.Callback]:
    """Makes the callbacks that a user names.

    Args:
        names: "module:factory" each; the factory takes no arguments.

    Raises:
        UserError: If there is no such factory, or it gives no callback.
    """
    return [_load_callback(name) for name in names]


def _load_callback(name: str) -> keras.callbacks.Callback:
    module, colon, factory = name.partition(":")
    if not (module and colon and factory):
        raise UserError(
            f"--callback must be module:factory, e.g. my_callbacks:make, got "
            f"{name!r}"
        )
    try:
        make = getattr(importlib.import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise UserError(f"--callback {name}: {error}") from error
    if not callable(make):
        raise UserError(
            f"--callback {name} must be a function, got {type(make).__name__}"
        )
    callback = make()
    if not isinstance(callback, keras.callbacks.Callback):
        raise UserError(
            f"--callback {name} must return a keras.callbacks.Callback, got "
            f"{type(callback).__name__}"
        )
    return callback
