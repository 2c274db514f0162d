"""Running a trial: one run folder a seed, each as `train.py` makes it."""

import contextlib
import dataclasses
import os
import pathlib
import statistics
import sys
import threading
import time
import traceback
from typing import Any

import grpc
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import print_error
from dmg_tf.errors import UserError
from dmg_tf.experiment import run_training
from dmg_tf.files import write_text
from dmg_tf.runs.folder import check_run_dir, finished_results
from dmg_tf.studies.search.cluster import Process
from dmg_tf.studies.search.folder import ERROR_FILE, Search
from dmg_tf.studies.search.memory import forgotten_after
from dmg_tf.studies.search.oracles import claim
from dmg_tf.studies.search.space import with_values

OBJECTIVE = "validation"
# A worker without a trial asks again after so long.
_ASK_SECONDS = 0.5
# Signs of life in the time after which a worker is taken for dead.
_SIGNS = 6


class TrialRunner(BaseTuner):
    """Asks an oracle for trials, and runs each as whole run folders.

    Args:
        oracle: Hands out trials; the tuner asks the chief's where there is
            one.
        search: What is searched, and where it is kept.
        process: What this process is in the search.
        silence: Seconds after which the chief takes a worker for dead.
    """

    def __init__(
        self, oracle, search: Search, process: Process, silence: float
    ):
        super().__init__(oracle, directory=str(search.folder), project_name=".")
        self.chosen = search
        self.process = process
        self.silence = silence
        self.ended = 0
        self._failed: set[str] = set()

    def save(self):
        """Does nothing: all state is the oracle's, which saves itself."""

    def pre_create_trial(self):
        """Waits a little, so that idle workers do not flood the chief."""
        if self.process.role == "worker":
            time.sleep(_ASK_SECONDS)

    def run_trial(self, trial) -> dict[str, float]:
        """Runs a trial once with each seed, or goes on with it.

        Args:
            trial: Its values are settings of a run. From Hyperband, it
                may prolong the runs of an earlier trial.

        Returns:
            The objective: the sources' validation accuracy that selected the
            epoch, mean over seeds; -inf if a run failed.
        """
        trial_dir = self.chosen.trial_dir(trial.trial_id)
        values = []
        with self._signs_of_life(trial.trial_id):
            for execution in range(self.chosen.executions):
                config = self.config_of(trial, execution)
                print_error(f"trial {trial.trial_id}: {_text(trial, config)}")
                try:
                    with forgotten_after():
                        results = run_or_read(config, self.chosen.dataset)
                except Exception as error:
                    self._keep_error(error, trial_dir)
                    self._failed.add(trial.trial_id)
                    return {OBJECTIVE: float("-inf")}
                values.append(results["selection"]["value"])
        (trial_dir / ERROR_FILE).unlink(missing_ok=True)
        return {OBJECTIVE: statistics.fmean(values)}

    def on_trial_end(self, trial):
        """Tells the oracle how it ended, and that it failed if it did."""
        self.ended += 1
        if trial.trial_id in self._failed:
            self._failed.remove(trial.trial_id)
            trial.status = TrialStatus.FAILED
        super().on_trial_end(trial)

    def config_of(self, trial, execution: int) -> RunConfig:
        """Returns the settings of one run of a trial."""
        values = dict(trial.hyperparameters.values)
        epochs = values.get("tuner/epochs", self.chosen.config.epochs)
        first = trial
        while "tuner/trial_id" in first.hyperparameters.values:
            first = self.oracle.get_trial(
                first.hyperparameters.values["tuner/trial_id"]
            )
        own = {name: values[name] for name in self.chosen.space}
        return dataclasses.replace(
            with_values(self.chosen.config, own),
            epochs=epochs,
            seed=self.chosen.config.seed + execution,
            output=str(self.chosen.run_dir(first.trial_id, execution)),
        )

    def _keep_error(self, error, trial_dir):
        text = str(error)
        if not isinstance(error, UserError):
            traceback.print_exc()
            text = f"{type(error).__name__}: {error}"
        print_error(f"the trial failed: {text.splitlines()[0]}")
        # On a full disk, what was printed has to do.
        with contextlib.suppress(UserError):
            write_text(trial_dir / ERROR_FILE, text + "\n")

    @contextlib.contextmanager
    def _signs_of_life(self, trial_id):
        """Claims the trial at the chief now and then, from a thread."""
        if self.process.role != "worker":
            yield
            return
        over = threading.Event()

        def claim_it():
            while not over.wait(self.silence / _SIGNS):
                try:
                    held = self.oracle.get_trial(claim(trial_id, self.tuner_id))
                except grpc.RpcError:
                    continue  # a chief that is started again answers later
                if held.status == TrialStatus.STOPPED and not over.is_set():
                    # Another worker writes to the run folder by now: nothing
                    # may be written here, not even while unwinding.
                    print_error(
                        f"error: {self.tuner_id} was silent for too long and "
                        f"trial {trial_id} was given to another worker; this "
                        "one ends, start it again"
                    )
                    sys.stderr.flush()
                    os._exit(1)

        thread = threading.Thread(target=claim_it, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()


def run_or_read(config: RunConfig, dataset: str) -> dict[str, Any]:
    """Returns a run's results; trains what is missing of it.

    Args:
        config: Its settings, with the run folder as output.
        dataset: Name in `DATASETS`.

    Raises:
        UserError: For what `run_training` raises it for.
    """
    resolved = config.resolve(dataset)
    run_dir = pathlib.Path(config.output)
    if check_run_dir(run_dir, resolved, resume=True):
        results = finished_results(run_dir, resolved)
        if results is not None:
            return results
    return run_training(config, resume=True).results


def _text(trial, config) -> str:
    values = {
        name: value
        for name, value in trial.hyperparameters.values.items()
        if not name.startswith("tuner/")
    }
    return ", ".join(
        [
            *(f"{name} {value}" for name, value in values.items()),
            f"seed {config.seed}",
            f"in {config.output}",
        ]
    )
