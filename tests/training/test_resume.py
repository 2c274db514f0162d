"""A killed run ends with the weights of an unbroken one, bit for bit."""

import csv
import json
import os
import signal

import keras
import numpy as np
import pytest

from dmg_tf.commands import train
from dmg_tf.registry import BACKBONES
from tests.forked import Forked
from tests.stubs import NORMED

EPOCHS = 3


def command(data, output, *extra):
    return [
        *("--data", str(data), "--target", "c", "--backbone", "normed"),
        *("--weights", "none", "--image-size", "32"),
        *("--batch-size", "4", "--epochs", str(EPOCHS)),
        *("--learning-rate", "0.001", "--cache", "memory"),
        *("--output", str(output)),
        *extra,
    ]


def weights(run_dir):
    # By number, as Keras numbers the models of a process.
    model = keras.models.load_model(run_dir / "model.keras")
    return [variable.numpy() for variable in model.weights]


def deterministic(run_dir):
    """The columns of the history that no clock has a part in."""
    with open(run_dir / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"], row["images_per_second"]
    return rows


@pytest.fixture
def known():
    """Knows a small backbone with batch normalisation."""
    with BACKBONES.with_name("normed", NORMED):
        yield


class Killed(keras.callbacks.Callback):
    """Kills its process in the middle of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 5):
            os.kill(os.getpid(), signal.SIGKILL)


def train_until_killed(argv):
    BACKBONES.register("normed", NORMED)
    return train.main([*argv, "--callback", f"{__name__}:Killed"])


@pytest.mark.slow
def test_kill_and_resume(known, tiny_folder, tmp_path, capsys):
    """A process is killed, and another, this one, goes on."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train.main(command(tiny_folder, whole)) == 0

    argv = command(tiny_folder, broken)
    code, _, errors = Forked(train_until_killed, argv).finish()
    assert code == -signal.SIGKILL, errors
    assert len(deterministic(broken)) == 1
    assert not (broken / "results.json").exists()

    # without --resume it is refused, and left as it is
    capsys.readouterr()
    assert train.main(argv) == 2
    assert "--resume" in capsys.readouterr().err

    assert train.main([*argv, "--resume"]) == 0
    assert "resumed after epoch" in capsys.readouterr().err
    assert deterministic(broken) == deterministic(whole)
    for one, two in zip(weights(broken), weights(whole), strict=True):
        np.testing.assert_array_equal(one, two)
    first, second = (
        json.loads((d / "results.json").read_text()) for d in (whole, broken)
    )
    for part in ("in_domain", "out_of_domain", "mask_iou", "selection"):
        assert first[part] == second[part]

    # a finished run is read, not trained again
    before = (broken / "model.keras").stat().st_mtime_ns
    assert train.main([*argv, "--resume"]) == 0
    assert "is finished" in capsys.readouterr().err
    assert (broken / "model.keras").stat().st_mtime_ns == before

    # other settings are refused, by name
    assert train.main([*argv, "--resume", "--seed", "1"]) == 2
    assert "--seed was 0, is 1" in capsys.readouterr().err
