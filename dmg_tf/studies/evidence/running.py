"""Running what a protocol lacks, a few runs at a time."""

import dataclasses
import pathlib
from collections.abc import Sequence

from dmg_tf.console.bar import print_error
from dmg_tf.files import writing
from dmg_tf.folders.lock import alone_in
from dmg_tf.studies.evidence.compact import path_of, write_compact
from dmg_tf.studies.protocols import Protocol
from dmg_tf.studies.sweep.plan import PlannedRun
from dmg_tf.studies.sweep.runner import run_all


@dataclasses.dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        data: The folder of the images, if it is named.
        runs: Holds a folder a protocol, with its run folders.
        files: Holds a folder a protocol, with the files of its finished runs.
    """

    data: str | None
    runs: pathlib.Path
    files: pathlib.Path

    def lacking(self, protocol: Protocol) -> list[PlannedRun]:
        """Returns the runs of a protocol that have no file yet.

        Raises:
            UserError: As `Protocol.plan`.
        """
        return [
            run
            for run in protocol.plan(self.data, self.runs / protocol.name)
            if not path_of(self.files, protocol, run.name).exists()
        ]


def advance(
    protocol: Protocol, places: Places, at_most: int, jobs: int
) -> tuple[int, int]:
    """Runs what a protocol lacks next; writes the file of each finished run.

    What was finished before, by this or by `dmg-tf sweep`, gets its file too.

    Args:
        protocol: The protocol.
        places: Where things are.
        at_most: How many runs.
        jobs: Runs at a time.

    Returns:
        How many ran, and how many of these failed.

    Raises:
        UserError: If the folder is another process', taken by other settings,
            or can't be written.
    """
    folder, failed = places.runs / protocol.name, 0
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, "wait for it, or give another --output"):
        lacking = places.lacking(protocol)
        _keep([run for run in lacking if run.finished], protocol, places)
        todo = [run for run in lacking if not run.finished]
        print_error(f"{protocol.name}: {len(todo)} runs to go")
        todo = todo[:at_most]
        for start in range(0, len(todo), jobs):
            batch = todo[start : start + jobs]
            failures = run_all(batch, folder, jobs)
            for failure in failures:
                print_error(str(failure))
            failed += len(failures)
            lost = [failure.run for failure in failures]
            _keep([run for run in batch if run not in lost], protocol, places)
    return len(todo), failed


def _keep(runs: Sequence[PlannedRun], protocol, places) -> None:
    for run in runs:
        print_error(f"written: {write_compact(run, protocol, places.files)}")
