"""A search from its first trial to its results."""

import contextlib
import threading
import time

import grpc
import keras_tuner
from keras_tuner.engine.trial import TrialStatus

from dmg_tf.console.bar import print_error
from dmg_tf.errors import UserError
from dmg_tf.folders.lock import alone_in
from dmg_tf.settings import LogRange
from dmg_tf.studies.search import oracles
from dmg_tf.studies.search.cluster import Process
from dmg_tf.studies.search.folder import Search
from dmg_tf.studies.search.space import count_of
from dmg_tf.studies.search.trials import OBJECTIVE, TrialRunner

_INSTEAD = (
    "give another --output, or share the search among processes: docs/tuning.md"
)
# Trials of random and Bayesian search, unless given.
_DEFAULT_TRIALS = 10


def run_search(search: Search, process: Process, silence: float) -> list | None:
    """Runs trials until none is left, or hands them to workers.

    Args:
        search: What is searched, and where it is kept.
        process: What this process is.
        silence: Seconds after which a worker is taken for dead.

    Returns:
        KerasTuner's trials in the order they were made; None for a worker.

    Raises:
        UserError: For anything the user can mend.
    """
    oracle, total = make_oracle(search)
    if process.role == "chief":
        oracle.silence = silence
    if process.role == "worker":
        search.make_folder()
        _work(TrialRunner(oracle, search, process, silence))
        return None
    search.make_folder()
    with alone_in(search.folder, _INSTEAD):
        search.prepare_folder()
        tuner = TrialRunner(oracle, search, process, silence)
        if (search.folder / "oracle.json").exists():
            oracle.reload()
            print_error(
                f"going on with the search in {search.folder}: "
                f"{len(oracle.end_order)} of {total} trials are done"
            )
        if len(oracle.end_order) < total:
            oracle.on_end = TrialPrinter(oracle, total)
            with _serving(oracle, process):
                tuner.search()
    return list(oracle.trials.values())


def make_oracle(search: Search) -> tuple[oracles.LastingOracle, int]:
    """Returns the oracle of a search, and how many trials it will make.

    Raises:
        UserError: If there are too few settings for Hyperband.
    """
    common = {
        "objective": keras_tuner.Objective(OBJECTIVE, "max"),
        "hyperparameters": _hyperparameters(search),
        "seed": search.config.seed + 1,  # KerasTuner draws one itself for 0
    }
    count = count_of(search.space)
    if search.tuner == "hyperband":
        epochs = search.config.resolve(search.dataset).epochs
        oracle = oracles.BandOracle(max_epochs=epochs, **common)
        total, draws = oracle.trials_and_draws()
        if draws > count:
            raise UserError(
                f"hyperband over {epochs} epochs begins with {draws} different "
                f"settings, and there are {count}; give more values or a "
                "range, LOW..HIGH, or --tuner grid"
            )
        return oracle, total
    limit = search.max_trials
    if limit is None and search.tuner != "grid":
        limit = _DEFAULT_TRIALS
    total = int(min(count, limit or count))
    kind = {
        "grid": oracles.GridOracle,
        "random": oracles.RandomOracle,
        "bayesian": oracles.BayesianOracle,
    }[search.tuner]
    return kind(max_trials=total, **common), total


class TrialPrinter:
    """Prints a line after each trial, with the time left.

    Args:
        oracle: Knows all trials.
        total: How many there will be.
    """

    def __init__(self, oracle, total: int):
        self._oracle, self._total = oracle, total
        self._before = len(oracle.end_order)
        self._begin = time.monotonic()

    def __call__(self, trial) -> None:
        """Prints how a trial ended."""
        done = len(self._oracle.end_order)
        each = (time.monotonic() - self._begin) / max(1, done - self._before)
        minutes = each * (self._total - done) / 60
        end = "failed"
        if trial.status == TrialStatus.COMPLETED:
            end = f"reached {trial.score:.2%} on the sources' validation images"
        print_error(
            f"trial {trial.trial_id} {end}; {done} of {self._total} are done, "
            f"about {minutes:.1f} minutes left"
        )


def _hyperparameters(search):
    space = keras_tuner.HyperParameters()
    for name, values in search.space.items():
        if isinstance(values, LogRange):
            space.Float(name, values.low, values.high, sampling="log")
        else:
            space.Choice(name, list(values))
    return space


def _work(tuner) -> None:
    process = tuner.process
    print_error(
        f"{process.name} asks the chief at {process.address} for trials"
    )
    try:
        tuner.search()
    except grpc.RpcError as error:
        raise UserError(
            f"{process.name} lost the chief at {process.address} "
            f"({error.code().name}: {error.details()}); start the chief again, "
            "then this worker"
        ) from error
    print_error(f"{process.name} is done: it ran {tuner.ended} trials")


@contextlib.contextmanager
def _serving(oracle, process):
    """Under a chief, looks after silent workers while it serves."""
    if process.role != "chief":
        yield
        return
    over = threading.Event()

    def look():
        while not over.wait(oracle.silence / 4):
            oracle.release_silent()

    threading.Thread(target=look, daemon=True).start()
    print_error(
        f"the chief hands out trials at {process.address}; start workers with "
        "the same command and another KERASTUNER_TUNER_ID"
    )
    try:
        yield
    except RuntimeError as error:
        if "bind" not in str(error).lower():
            raise
        raise UserError(
            f"the chief cannot listen at {process.address}; give an address of "
            "this machine and a free port"
        ) from error
    finally:
        over.set()
