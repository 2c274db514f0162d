"""Running many runs, a process each, some at a time."""

import ctypes
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from dmg_tf.console.bar import Bar
from dmg_tf.devices.processor import share_of_threads
from dmg_tf.files import writing
from dmg_tf.flags import args_from_config
from dmg_tf.rules import default_rule
from dmg_tf.runs.folder import read_results
from dmg_tf.runs.predictions import OVERALL
from dmg_tf.studies.sweep.plan import PlannedRun

# A run's program, wherever the package is installed.
TRAIN = (sys.executable, "-m", "dmg_tf", "train")
_POLL_SECONDS = 0.2
_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass(frozen=True)
class Failure:
    """A run that ended without results.

    Attributes:
        run: The run.
        reason: The last thing it said.
        log: Where all it said is.
    """

    run: PlannedRun
    reason: str
    log: pathlib.Path

    def __str__(self) -> str:
        return f"failed: {self.run.name}: {self.reason} (see {self.log})"


def command_of(run: PlannedRun) -> list[str]:
    """Returns the command that starts a run or goes on with it."""
    return [*TRAIN, *args_from_config(run.config), "--resume"]


def run_all(
    runs: Sequence[PlannedRun],
    folder: pathlib.Path,
    jobs: int = 1,
    gpus: Sequence[str] = (),
) -> list[Failure]:
    """Runs what is not finished; a failure does not stop the rest.

    Each run is a process of its own: whatever ends it, memory and devices are
    free for the next. What runs say goes to `logs/` in the sweep's folder.

    Args:
        runs: The sweep.
        folder: The sweep's folder; made if it is missing.
        jobs: Runs at a time. They share the processor's cores evenly.
        gpus: What `CUDA_VISIBLE_DEVICES` calls the GPUs that are shared out,
            one to each run at a time; () leaves them all to each run.

    Returns:
        The runs that failed, in order.

    Raises:
        UserError: If the folder cannot be written.
    """
    logs = folder / "logs"
    with writing(logs):
        logs.mkdir(parents=True, exist_ok=True)
    waiting = [run for run in runs if not run.finished]
    places = list(range(jobs))
    failures: dict[str, Failure] = {}
    active: list[_Process] = []
    done = len(runs) - len(waiting)
    with Bar("runs", len(runs), "runs", done) as bar:
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    place = places.pop(0)
                    gpu = gpus[place % len(gpus)] if gpus else None
                    active.append(
                        _Process(waiting.pop(0), logs, jobs, place, gpu)
                    )
                    bar.advance(0, title=active[-1].run.name)
                time.sleep(_POLL_SECONDS)
                for process in [p for p in active if p.ended()]:
                    active.remove(process)
                    places.append(process.place)
                    failure = process.failure()
                    if failure:
                        failures[failure.run.name] = failure
                    bar.print(process.summary(failure))
                    bar.advance()
        finally:
            # Killed runs go on from their checkpoints next time.
            for process in active:
                process.stop()
    return [failures[run.name] for run in runs if run.name in failures]


class _Process:
    """A run that is running."""

    def __init__(
        self,
        run: PlannedRun,
        logs: pathlib.Path,
        jobs: int,
        place: int,
        gpu: str | None,
    ):
        self.run, self.place = run, place
        self.begin = time.monotonic()
        self.log = logs / f"{run.name}.log"
        with writing(self.log):
            self._offset = self.log.stat().st_size if self.log.exists() else 0
            with open(self.log, "ab") as file:
                self._process = subprocess.Popen(
                    command_of(run),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=_environment(jobs, gpu),
                    preexec_fn=_die_with_parent if _LINUX else None,
                )

    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def failure(self) -> Failure | None:
        if self._process.returncode == 0:
            return None
        code = self._process.returncode
        with open(self.log, "rb") as file:
            file.seek(self._offset)
            said = file.read().decode("utf-8", "replace").splitlines()
        errors = [line for line in said if line.startswith("error: ")]
        said = [line.strip() for line in said if line.strip()]
        reason = (errors or said or ["it said nothing"])[-1]
        if code < 0:
            reason = f"killed by {signal.Signals(-code).name}"
        return Failure(self.run, reason.removeprefix("error: "), self.log)

    def summary(self, failure: Failure | None) -> str:
        took = f"{time.monotonic() - self.begin:.0f} s"
        if failure:
            return f"{self.run.name}: failed after {took}: {failure.reason}"
        results = read_results(self.run.config.output)
        rule = default_rule(results).name
        inside, outside = (
            results[split][rule][OVERALL]
            for split in ("in_domain", "out_of_domain")
        )
        return (
            f"{self.run.name}: in-domain {inside:.2%}, target {outside:.2%}, "
            f"{took}"
        )


def _environment(jobs: int, gpu: str | None) -> dict[str, str]:
    own = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    if jobs == 1:
        return {**os.environ, **own}
    # Else the first process takes all of a GPU's memory.
    growth = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return {**growth, **os.environ, **share_of_threads(jobs), **own}


def _die_with_parent() -> None:
    # Else two processes would write to one run folder when a sweep that was
    # killed is started again.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
