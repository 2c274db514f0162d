"""Several devices and machines, on TensorFlow's own strategies.

The batch of a step is the same whatever there is to compute it: each replica
takes its rows of it, and what is random depends on the row, not the device.
"""

import functools
import os

import keras
import tensorflow as tf

from dmg_tf.devices.cluster import read_cluster
from dmg_tf.devices.machines import multi_worker, over_machines
from dmg_tf.errors import UserError

# Makes several devices of one CPU, to try things out.
_CPU_VARIABLE = "DMG_TF_CPU_DEVICES"


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the strategy of a run; call it before TensorFlow computes.

    Args:
        name: "one" device; "mirrored" over all GPUs of this machine, or else
            all logical CPUs; "multi_worker" over the machines in TF_CONFIG
            and their GPUs; "auto" for multi_worker where TF_CONFIG names
            several workers, mirrored where there are several GPUs, else one.

    Raises:
        UserError: If TF_CONFIG is missing, wrong, or names a worker that does
            not answer; "one" does not read it.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if name == "auto":
        several = "mirrored" if len(gpus) > 1 else "one"
        machines = len(read_cluster().addresses)
        name = "multi_worker" if machines > 1 else several
    if name == "one":
        return tf.distribute.get_strategy()
    cluster = read_cluster()
    if name == "multi_worker":
        return multi_worker(cluster)
    if not gpus:
        _split_cpu()
    devices = tf.config.list_logical_devices("GPU" if gpus else "CPU")
    return _mirrored(tuple(device.name for device in devices))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # One for the whole process: a second one would number its collective
    # operations as the first one does, and the two would be mixed up.
    return tf.distribute.MirroredStrategy(devices)


def _split_cpu() -> None:
    text = os.environ.get(_CPU_VARIABLE)
    if not text:
        return
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{_CPU_VARIABLE} must be a number, got {text!r}")
    device = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(device):
        return
    try:
        tf.config.set_logical_device_configuration(
            device, [tf.config.LogicalDeviceConfiguration()] * int(text)
        )
    except RuntimeError as error:
        raise UserError(
            f"{_CPU_VARIABLE} comes too late: TensorFlow has computed "
            "something in this process already"
        ) from error


def prepare_fit(model: keras.Model) -> None:
    """Makes Keras 3's `fit` work under a model's strategy.

    Before the first step `fit` averages a batch over the replicas, to build
    the model by it. That takes a batch from the stream, and fails over several
    machines, which can't average a dict; the model is built already. There
    `fit` also reduces the logs over their first axis, which scalars lack. And
    loss scaling takes the step where the first replica's gradients are finite,
    whatever the others' are.

    Args:
        model: Compiled, its optimizer built.
    """
    if model._distribute_strategy is None:
        return
    model._maybe_symbolic_build = lambda *args, **kwargs: None
    for optimizer in model.optimizers.values():
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer.check_finite = functools.partial(
                _finite_everywhere, optimizer.check_finite
            )
    if not over_machines(model._distribute_strategy):
        return
    train_step = model.train_step

    def train_step_with_axis(data):
        logs = train_step(data)
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}

    model.train_step = train_step_with_axis


def _finite_everywhere(check_finite, gradients):
    bad = tf.cast(tf.logical_not(check_finite(gradients)), tf.float32)
    return tf.distribute.get_replica_context().all_reduce("SUM", bad) == 0
