"""Processes of one run, on this machine; each file of tests starts its own.

Run as a module it is train.py with a backbone that takes no time to trace, and
with the methods of the tests.
"""

import json
import os
import socket
import subprocess
import sys

import tensorflow as tf

from dmg_tf.commands import train
from dmg_tf.registry import BACKBONES, METHODS
from tests.conftest import ROOT
from tests.stubs import STUB
from tests.training.toy_methods import NAMES

SECONDS = 120  # nothing that a test starts lives longer


def command(data, output, *extra):
    """The arguments of a short run that learns something."""
    return [
        *("--data", str(data), "--target", "c", "--weights", "none"),
        *("--backbone", "stub", "--image-size", "32", "--batch-size", "4"),
        *("--epochs", "3", "--learning-rate", "0.01"),
        *("--output", str(output), *extra),
    ]


def cluster(count):
    """Returns TF_CONFIG of each of some workers on free ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for each in sockets:
        each.close()
    return [
        json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(count)
    ]


def start(argv, **environment):
    """Starts a process of its own; its output is kept."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.devices.workers", *argv],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_workers(argv, count=2):
    """Starts all workers of a run, the chief first."""
    return [start(argv, TF_CONFIG=config) for config in cluster(count)]


def finish(processes):
    """Waits for processes; returns (exit code, output, errors) of each."""
    try:
        said = [p.communicate(timeout=SECONDS) for p in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return [
        (p.returncode, *texts) for p, texts in zip(processes, said, strict=True)
    ]


def last_weights(run_dir):
    """Returns what the last checkpoint holds, by name."""
    path = tf.train.latest_checkpoint(str(run_dir / "checkpoint"))
    reader = tf.train.load_checkpoint(path)
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith(("model", "optimizer"))
    }


if __name__ == "__main__":
    BACKBONES.register("stub", STUB)
    for name, path in NAMES.items():
        METHODS.register(name, path)

    sys.exit(train.main())
