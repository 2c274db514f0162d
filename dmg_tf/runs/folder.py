"""What is in a run folder, and whether a run may go on with it."""

import json
import pathlib
from typing import TYPE_CHECKING, Any

import dmg_tf
from dmg_tf.config import RunConfig
from dmg_tf.console.parser import command
from dmg_tf.errors import UserError

if TYPE_CHECKING:  # results are read without loading Keras
    import keras

# What may change when a run is resumed: it can go on longer, and where decoded
# images are kept or prepared, and how many devices share a batch, changes no
# number beyond rounding.
MAY_CHANGE = frozenset(
    {"epochs", "cache", "cache_dir", "strategy", "data_service"}
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
    old, new = RunConfig.read(run_dir).to_json(), config.to_json()
    old, new = (json.loads(json.dumps(value)) for value in (old, new))
    changed = [
        f"--{name.replace('_', '-')} was {old[name]}, is {new[name]}"
        for name in new
        if old[name] != new[name] and name not in MAY_CHANGE | {"output"}
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
        return keras.models.load_model(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"cannot read {path}: {str(error).splitlines()[0]}"
        ) from error


def has_checkpoint(run_dir) -> bool:
    """Returns whether a run got as far as its first checkpoint."""
    import tensorflow as tf

    return tf.train.latest_checkpoint(str(run_dir / "checkpoint")) is not None
