"""Several machines as one: starting, agreeing, and losing one of them."""

import contextlib
import os
import re
import signal
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.eager import context

from dmg_tf.console.bar import be_silent
from dmg_tf.devices.cluster import Cluster, read_cluster
from dmg_tf.devices.rendezvous import meet
from dmg_tf.errors import UserError, WorkerLost

# Machines of a job may start minutes apart; a name that is never answered
# would otherwise be waited for without end.
_WAIT_VARIABLE = "DMG_TF_WAIT_SECONDS"
_WAIT_SECONDS = 600
# A machine that says nothing for so long is lost.
_HEARTBEAT_SECONDS = 20


def multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    """Waits for all workers and connects them; see `make_strategy`.

    Raises:
        UserError: If there are none, or one does not answer.
    """
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
    return not over_machines(strategy) or read_cluster().is_chief


def over_machines(strategy) -> bool:
    """Returns whether a strategy's replicas are in several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


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


def share(strategy, number: int) -> list[int]:
    """Tells all workers a number; returns once each of them has done so.

    Args:
        strategy: The run's.
        number: This worker's, from 0 to 2^24.

    Returns:
        Every worker's number, in their order.
    """
    if not over_machines(strategy):
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


def from_chief(strategy, numbers: Sequence[float]) -> list[float]:
    """Returns the chief's numbers, on all workers.

    Args:
        strategy: The run's.
        numbers: Equally many on each worker; only the chief's matter.
    """
    if not over_machines(strategy):
        return list(numbers)
    mine = numbers if is_chief(strategy) else [0.0] * len(numbers)

    @tf.function
    def shared():
        def on_replica():
            replica = tf.distribute.get_replica_context()
            row = tf.constant(mine, tf.float64)
            # The chief's first replica comes first of all.
            if_first = replica.replica_id_in_sync_group == 0
            row = tf.where(if_first, row, tf.zeros_like(row))
            return replica.all_reduce("SUM", row)

        return strategy.run(on_replica)

    rows = strategy.experimental_local_results(shared())
    return rows[0].numpy().tolist()


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
        if not over_machines(strategy) or not _is_loss(error):
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
