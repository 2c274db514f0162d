"""What is in a run folder, read and checked, and whether a run may go on."""

import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dmg_tf
from dmg_tf.config import RunConfig
from dmg_tf.console.parser import command
from dmg_tf.errors import DamagedFile, UserError, first_line
from dmg_tf.files import is_leftover
from dmg_tf.folders.checksums import FILE_NAME, checked_path, read_json
from dmg_tf.folders.lock import LOCK_NAME
from dmg_tf.runs import data_record, maps, predictions
from dmg_tf.runs.data_record import DataRecord

if TYPE_CHECKING:  # results are read without loading Keras
    import keras

# What may change when a run is resumed: it can go on longer, and where decoded
# images are kept or prepared, how many devices share a batch, and where the
# same data is, changes no number beyond rounding.
MAY_CHANGE = frozenset(
    {"epochs", "cache", "cache_dir", "strategy", "data_service", "data"}
)

# What is chosen when a run starts, and kept: any choice is what was asked for.
_LEFT_OPEN = {("precision", "auto")}

CONFIG = "config.json"
ENVIRONMENT = "environment.json"
HISTORY = "history.csv"
MODEL = "model.keras"
RESULTS = "results.json"
METRICS = "metrics.csv"
REPORT_NAME = "report.html"
CHECKPOINT = "checkpoint"
# All that a run writes; logs/ belongs to no state of it.
RUN_FILES = (
    CONFIG,
    ENVIRONMENT,
    data_record.FILE_NAME,
    data_record.IMAGES_NAME,
    HISTORY,
    MODEL,
    predictions.FILE_NAME,
    METRICS,
    maps.MAPS,
    RESULTS,
    REPORT_NAME,
)


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
    if not (run_dir / CONFIG).exists():
        # A run that was killed before its first file was whole is none.
        begun = (*RUN_FILES, FILE_NAME)
        others = [
            path.name
            for path in run_dir.iterdir()
            if path.name not in (LOCK_NAME, FILE_NAME)
            and not is_leftover(path.name, begun)
        ]
        if not others:
            return False
        raise UserError(
            f"--output {run_dir} is not empty and holds no run (it has "
            f"{min(others)}); give another folder"
        )
    if not resume:
        raise UserError(
            f"--output {run_dir} holds a run already; pass --resume to go on "
            "with it, or give another folder"
        )
    may_change = MAY_CHANGE | {"output"}
    if config.uses_length:
        may_change -= {"epochs"}
    if not (run_dir / data_record.FILE_NAME).exists():
        may_change -= {"data"}  # whether it is the same can't be told
    old, new = RunConfig.read(run_dir).to_json(), config.to_json()
    old, new = (json.loads(json.dumps(value)) for value in (old, new))
    changed = [
        f"--{name.replace('_', '-')} was {old[name]}, is {new[name]}"
        for name in new
        if old[name] != new[name]
        and name not in may_change
        and (name, new[name]) not in _LEFT_OPEN
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
        DamagedFile: If it is not what a run wrote.
        UserError: If the run is not finished.
    """
    path = pathlib.Path(run_dir) / RESULTS
    try:
        results = read_json(path)
    except DamagedFile as error:
        raise DamagedFile(
            f"{error}; or remove {RESULTS}, and {command('train')} --resume "
            "scores the model again"
        ) from error
    except OSError as error:
        raise UserError(
            f"the run in {run_dir} is not finished: cannot read {path} "
            f"({error}); go on with it by {command('train')} --resume"
        ) from error
    for key, kind in _KINDS.items():
        if key not in results and key not in _NEEDED:
            continue
        if not _is(results.get(key), kind):
            raise DamagedFile(
                f"{path} is damaged: {key!r} is "
                + ("missing" if key not in results else "not what a run writes")
            )
    return results


def _fraction(value) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


# What `read_results` expects: a type, a test, a list of it or names with it.
_KINDS = {
    "config": {str: object},
    "class_names": [str],
    "source_domains": [str],
    "in_domain": {str: {str: _fraction}},
    "out_of_domain": {str: {str: _fraction}},
    "metrics": {str: {str: {str: {str: object}}}},
    "calibration": {str: {str: object}},
    "counts": {str: {str: int}},
    "votes": {str: {str: {str: int}}},
    "mask_iou": {str: {str: _fraction}},
    "mask_density": {str: {str: _fraction}},
    "mask_keep": {str: {str: _fraction}},
    "selection": {str: str | int | float},
    "rules": [{str: object}],
    "notes": [str],
    "bad_images": {str: str},
}
_NEEDED = {"config", "class_names", "source_domains"}


def _is(value, kind) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is(v, kind[0]) for v in value)
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(
            _is(v, kind[str]) for v in value.values()
        )
    if isinstance(kind, Callable) and not isinstance(kind, type):
        return kind(value)
    return isinstance(value, kind)


def finished_results(
    run_dir: pathlib.Path, config: RunConfig
) -> dict[str, Any] | None:
    """Returns the results of a run, or None if it has epochs to go.

    Args:
        run_dir: The run folder.
        config: What is asked for; a finished run goes on for more epochs.

    Raises:
        UserError: If its results can't be read, or are of other data.
    """
    if not (run_dir / RESULTS).exists():
        return None
    results = read_results(run_dir)
    if results["config"].get("epochs") != config.epochs:
        return None
    if results["config"].get("data") != config.data:
        _check_moved(run_dir, results, config)
    return results


def _check_moved(run_dir, results, config: RunConfig) -> None:
    """Raises UserError unless data in another folder is what a run had."""
    old = DataRecord.read(run_dir)
    if old is None:
        return  # `check_run_dir` has refused another folder
    now = DataRecord.of(config.list_images(), config.data)
    before = results["config"]["data"]
    bad = {
        data_record.below(path, before)
        for path in results.get("bad_images", ())
    }
    images = tuple(image for image in now.images if image.path not in bad)
    old.check_same(dataclasses.replace(now, images=images), run_dir)


def load_run_model(run_dir: str | pathlib.Path) -> "keras.Model":
    """Returns the selected model of a run folder.

    Raises:
        UserError: If there is none, or it can't be read.
    """
    import keras

    run_dir = pathlib.Path(run_dir)
    try:
        path = checked_path(run_dir, MODEL)
        if not path.exists():
            raise FileNotFoundError
    except FileNotFoundError as error:
        raise UserError(
            f"{run_dir} has no {MODEL}: the run kept no model yet"
        ) from error
    dmg_tf.register()  # a command line has imported none of it
    if not zipfile.is_zipfile(path):
        raise DamagedFile(f"cannot read {path}: it is cut short or damaged")
    try:
        _check_sizes(path)
        return keras.models.load_model(path)
    except UserError:
        raise
    except Exception as error:  # Keras and what it reads with raise many kinds
        raise DamagedFile(f"cannot read {path}: {first_line(error)}") from error


def load_checked_model(
    run_dir: str | pathlib.Path, results: dict[str, Any]
) -> "keras.Model":
    """Returns the selected model, if it is the one that the results are of.

    Args:
        run_dir: The run folder.
        results: What its `results.json` holds.

    Raises:
        UserError: If there is none, it can't be read, or it is another.
    """
    model = load_run_model(run_dir)
    for what in ("class_names", "source_domains"):
        learned = getattr(model, what, None)
        if learned and list(learned) != results[what]:
            raise UserError(
                f"{MODEL} and {RESULTS} in {run_dir} do not go together: the "
                f"model learned the {what.replace('_', ' ')} "
                f"{', '.join(learned)}, the results have "
                f"{', '.join(results[what])}"
            )
    return model


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

    Raises:
        UserError: If they can't be read.
    """
    path = checked_path(pathlib.Path(run_dir), MODEL)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))["config"]
    if "class_names" in config:
        model.load_weights(path)
        return
    # Version 0.1 could begin the task network elsewhere, and files weights by
    # the part that they are in.
    model.set_weights(load_run_model(run_dir).get_weights())
