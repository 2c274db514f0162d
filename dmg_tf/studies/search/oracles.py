"""KerasTuner's oracles, made to survive kills: the chief's, and a worker's.

An oracle hands out trials, settings to be run, and learns how they ended.
KerasTuner 1.4 loses a search where one can't afford it: its files are not
written in one step; a grid does not know after a restart where it was; the
trial of a worker that died is waited for without end, and so are workers that
left without a word. Here files are whole, a grid is what has not been tried,
and workers that are silent for too long lose their trials to others.
"""

import contextlib
import itertools
import os
import pathlib
import time
import warnings

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from dmg_tf.console.bar import print_error
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.folders.checksums import read_sealed, write_sealed

# Draws before a space of single values counts as used up.
_MAX_COLLISIONS = 10_000


class LastingOracle(keras_tuner.Oracle):
    """What all oracles of a search have.

    Attributes:
        silence: Seconds after which a worker that says nothing is taken for
            dead; None where there is one process.
        on_end: Called with each trial that ended.
    """

    silence: float | None = None
    on_end = staticmethod(lambda trial: None)

    def __init__(self, *args, **kwargs):
        # One bad setting says nothing of the next: failures end no search.
        super().__init__(
            *args, max_consecutive_failed_trials=float("inf"), **kwargs
        )
        self.verbose = 0
        self._max_collisions = _MAX_COLLISIONS
        self._heard: dict[str, float] = {}  # worker: when, by this clock

    # === What workers ask for ===

    @keras_tuner.synchronized
    def create_trial(self, tuner_id):
        """Returns a trial to run; IDLE while others may still give theirs up.

        KerasTuner sends a worker home when no trial is left to start. The
        trial of another that dies later would have nobody to run it.
        """
        self._hear(tuner_id)
        trial = super().create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED and self.ongoing_trials:
            self.tuner_ids.add(tuner_id)
            trial.status = TrialStatus.IDLE
        return trial

    @keras_tuner.synchronized
    def get_trial(self, trial_id):
        """Returns a trial; STOPPED to a worker that does not hold it any more.

        Args:
            trial_id: Its name; or `claim(name, worker)`, a worker's sign of
                life while it runs the trial.
        """
        trial_id, _, tuner_id = trial_id.partition("@")
        trial = super().get_trial(trial_id)
        if not tuner_id:
            return trial
        if self.ongoing_trials.get(tuner_id) is not trial:
            return Trial(trial.hyperparameters, trial_id, TrialStatus.STOPPED)
        self._hear(tuner_id)
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial):
        """Takes a trial's end, and tells of it."""
        super().end_trial(trial)
        self.on_end(self.trials[trial.trial_id])

    # === What the chief sees to ===

    @keras_tuner.synchronized
    def release_silent(self) -> None:
        """Forgets workers that are silent, and queues their trials again."""
        now = time.monotonic()
        for tuner_id in self.tuner_ids | set(self.ongoing_trials):
            if now - self._heard.setdefault(tuner_id, now) <= self.silence:
                continue
            del self._heard[tuner_id]
            self.tuner_ids.discard(tuner_id)
            trial = self.ongoing_trials.pop(tuner_id, None)
            if trial:
                print_error(
                    f"nothing was heard from {tuner_id} for "
                    f"{self.silence:g} s; trial {trial.trial_id} goes to "
                    "another worker"
                )
                self._queue_again(trial)
                self.save()

    def _hear(self, tuner_id):
        self._heard[tuner_id] = time.monotonic()

    def _queue_again(self, trial):
        trial.status = TrialStatus.INVALID
        trial.metrics = type(trial.metrics)()
        self._retry_queue.append(trial.trial_id)
        self._save_trial(trial)

    # === Files ===

    def reload(self):
        """Reads the state of a search that was interrupted.

        Trials that were being run are run again; under a chief, the worker
        that holds one may be alive and keeps it until it is silent for long.
        Trials that failed are tried again: the disk may have been full.

        Raises:
            DamagedFile: If a file is not as it was written.
        """
        folder = pathlib.Path(self._project_dir)
        state = pathlib.Path(self._get_oracle_fname())
        for path in (state, *folder.glob("trial_*/trial.json")):
            with contextlib.suppress(FileNotFoundError):
                read_sealed(path)  # KerasTuner reads it again, unchecked
        try:
            super().reload()
        except (
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            raise DamagedFile(
                f"the state of the search in {folder} is damaged: "
                f"{type(error).__name__}: {error}; start one in another "
                "--output"
            ) from error
        # Killed between two files: never started, as far as all others know.
        known = set(self.start_order)
        self.trials = {k: t for k, t in self.trials.items() if k in known}
        # KerasTuner writes its state a little before it lets a trial go.
        over = set(self.end_order)
        if self.silence is not None:
            self.ongoing_trials = {
                tuner_id: trial
                for tuner_id, trial in self._holders.items()
                if trial.trial_id not in over
            }
            self.tuner_ids = set(self.ongoing_trials)
            for tuner_id in self.tuner_ids:
                self._hear(tuner_id)
            over |= {t.trial_id for t in self.ongoing_trials.values()}
        self._retry_queue = [i for i in self._retry_queue if i not in over]
        for trial in self.trials.values():
            if trial.status == TrialStatus.FAILED:
                self.end_order.remove(trial.trial_id)
                self._run_times.pop(trial.trial_id, None)
                self._queue_again(trial)

    def set_state(self, state):
        """Takes the state that was saved."""
        super().set_state(state)
        self._holders = dict(self.ongoing_trials)

    def save(self):
        """Writes the state in one step."""
        self._write(pathlib.Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial):
        folder = pathlib.Path(self._get_trial_dir(trial.trial_id))
        self._write(folder / "trial.json", trial.get_state())

    def _write(self, path, state):
        try:
            write_sealed(path, state)
        except UserError as error:
            if self.silence is None:
                raise
            # In a thread of the server, where no exception reaches the main
            # one. Workers wait for a chief that is started again.
            print_error(f"error: {error}; the search can go on later")
            os._exit(2)


def claim(trial_id: str, tuner_id: str) -> str:
    """Returns what a worker asks for to say that it runs a trial."""
    return f"{trial_id}@{tuner_id}"


class GridOracle(LastingOracle):
    """Every combination of values, in their order."""

    def populate_space(self, trial_id):
        """Returns the first combination that was not tried."""
        space = self.hyperparameters.space
        for values in itertools.product(*(hp.values for hp in space)):
            values = {
                hp.name: value for hp, value in zip(space, values, strict=True)
            }
            if not self._duplicate(values):
                return {"status": TrialStatus.RUNNING, "values": values}
        return {"status": TrialStatus.STOPPED, "values": None}


class RandomOracle(LastingOracle, RandomSearchOracle):
    """Combinations drawn at random, each once."""


class BayesianOracle(LastingOracle, BayesianOptimizationOracle):
    """Combinations where a Gaussian process hopes for most, each once."""

    def populate_space(self, trial_id):
        """Returns the most hopeful combination; another one if it was tried."""
        with warnings.catch_warnings():
            # Of a length scale at its bound, as where nothing matters.
            warnings.filterwarnings("ignore", module="sklearn")
            response = super().populate_space(trial_id)
        values = response["values"]
        if values is not None and self._duplicate(values):
            return self._random_populate_space()
        return response


class BandOracle(LastingOracle, HyperbandOracle):
    """Many combinations for few epochs, the best of them for more."""

    def trials_and_draws(self) -> tuple[int, int]:
        """Returns how many trials there are, and different combinations."""
        trials = draws = 0
        for bracket in range(self._get_num_brackets()):
            sizes = [
                self._get_size(bracket, number)
                for number in range(self._get_num_rounds(bracket))
            ]
            trials, draws = trials + sum(sizes), draws + sizes[0]
        return trials, draws
