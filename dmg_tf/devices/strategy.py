"""Several devices and machines, on TensorFlow's own strategies.

The batch of a step is the same whatever there is to compute it: each replica
takes its rows of it, and what is random depends on the row, not the device.
"""

import functools
import os

import keras
import tensorflow as tf

from dmg_tf.data.streams.training import Shard, TrainingStream
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


def check_batch_size(strategy, batch_size: int) -> None:
    """Raises UserError unless all replicas get equal parts of a batch."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        more = -(-batch_size // replicas) * replicas
        raise UserError(
            f"--batch-size is the number of images a step on all {replicas} "
            f"devices together and must be a multiple of it, got {batch_size}; "
            f"try {more}"
        )


def check_jit(strategy, jit: bool) -> None:
    """Raises UserError where XLA is asked for on several devices."""
    if jit and strategy.num_replicas_in_sync > 1:
        raise UserError(
            "--jit works on one device: Keras compiles the step of all "
            f"{strategy.num_replicas_in_sync} as one, which XLA can't; leave "
            "it out, or use --strategy one"
        )


def even_batch_size(strategy, batch_size: int, num_examples: int) -> int:
    """Returns the batch size, or what all replicas can share of few images.

    Raises:
        UserError: If there are fewer images than replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if num_examples < replicas:
        raise UserError(
            f"there are {num_examples} images to learn from, fewer than the "
            f"{replicas} devices; use --strategy one"
        )
    return min(batch_size, num_examples // replicas * replicas)


def training_dataset(strategy, stream: TrainingStream, start_step: int):
    """Returns what `fit` trains on: to each replica its rows of each batch.

    Args:
        strategy: The run's.
        stream: Gives the batches; its batch size is that of all replicas.
        start_step: Steps that were taken already.
    """
    replicas = strategy.num_replicas_in_sync
    if not tf.distribute.has_strategy() and replicas == 1:
        return stream.dataset(start_step)
    return strategy.distribute_datasets_from_function(
        lambda place: stream.dataset(
            start_step,
            Shard(place.input_pipeline_id, place.num_input_pipelines, replicas),
        )
    )


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
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        model.optimizer.check_finite = functools.partial(
            _finite_everywhere, model.optimizer.check_finite
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
