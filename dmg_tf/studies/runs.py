"""Reading a folder of run folders, and telling its runs apart."""

import collections
import dataclasses
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from dmg_tf.config import PARTS, RunConfig
from dmg_tf.console.bar import print_error
from dmg_tf.console.parser import command
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.registry import METHODS
from dmg_tf.rules import PredictionRule, default_rule, rules_of
from dmg_tf.runs.folder import MAY_CHANGE, read_results
from dmg_tf.runs.left_out import has_target

# Settings that do not make another method of it.
NO_DIFFERENCE = frozenset(
    "target data dataset method backbone optimizer seed output "
    "on_bad_image unknown_classes track_target".split()
) | MAY_CHANGE - {"epochs"}


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        run_dir: Its folder.
        results: What `results.json` holds.
        label: Its method as tables name it, with the settings in which runs of
            this method differ.
    """

    run_dir: pathlib.Path
    results: dict[str, Any]
    label: str = ""

    @property
    def config(self) -> dict[str, Any]:
        """Its settings."""
        return self.results["config"]

    @property
    def target(self) -> str:
        """Its target domain."""
        return self.config["target"]

    @property
    def rules(self) -> tuple[PredictionRule, ...]:
        """The prediction rules that tables show, the default first."""
        return tuple(rule for rule in rules_of(self.results) if rule.shown)

    @property
    def rule(self) -> PredictionRule:
        """The default prediction rule."""
        return default_rule(self.results)

    @property
    def method(self) -> str:
        """Its method, and optimiser if that is not Adam, as tables name it."""
        name = self.config["method"]
        if name in METHODS.names():
            name = METHODS[name].title
        sgd = self.config["optimizer"] == "sgd"
        return f"{name}-SGD" if sgd else name

    def sort_key(self) -> tuple:
        """Returns what orders the runs of a table."""
        order, method = METHODS.names(), self.config["method"]
        number = order.index(method) if method in order else len(order)
        numbers = [
            (name, value)
            for name, value in sorted(self.config.items())
            if isinstance(value, float) and name not in NO_DIFFERENCE
        ]
        return self.config["backbone"], number, self.method, numbers


def load_runs(folder: str | pathlib.Path) -> tuple[list[Run], list[str]]:
    """Reads the finished runs of a folder, in the order of tables.

    Returns:
        The runs, and the names of run folders without results.

    A damaged run is left out, with a line.

    Raises:
        UserError: If there is no finished run, a setting is unknown, runs are
            of several datasets, or one run is there twice.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; expected a folder of run folders")
    runs, unfinished = [], []
    for path in sorted(folder.iterdir()):
        if (path / "results.json").exists():
            try:
                results = read_results(path)
                # A final model belongs to no table of unseen domains.
                if has_target(results):
                    runs.append(Run(path, _complete(results, path)))
            except DamagedFile as error:
                print_error(f"left out {path.name}: {error}")
        elif (path / "config.json").exists():
            unfinished.append(path.name)
    if not runs:
        raise UserError(
            f"{folder} holds no finished run: expected folders with a "
            f"results.json, as {command('train')} and {command('sweep')} write "
            "them"
        )
    datasets = sorted({run.config["dataset"] for run in runs})
    if len(datasets) > 1:
        raise UserError(
            f"{folder} holds runs of several datasets ({', '.join(datasets)}); "
            "give a folder with the runs of one"
        )
    runs = _labelled(sorted(runs, key=Run.sort_key))
    _check_once(runs)
    return runs, unfinished


def _complete(results, path) -> dict:
    try:
        config = results["config"]
        # That of a package that is not installed is shown as it is.
        if config.get("method", RunConfig.method) in METHODS.names():
            # Runs of before a setting was there had its default.
            config = RunConfig.from_run(config).to_json()
        if not (results["in_domain"] and results["out_of_domain"]):
            raise KeyError("accuracies")
    except UserError as error:
        raise UserError(f"{path / 'results.json'}: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise DamagedFile(
            f"{path / 'results.json'} is damaged: no {error}"
        ) from error
    return {**results, "config": json.loads(json.dumps(config))}


def _labelled(runs: Sequence[Run]) -> list[Run]:
    values = collections.defaultdict(set)
    for run in runs:
        for name, value in run.config.items():
            if name not in NO_DIFFERENCE:
                values[run.method, name].add(json.dumps(value))
    # Settings that only mean something beside another's word.
    parts = set().union(*PARTS.values())
    labelled = []
    for run in runs:
        said = {}
        if len(values[run.method, "recipe"]) > 1:
            said = RunConfig.from_run(run.config).of_recipe()
        differing = [
            f"{name} {_text(value)}"
            for name, value in run.config.items()
            if len(values[run.method, name]) > 1
            and not (name in said and said[name] == value)
            and not (value is None and name in parts)
        ]
        label = run.method + (f" ({', '.join(differing)})" * bool(differing))
        labelled.append(dataclasses.replace(run, label=label))
    return labelled


def _text(value) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def targets_of(runs: Iterable[Run]) -> list[str]:
    """Returns the target domains of some runs, in order."""
    return sorted({run.target for run in runs})


def _check_once(runs: Iterable[Run]) -> None:
    seen = {}
    for run in runs:
        key = run.config["backbone"], run.label, run.target, run.config["seed"]
        if key in seen:
            raise UserError(
                f"{seen[key]} and {run.run_dir} hold the same run; move one of "
                "them away"
            )
        seen[key] = run.run_dir
