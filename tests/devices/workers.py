"""Processes of one run, on this machine; each file of tests starts its own."""

import json
import socket

import tensorflow as tf

from dmg_tf.commands import train
from dmg_tf.registry import METHODS
from tests.forked import Forked
from tests.training.toy_methods import NAMES


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


def start_workers(argv, count=2):
    """Starts all workers of a run, the chief first."""
    return [Forked(_train, argv, TF_CONFIG=config) for config in cluster(count)]


def _train(argv):
    """Trains, also with the methods of the tests."""
    for name, path in NAMES.items():
        METHODS.register(name, path)
    return train.main(argv)


def finish(processes):
    """Waits for processes; returns (exit code, output, errors) of each."""
    return [process.finish() for process in processes]


def last_weights(run_dir):
    """Returns what the last checkpoint holds, by name."""
    path = tf.train.latest_checkpoint(str(run_dir / "checkpoint"))
    reader = tf.train.load_checkpoint(path)
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith(("model", "optimizer"))
    }
