"""The folder of a run that trains: one process' at a time, and never half."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import print_error
from dmg_tf.errors import InUse, UserError
from dmg_tf.files import (
    is_leftover,
    making_folder,
    remove_folder,
    remove_leftovers,
    writing,
)
from dmg_tf.folders.checksums import (
    FILE_NAME,
    NEXT,
    Checksums,
    checked_path,
    known_checksums,
)
from dmg_tf.folders.lock import LOCK_NAME, Lock, alone_beside, alone_in
from dmg_tf.rules import Calibration
from dmg_tf.runs import data_record
from dmg_tf.runs.data_record import DataRecord, check_names
from dmg_tf.runs.folder import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    HISTORY,
    MODEL,
    REPORT_NAME,
    RESULTS,
    RUN_FILES,
    check_run_dir,
    finished_results,
    read_results,
)
from dmg_tf.runs.history import read_history

INSTEAD = "give another --output"
_EXPORT = "saved_model"  # what `--export` writes beside them


@dataclasses.dataclass
class RunFolder:
    """The folder of a run that trains.

    A finished run that goes on does so in `going_on/` below it: what it left
    stays until all of the new is there.

    Attributes:
        path: The folder.
        going_on: Whether a run was there before.
        results: What its `results.json` holds, if it is finished.
        prolongs: Whether a run was finished there, and is asked for more.
        checksums: Writes its files; set while it is written to.
    """

    path: pathlib.Path
    going_on: bool = False
    results: dict[str, Any] | None = None
    prolongs: bool = False
    checksums: Checksums | None = None
    _lock: Lock | None = None

    @classmethod
    @contextlib.contextmanager
    def open(
        cls, config: RunConfig, resume: bool, chief: bool = True
    ) -> Iterator["RunFolder"]:
        """Looks what is there, and keeps all other processes away from it.

        A finished run is left alone. So is a folder where nothing was written
        in the end: it is removed again, if this process made it.

        Args:
            config: Resolved.
            resume: Whether going on is asked for.
            chief: Whether this process writes.

        Raises:
            InUse: If a run is at work there.
            UserError: As `check_run_dir`.
        """
        folder = cls._look(config, resume)
        if folder.results is not None or not chief:
            if chief:
                folder._tidy()
            yield folder
            return
        with (
            making_folder(folder.path),
            alone_in(folder.path, INSTEAD) as lock,
        ):
            clean(folder.path)
            folder = cls._look(config, resume)  # others may have been here
            folder._lock = lock
            yield folder

    @classmethod
    def _look(cls, config, resume) -> "RunFolder":
        path = pathlib.Path(config.output)
        if not check_run_dir(path, config, resume):
            return cls(path)
        results = finished_results(path, config)
        prolongs = results is None and (path / RESULTS).exists()
        return cls(path, True, results, prolongs)

    def _tidy(self) -> None:
        """Ends what the process that finished the run was killed in."""
        if any((self.path / name).exists() for name in (NEXT, LOCK_NAME)):
            with contextlib.suppress(InUse), alone_in(self.path, INSTEAD):
                clean(self.path)

    @property
    def work(self) -> pathlib.Path:
        """Where the run's files are written."""
        return self.path / NEXT if self.prolongs else self.path

    @property
    def report(self) -> pathlib.Path:
        """The page to look at."""
        return self.work / REPORT_NAME

    @property
    def checkpoint(self) -> pathlib.Path:
        """The folder that a run goes on from."""
        return self.work / CHECKPOINT

    @property
    def has_checkpoint(self) -> bool:
        """Whether a whole one, which is listed, is there to go on from."""
        begins = f"{CHECKPOINT}/"
        return any(n.startswith(begins) for n in known_checksums(self.work))

    @property
    def logs(self) -> pathlib.Path:
        """The folder that TensorBoard reads."""
        return self.path / "logs"

    def check(self) -> None:
        """Raises UserError if the folder was taken away meanwhile."""
        self._lock.check()

    def check_data(self, record: DataRecord) -> None:
        """Raises UserError unless a run that goes on has the data it had.

        Args:
            record: Of the data as it is.
        """
        if not self.going_on:
            return
        source = self.path
        if (self.work / data_record.FILE_NAME).exists():
            source = self.work
        old = DataRecord.read(source)
        if old is not None:
            old.check_same(record, self.path)
            return
        if self.prolongs:
            results = read_results(self.path)
            check_names(
                {
                    "class": results["class_names"],
                    "source domain": results["source_domains"],
                },
                {
                    "class": record.class_names,
                    "source domain": record.source_domains,
                },
                self.path,
            )
        if (self.path / HISTORY).exists():
            print_error(
                f"note: the run in {self.path} kept no record of its data, as "
                "earlier versions did; that it is the same is not checked"
            )

    @contextlib.contextmanager
    def writing(
        self,
        config: RunConfig,
        environment: dict[str, Any],
        record: DataRecord,
    ) -> Iterator[None]:
        """Begins the folder; removes it again if its run comes to nothing.

        Args:
            config: Resolved.
            environment: What `environment.json` holds.
            record: Of the data.

        Raises:
            UserError: If it can't be written.
        """
        self.check()
        try:
            if self.prolongs:
                _begin_next(self.path)
            self.checksums = Checksums(self.work)
            if not self.checksums.names:
                self.checksums.update(_present(self.work))
            self.checksums.write_json(CONFIG, config.to_json())
            self.checksums.write_json(ENVIRONMENT, environment)
            record.write(self.checksums)
            yield
            self.check()
            self.checksums.update()
        except BaseException:
            self._give_up()
            raise
        if self.prolongs:
            _take_next(self.path)

    def finish(self, results: dict[str, Any]) -> None:
        """Writes the results."""
        self.check()
        self.checksums.write_json(RESULTS, results)

    def _give_up(self) -> None:
        """Removes what this run wrote, unless it can go on with it."""
        if not self._lock.held or self._has_own_checkpoint():
            return
        # It may be interrupted again: what is left is then a run to go on with,
        # or no state of it at all.
        if self.prolongs:
            (self.work / CONFIG).unlink(missing_ok=True)
            remove_folder(self.work)
        elif not self.going_on:
            for folder in (self.checkpoint, self.logs):
                remove_folder(folder)
            for name in (FILE_NAME, *reversed(RUN_FILES)):
                (self.path / name).unlink(missing_ok=True)

    def _has_own_checkpoint(self) -> bool:
        before = _numbers(self.path) if self.prolongs else ()
        return bool(set(_numbers(self.work)) - set(before))


@contextlib.contextmanager
def writing_into(run_dir: str | pathlib.Path) -> Iterator[Checksums]:
    """Lets a command write files into the folder of a finished run.

    Raises:
        InUse: If another process does.
        UserError: If it can't be written.
    """
    run_dir = pathlib.Path(run_dir)
    with alone_in(run_dir, "try again later"):
        clean(run_dir)
        checksums = Checksums(run_dir)
        yield checksums
        if checksums.names:
            checksums.update()


def keep_calibration(
    checksums: Checksums, calibration: Mapping[str, Calibration]
) -> None:
    """Writes a model's calibration into its file; weights stay as they are.

    Args:
        checksums: Of the run folder.
        calibration: {rule: its `Calibration`}.

    Raises:
        UserError: If the file is damaged or can't be written.
    """
    path = checked_path(checksums.folder, MODEL)
    with (
        checksums.replacing(MODEL) as temporary,
        zipfile.ZipFile(path) as before,
        zipfile.ZipFile(temporary, "w") as after,
    ):
        for entry in before.infolist():
            contents = before.read(entry)
            if entry.filename == "config.json":
                model = json.loads(contents)
                model["config"]["calibration"] = {
                    rule: own.to_json() for rule, own in calibration.items()
                }
                contents = json.dumps(model).encode("utf-8")
            after.writestr(entry, contents)


def clean(run_dir: pathlib.Path) -> None:
    """Ends what a killed process began; for who holds the lock.

    What was half-written is removed, and a next state that all of is there is
    taken.
    """
    remove_leftovers(run_dir, (*RUN_FILES, FILE_NAME))
    remove_leftovers(run_dir / NEXT, (*RUN_FILES, FILE_NAME))
    for folder in (run_dir / CHECKPOINT, run_dir / NEXT / CHECKPOINT):
        for path in (*folder.glob("*_temp"), *folder.glob("checkpoint.tmp*")):
            remove_folder(path) if path.is_dir() else path.unlink()
    _clean_export(run_dir)
    own, following = run_dir / FILE_NAME, run_dir / NEXT / FILE_NAME
    if following.exists() and own.exists():
        if own.read_bytes() == following.read_bytes():
            _move_next(run_dir)


def _clean_export(run_dir) -> None:
    # A lock is a file, which processes that look into the folder would see: of
    # a new run it would say that the folder is not empty.
    if any(is_leftover(path.name, (_EXPORT,)) for path in run_dir.iterdir()):
        # Someone may be exporting there.
        with contextlib.suppress(InUse), writing(run_dir):
            with alone_beside(run_dir / _EXPORT, "", watch=False):
                remove_leftovers(run_dir, (_EXPORT,))


def _begin_next(run_dir) -> None:
    """Makes the folder of a finished run's next state, unless it is there.

    It begins with what the run goes on from.
    """
    folder = run_dir / NEXT
    if (folder / CONFIG).exists():
        return
    remove_folder(folder)
    if not _numbers(run_dir) and _epochs_done(run_dir):
        raise UserError(
            f"the run in {run_dir} has no checkpoint to go on from; start one "
            "in another --output"
        )
    with writing(folder):
        (folder / CHECKPOINT).mkdir(parents=True)
        for name in _present(run_dir):
            if name.startswith(f"{CHECKPOINT}/") or name in (HISTORY, MODEL):
                _link(run_dir / name, folder / name)
    Checksums(folder).take(Checksums(run_dir), _present(folder))


def _epochs_done(run_dir) -> bool:
    return any(row["epoch"] > 0 for row in read_history(run_dir / HISTORY))


def _take_next(run_dir) -> None:
    """Makes the next state the run's, from one moment to the next.

    That is when the list of checksums is replaced: readers then take from the
    next state's folder what was not moved yet.
    """
    with writing(run_dir):
        shutil.copyfile(
            run_dir / NEXT / FILE_NAME, run_dir / NEXT / f".new-{FILE_NAME}"
        )
        os.replace(run_dir / NEXT / f".new-{FILE_NAME}", run_dir / FILE_NAME)
        _move_next(run_dir)


def _move_next(run_dir) -> None:
    folder = run_dir / NEXT
    for name in RUN_FILES:
        if (folder / name).exists():
            os.replace(folder / name, run_dir / name)
    if (folder / CHECKPOINT).exists():
        for path in (folder / CHECKPOINT).iterdir():
            (run_dir / CHECKPOINT).mkdir(exist_ok=True)
            os.replace(path, run_dir / CHECKPOINT / path.name)
    kept = Checksums(run_dir).names
    for path in (run_dir / CHECKPOINT).glob("ckpt-*"):
        if f"{CHECKPOINT}/{path.name}" not in kept:
            path.unlink()
    remove_folder(folder)


def _present(folder) -> list[str]:
    """Returns the names of the run's files that are there."""
    names = [name for name in RUN_FILES if name != REPORT_NAME]
    names = [name for name in names if (folder / name).exists()]
    checkpoints = sorted((folder / CHECKPOINT).glob("ckpt-*.*"))
    return names + [f"{CHECKPOINT}/{path.name}" for path in checkpoints]


def _numbers(folder) -> list[int]:
    """Returns the numbers of the checkpoints that are there."""
    return [
        int(path.stem.rpartition("-")[2])
        for path in (folder / CHECKPOINT).glob("ckpt-*.index")
    ]


def _link(source, target) -> None:
    # None of these files is ever changed in its place.
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
