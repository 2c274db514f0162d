"""Short runs, how they are ended, and what is compared of them."""

import pathlib
import shutil

import keras
import numpy as np

from dmg_tf.config import RunConfig
from dmg_tf.folders.lock import LOCK_NAME
from dmg_tf.runs.folder import load_run_model
from dmg_tf.runs.history import read_history

EPOCHS = 3
CLOCKS = ("seconds", "images_per_second")


class Killed(BaseException):
    """What a signal would do."""


class Kill(keras.callbacks.Callback):
    """Ends a run once an epoch is written."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def on_epoch_end(self, epoch, logs=None):
        """Ends it."""
        if epoch + 1 == self.after:
            raise Killed


class Copy(keras.callbacks.Callback):
    """Copies a run's folder once an epoch is written: as a kill leaves it.

    One training then is both the unbroken run and the broken one.
    """

    def __init__(self, source, target, after):
        super().__init__()
        self.source, self.target, self.after = source, target, after

    def on_epoch_end(self, epoch, logs=None):
        """Copies it."""
        if epoch + 1 == self.after:
            without_lock = shutil.ignore_patterns(LOCK_NAME)
            shutil.copytree(self.source, self.target, ignore=without_lock)


def short_run(data, output, **changes) -> RunConfig:
    """Returns the settings of a run on the stub."""
    return RunConfig(
        **{
            "output": str(output),
            "data": str(data),
            "target": "c",
            "backbone": "stub",
            "weights": "none",
            # Graphs that decode images are most of a short run's time.
            "cache": "memory",
            "image_size": 32,
            "batch_size": 15,
            "epochs": EPOCHS,
            "learning_rate": 0.01,
            **changes,
        }
    )


def can_go_on(folder):
    """Whether a run has a checkpoint that counts: one that is listed."""
    listing = pathlib.Path(folder) / "checksums.json"
    return listing.exists() and "checkpoint/ckpt-" in listing.read_text()


def without_clocks(folder):
    rows = read_history(folder / "history.csv")
    return [{k: v for k, v in r.items() if k not in CLOCKS} for r in rows]


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def kept(folder):
    # By number, as Keras numbers the models of a process.
    return dict(enumerate(load_run_model(folder).variables))
