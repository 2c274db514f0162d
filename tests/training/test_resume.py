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
def test_kill_and_resume(tiny_folder, tmp_path, method):
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
    again = run(tiny_folder, broken, "--method", method)
    assert again.returncode == 2 and "--resume" in again.stderr

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
    begin = time.monotonic()
    finished = run(tiny_folder, broken, "--method", method, "--resume")
    assert finished.returncode == 0 and "is finished" in finished.stderr
    assert time.monotonic() - begin < 60

    # other settings are refused, by name
    other = run(
        tiny_folder, broken, "--method", method, "--resume", "--seed", "1"
    )
    assert other.returncode == 2 and "--seed was 0, is 1" in other.stderr
