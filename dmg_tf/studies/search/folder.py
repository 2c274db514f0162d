"""The folder of a search: its settings, and where each run is."""

import dataclasses
import json
import pathlib
from typing import Any

from dmg_tf.config import RunConfig
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.files import is_leftover, remove_leftovers, writing
from dmg_tf.folders.checksums import read_sealed, write_sealed
from dmg_tf.folders.lock import LOCK_NAME
from dmg_tf.runs.folder import MAY_CHANGE
from dmg_tf.settings import LogRange
from dmg_tf.studies.search.space import Space

# What may change when a search goes on: how long it is, and of a run what may
# change when that is resumed, but for its length.
_MAY_CHANGE = {"max_trials"} | {
    f"config.{name}" for name in MAY_CHANGE - {"epochs"}
}
_SETTINGS = "search.json"
ERROR_FILE = "error.txt"  # of a trial: why it failed
_OLD_LOCK = "lock"  # version 0.1's
# All that a search writes by itself, in its folder and in those of trials.
_FILES = (
    *(_SETTINGS, "oracle.json", "results.json", "results.csv"),
    *("trial.json", ERROR_FILE),
)


@dataclasses.dataclass(frozen=True)
class Search:
    """All choices of a search.

    Attributes:
        folder: Where all of it is kept.
        config: The settings that all runs share, as they were given; open
            choices are left to each run.
        dataset: Name in `DATASETS` that the config stands for.
        space: What is searched.
        tuner: "grid", "random", "bayesian" or "hyperband".
        max_trials: At most so many settings; None for the tuner's own number.
        executions: Runs of each setting, with seeds that count up.
    """

    folder: pathlib.Path
    config: RunConfig
    dataset: str
    space: Space
    tuner: str = "grid"
    max_trials: int | None = None
    executions: int = 1

    def settings(self) -> dict[str, Any]:
        """Returns what `search.json` holds."""
        config = self.config.resolve(self.dataset).to_json()
        del config["output"]
        return {
            "tuner": self.tuner,
            "max_trials": self.max_trials,
            "executions_per_trial": self.executions,
            "space": {
                name: dataclasses.asdict(values)
                if isinstance(values, LogRange)
                else list(values)
                for name, values in self.space.items()
            },
            "config": config,
        }

    def run_dir(self, trial_id: str, execution: int) -> pathlib.Path:
        """Returns the run folder of one execution of a trial."""
        seed = self.config.seed + execution
        return self.trial_dir(trial_id) / f"seed{seed}"

    def trial_dir(self, trial_id: str) -> pathlib.Path:
        """Returns a trial's folder, where KerasTuner keeps its state too."""
        return self.folder / f"trial_{trial_id}"

    def check_folder(self) -> bool:
        """Returns whether a search is there to go on with.

        Raises:
            UserError: If the folder is taken by other files, or by a search
                with other settings.
        """
        folder = self.folder
        if not folder.exists():
            return False
        if not folder.is_dir():
            raise UserError(f"--output {folder} is a file; give a folder")
        path = folder / _SETTINGS
        if not path.exists() and all(
            child.name in (LOCK_NAME, _OLD_LOCK)
            or is_leftover(child.name, _FILES)
            for child in folder.iterdir()
        ):
            return False  # or killed before its first file was whole
        try:
            old = read_sealed(path)
            # A search of before a setting was there had its default.
            config = RunConfig.from_run(old["config"]).to_json()
            old["config"] = {k: v for k, v in config.items() if k != "output"}
        except (OSError, ValueError, KeyError, TypeError) as error:
            if path.exists():
                raise DamagedFile(f"{path} is damaged: {error}") from error
            raise UserError(
                f"--output {folder} is not empty and holds no search; give "
                "another folder"
            ) from error
        old, new = (
            _flat(json.loads(json.dumps(settings)))
            for settings in (old, self.settings())
        )
        changed = [
            f"{name} was {old.get(name)}, is {new.get(name)}"
            for name in {**old, **new}
            if old.get(name) != new.get(name) and name not in _MAY_CHANGE
        ]
        if changed:
            raise UserError(
                f"the search in {folder} was started with other settings: "
                f"{'; '.join(changed)}; give another --output"
            )
        return True

    def make_folder(self) -> None:
        """Makes the folder.

        Raises:
            UserError: If it can't be written.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def prepare_folder(self) -> None:
        """Writes the settings, and removes what a killed search left.

        The folder's lock is held.

        Raises:
            UserError: If it can't be written.
        """
        for folder in (self.folder, *self.folder.glob("trial_*")):
            remove_leftovers(folder, _FILES)
        write_sealed(self.folder / _SETTINGS, self.settings())


def default_folder(config: RunConfig, dataset: str, tuner: str) -> pathlib.Path:
    """Returns the folder of a search for which none was given."""
    run = pathlib.Path(config.resolve(dataset).output)
    return run.with_name(f"{tuner}-{run.name}")


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in settings.items():
        if name == "config":
            flat.update({f"config.{k}": v for k, v in value.items()})
        else:
            flat[name] = value
    return flat
