"""Several devices and machines, on TensorFlow's own strategies.

The batch of a step is the same whatever there is to compute it: each replica
takes its rows of it, and what is random depends on the row, not the device.
"""

import contextlib
import functools
import os
import re
import signal

import keras
import tensorflow as tf
from tensorflow.python.eager import context

from dmg_tf.data.pipeline import Shard, TrainingStream
from dmg_tf.errors import UserError, WorkerLost
from dmg_tf.progress import be_silent
from dmg_tf.training.cluster import Cluster, read_cluster
from dmg_tf.training.rendezvous import meet

# Machines of a job may start minutes apart; a name that is never answered
# would otherwise be waited for without end.
_WAIT_VARIABLE = "DMG_TF_WAIT_SECONDS"
_WAIT_SECONDS = 600
# A machine that says nothing for so long is lost.
_HEARTBEAT_SECONDS = 20
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
            not answer.
    """
    cluster = read_cluster()
    gpus = tf.config.list_physical_devices("GPU")
    if name == "auto":
        several = "mirrored" if len(gpus) > 1 else "one"
        name = "multi_worker" if len(cluster.addresses) > 1 else several
    if name == "one":
        return tf.distribute.get_strategy()
    if name == "multi_worker":
        return _multi_worker(cluster)
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
    tf.config.set_logical_device_configuration(
        device, [tf.config.LogicalDeviceConfiguration()] * int(text)
    )


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    if not cluster.addresses:
        raise UserError(
            "--strategy multi_worker needs the environment variable TF_CONFIG "
            "to name the workers, one process each; see docs/scaling.md"
        )
    text = os.environ.get(_WAIT_VARIABLE, str(_WAIT_SECONDS))
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{_WAIT_VARIABLE} must be a number, got {text!r}")
    meet(cluster, float(text))
    # As the strategy would do it, but for the time.
    jobs = {}
    for worker in cluster.names:
        job = worker.partition("/")[0]
        jobs[job] = jobs.get(job, 0) + 1
    messages = context.coordination_config_pb2
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:{}/replica:0/task:{}".format(
            *cluster.names[0].split("/")
        ),
        heartbeat_timeout_in_ms=_HEARTBEAT_SECONDS * 1000,
        coordinated_jobs=[
            messages.CoordinatedJob(name=job, num_tasks=count)
            for job, count in jobs.items()
        ],
    )
    # TensorFlow takes SIGTERM for a notice of preemption, and lives on.
    before = signal.getsignal(signal.SIGTERM)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"cannot connect the workers {', '.join(cluster.addresses)}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, before)
    return strategy


def is_chief(strategy) -> bool:
    """Returns whether this process writes files and talks to the user."""
    return not _over_machines(strategy) or read_cluster().is_chief


def _over_machines(strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


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


def check_same_epoch(strategy, done: int, run_dir) -> None:
    """Raises UserError unless all workers found the same checkpoint.

    Args:
        strategy: The run's.
        done: Epochs that this worker's checkpoint has seen.
        run_dir: The run folder.
    """
    found = share(strategy, done)
    if len(set(found)) > 1:
        raise UserError(
            f"--output {run_dir} must be one folder that all workers share; "
            "they found the checkpoints of epochs "
            f"{', '.join(map(str, found))}, in the order of TF_CONFIG"
        )


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
    if not _over_machines(model._distribute_strategy):
        return
    train_step = model.train_step

    def train_step_with_axis(data):
        logs = train_step(data)
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}

    model.train_step = train_step_with_axis


def _finite_everywhere(check_finite, gradients):
    bad = tf.cast(tf.logical_not(check_finite(gradients)), tf.float32)
    return tf.distribute.get_replica_context().all_reduce("SUM", bad) == 0


def share(strategy, number: int) -> list[int]:
    """Tells all workers a number; returns once each of them has done so.

    Args:
        strategy: The run's.
        number: This worker's, from 0 to 2^24.

    Returns:
        Every worker's number, in their order.
    """
    if not _over_machines(strategy):
        return [number]
    replicas = strategy.num_replicas_in_sync

    @tf.function
    def shared():
        def on_replica():
            replica = tf.distribute.get_replica_context()
            # Floats, as not every device sums integers.
            row = tf.one_hot(replica.replica_id_in_sync_group, replicas)
            return replica.all_reduce("SUM", row * float(number))

        return strategy.run(on_replica)

    rows = strategy.experimental_local_results(shared())[0].numpy()
    workers = len(read_cluster().addresses)
    return [int(row) for row in rows[:: replicas // workers]]


@contextlib.contextmanager
def as_worker(strategy):
    """Lets only the chief talk of what it does; errors are told by all."""
    be_silent(not is_chief(strategy))
    try:
        yield
    finally:
        be_silent(False)


@contextlib.contextmanager
def naming_lost_workers(strategy):
    """Turns what TensorFlow says of a dead worker into one clear line.

    Raises:
        WorkerLost: If another worker can't be reached any more.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not _over_machines(strategy) or not _is_loss(error):
            raise
        cluster = read_cluster()
        raise WorkerLost(
            f"lost {_who(cluster, str(error))}: it stopped, was killed, or "
            "can't be reached. Start all workers again with --resume; the run "
            "goes on after its last finished epoch"
        ) from error


def _is_loss(error) -> bool:
    return "Collective ops is aborted" in str(error) or isinstance(
        error, (tf.errors.UnavailableError, tf.errors.DeadlineExceededError)
    )


def _who(cluster: Cluster, text: str) -> str:
    """Returns the first other worker that a message names."""
    for job, task in re.findall(r"/job:(\w+)/(?:replica:0/)?task:(\d+)", text):
        name = f"{job}/{task}"
        if name in cluster.names:
            index = cluster.names.index(name)
            if index != cluster.index:
                return cluster.describe(index)
    return "another worker"
