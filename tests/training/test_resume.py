"""A killed run ends with the weights of an unbroken one, bit for bit."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import dmg_tf  # noqa: F401  (registers what the saved models hold)
from dmg_tf.commands import train
from tests.conftest import ROOT

EPOCHS = 3


def command(data, output, *extra):
    return [
        sys.executable,
        str(ROOT / "train.py"),
        *("--data", str(data), "--target", "c", "--weights", "none"),
        *("--image-size", "32", "--batch-size", "4", "--epochs", str(EPOCHS)),
        *("--learning-rate", "0.001", "--output", str(output)),
        *extra,
    ]


def run(*args):
    return subprocess.run(
        command(*args), capture_output=True, text=True, timeout=300
    )


def weights(run_dir):
    model = keras.models.load_model(run_dir / "model.keras")
    return {v.path: v.numpy() for v in model.weights}


def deterministic(run_dir):
    """The columns of the history that no clock has a part in."""
    with open(run_dir / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"], row["images_per_second"]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dmg"])
def test_kill_and_resume(tiny_folder, tmp_path, capsys, method):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = run(tiny_folder, whole, "--method", method)
    assert done.returncode == 0, done.stderr

    process = subprocess.Popen(
        command(tiny_folder, broken, "--method", method),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            break
    time.sleep(0.1)  # into the middle of the second epoch
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL
    assert len(deterministic(broken)) < EPOCHS
    assert not (broken / "results.json").exists()

    # without --resume it is refused, and left as it is
    argv = command(tiny_folder, broken, "--method", method)[2:]
    assert train.main(argv) == 2
    assert "--resume" in capsys.readouterr().err

    resumed = run(tiny_folder, broken, "--method", method, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed after epoch" in resumed.stderr
    assert deterministic(broken) == deterministic(whole)
    expected = weights(whole)
    for path, value in weights(broken).items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)
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
