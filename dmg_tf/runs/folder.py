"""What is in a run folder, and whether a run may go on with it."""

import contextlib
import dataclasses
import json
import pathlib
import zipfile
from typing import TYPE_CHECKING, Any

import dmg_tf
from dmg_tf.config import RunConfig
from dmg_tf.console.parser import command
from dmg_tf.errors import UserError
from dmg_tf.files import remove_folder, write_json, writing
from dmg_tf.registry import METHODS
from dmg_tf.runs import predictions

if TYPE_CHECKING:  # results are read without loading Keras
    import keras

# What may change when a run is resumed: it can go on longer, and where decoded
# images are kept or prepared, and how many devices share a batch, changes no
# number beyond rounding.
MAY_CHANGE = frozenset(
    {"epochs", "cache", "cache_dir", "strategy", "data_service"}
)

REPORT_NAME = "report.html"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of a run that trains.

    Attributes:
        path: The folder.
        going_on: Whether a run was there before.
        results: What its `results.json` holds, if it is finished.
    """

    path: pathlib.Path
    going_on: bool = False
    results: dict[str, Any] | None = None

    @classmethod
    def open(cls, config: RunConfig, resume: bool) -> "RunFolder":
        """Looks what is there; writes nothing.

        Args:
            config: Resolved.
            resume: Whether going on is asked for.

        Raises:
            UserError: As `check_run_dir`.
        """
        path = pathlib.Path(config.output)
        going_on = check_run_dir(path, config, resume)
        results = finished_results(path, config) if going_on else None
        return cls(path, going_on, results)

    @property
    def model(self) -> pathlib.Path:
        """The kept model."""
        return self.path / "model.keras"

    @property
    def history(self) -> pathlib.Path:
        """A row of numbers an epoch."""
        return self.path / "history.csv"

    @property
    def predictions(self) -> pathlib.Path:
        """What the kept model said of each image."""
        return self.path / predictions.FILE_NAME

    @property
    def report(self) -> pathlib.Path:
        """The page to look at."""
        return self.path / REPORT_NAME

    @property
    def checkpoint(self) -> pathlib.Path:
        """The folder that a run goes on from."""
        return self.path / "checkpoint"

    @property
    def logs(self) -> pathlib.Path:
        """The folder that TensorBoard reads."""
        return self.path / "logs"

    @property
    def _results(self) -> pathlib.Path:
        return self.path / "results.json"

    @contextlib.contextmanager
    def writing(self, config: RunConfig, environment: dict[str, Any]):
        """Begins the folder; removes it again if its run comes to nothing.

        Args:
            config: Resolved.
            environment: What `environment.json` holds.

        Raises:
            UserError: If it can't be written.
        """
        try:
            with writing(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / "config.json", config.to_json())
            write_json(self.path / "environment.json", environment)
            # What is of the run as it was before it went on.
            for path in (self._results, self.predictions, self.report):
                path.unlink(missing_ok=True)
            yield
        except BaseException:
            if not self.going_on and not has_checkpoint(self.path):
                remove_folder(self.path)
            raise

    def finish(self, results: dict[str, Any]) -> None:
        """Writes the results."""
        write_json(self._results, results)


def check_run_dir(run_dir, config: RunConfig, resume: bool) -> bool:
    """Returns whether a run is there to go on with.

    Args:
        run_dir: The run folder, as a path.
        config: The resolved settings of the run that wants it.
        resume: Whether going on is asked for.

    Raises:
        UserError: If the folder is taken: by other files, by a run when
            `resume` is not given, or by a run with other settings.
    """
    if not run_dir.exists():
        return False
    if not run_dir.is_dir():
        raise UserError(f"--output {run_dir} is a file; give a folder")
    if not any(run_dir.iterdir()):
        return False
    if not (run_dir / "config.json").exists():
        raise UserError(
            f"--output {run_dir} is not empty and holds no run; give another "
            "folder"
        )
    if not resume:
        raise UserError(
            f"--output {run_dir} holds a run already; pass --resume to go on "
            "with it, or give another folder"
        )
    may_change = MAY_CHANGE | {"output"}
    if METHODS[config.method].uses_length:
        may_change -= {"epochs"}
    old, new = RunConfig.read(run_dir).to_json(), config.to_json()
    old, new = (json.loads(json.dumps(value)) for value in (old, new))
    changed = [
        f"--{name.replace('_', '-')} was {old[name]}, is {new[name]}"
        for name in new
        if old[name] != new[name] and name not in may_change
    ]
    if changed:
        raise UserError(
            f"the run in {run_dir} was started with other settings: "
            f"{'; '.join(changed)}"
        )
    return True


def read_results(run_dir: str | pathlib.Path) -> dict[str, Any]:
    """Returns what `results.json` of a run folder holds.

    Raises:
        UserError: If the run is not finished.
    """
    path = pathlib.Path(run_dir) / "results.json"
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(
            f"the run in {run_dir} is not finished: cannot read {path} "
            f"({error}); go on with it by {command('train')} --resume"
        ) from error


def finished_results(
    run_dir: pathlib.Path, config: RunConfig
) -> dict[str, Any] | None:
    """Returns the results of a run, or None if it has epochs to go.

    Args:
        run_dir: The run folder.
        config: What is asked for; a finished run goes on for more epochs.

    Raises:
        UserError: If its results can't be read.
    """
    if not (run_dir / "results.json").exists():
        return None
    results = read_results(run_dir)
    return results if results["config"]["epochs"] == config.epochs else None


def load_run_model(run_dir: str | pathlib.Path) -> "keras.Model":
    """Returns the selected model of a run folder.

    Raises:
        UserError: If there is none, or it can't be read.
    """
    import keras

    path = pathlib.Path(run_dir) / "model.keras"
    if not path.exists():
        raise UserError(
            f"{run_dir} has no {path.name}: the run kept no model yet"
        )
    dmg_tf.register()  # a command line has imported none of it
    try:
        _check_sizes(path)
        return keras.models.load_model(path)
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(
            f"cannot read {path}: {str(error).splitlines()[0]}"
        ) from error


def _check_sizes(path) -> None:
    """Raises ValueError where a small file asks for an enormous model."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json")).get("config", {})
        room = sum(entry.file_size for entry in archive.infolist())
    # A weight a class, of 4 bytes, is the least that a model has.
    for name, most in (("num_classes", room // 4), ("image_size", 10_000)):
        value = config.get(name, 0)
        if value > most:
            raise ValueError(
                f"{name} is {value}, more than this file can mean ({most})"
            )


def load_kept_weights(
    model: "keras.Model", run_dir: str | pathlib.Path
) -> None:
    """Loads the weights that a run kept into its model.

    Args:
        model: The run's.
        run_dir: The run folder.
    """
    path = pathlib.Path(run_dir) / "model.keras"
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))["config"]
    if "class_names" in config:
        model.load_weights(path)
        return
    # Version 0.1 could begin the task network elsewhere, and files weights by
    # the part that they are in.
    model.set_weights(load_run_model(run_dir).get_weights())


def has_checkpoint(run_dir) -> bool:
    """Returns whether a run got as far as its first checkpoint."""
    import tensorflow as tf

    return tf.train.latest_checkpoint(str(run_dir / "checkpoint")) is not None
