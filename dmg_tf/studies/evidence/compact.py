"""A finished run as a small file, which a page is made of without the run."""

import json
import pathlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from dmg_tf.console.bar import print_error
from dmg_tf.errors import UserError
from dmg_tf.files import write_text, writing
from dmg_tf.report.run_files import RunFiles
from dmg_tf.rules import PredictionRule, rules_of
from dmg_tf.studies.protocols import Protocol
from dmg_tf.studies.runs import Run
from dmg_tf.studies.sweep.plan import PlannedRun

# Where things lie on a machine says nothing of the run.
_PLACES = ("data", "output", "cache_dir", "data_service")
_AS_THEY_ARE = (
    "source_domains",
    "counts",
    "selection",
    "in_domain_split",
    "in_domain",
    "out_of_domain",
    "mask_iou",
    "mask_keep",
    "timing",
)
_DIGITS = 5


def path_of(folder: pathlib.Path, protocol: Protocol, name: str):
    """Returns where a run's file is.

    Args:
        folder: Holds a folder a protocol.
        protocol: The run's.
        name: Name of its run folder.
    """
    return folder / protocol.name / f"{name}.json"


def write_compact(
    run: PlannedRun, protocol: Protocol, folder: pathlib.Path
) -> pathlib.Path:
    """Writes the file of a finished run.

    Args:
        run: The run.
        protocol: Its protocol.
        folder: As for `path_of`.

    Raises:
        UserError: If the run is not finished, damaged, or nothing can be
            written.
    """
    files = RunFiles.read(run.config.output)
    path = path_of(folder, protocol, run.name)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, as_text(compact(files, protocol.name, run.variant)))
    return path


def compact(files: RunFiles, protocol: str, variant: str) -> dict[str, Any]:
    """Returns what a run's file holds.

    Args:
        files: Of the run.
        protocol: Name of its protocol.
        variant: Its method as it is written.

    Returns:
        A part of its results, all accuracies by rule and domain, with the
        commit and the machine; settings that are None are left out, and so is
        what is False or None of a rule.
    """
    results, environment = files.results, files.environment
    config = {
        name: value
        for name, value in results["config"].items()
        if value is not None and name not in _PLACES
    }
    return {
        "protocol": protocol,
        "variant": variant,
        "config": config,
        "commit": environment.get("commit"),
        "processor": environment.get("processor"),
        "devices": environment.get("devices"),
        "packages": environment.get("packages"),
        **{name: results[name] for name in _AS_THEY_ARE if name in results},
        "rules": [_short(rule.to_json()) for rule in rules_of(results)],
    }


def _short(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a rule without what `PredictionRule` has by default."""
    usual = {field.name: field.default for field in fields(PredictionRule)}
    return {n: value for n, value in rule.items() if value != usual[n]}


def as_text(values: Mapping[str, Any]) -> str:
    """Returns JSON with a line a key, numbers cut to five decimals."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(_rounded(value), ensure_ascii=False)}"
        for name, value in values.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rounded(value):
    if isinstance(value, float):
        # A rate of 1e-5 is not to become 0.
        return (
            float(f"{value:.{_DIGITS}g}") if abs(value) < 1 else round(value, 1)
        )
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return value


def read_runs(folder: pathlib.Path, protocol: Protocol) -> list[Run]:
    """Reads the runs of a protocol that have a file, in the order of tables.

    A file that is none of a run is left out, with a line.

    Args:
        folder: As for `path_of`.
        protocol: The protocol.
    """
    order, runs = list(protocol.labels), []
    for path in sorted((folder / protocol.name).glob("*.json")):
        try:
            runs.append(_read(path, protocol))
        except (OSError, ValueError, UserError) as error:
            print_error(f"left out {path}: {error}")
    return sorted(
        runs,
        key=lambda run: (
            order.index(run.results["variant"]),
            run.config["seed"],
            run.target,
        ),
    )


def _read(path, protocol) -> Run:
    results = json.loads(path.read_text("utf-8"))
    missing = [name for name in _NEEDED if name not in results]
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}")
    own = ("method", "backbone", "target", "seed")
    missing = [name for name in own if name not in results["config"]]
    if missing:
        raise ValueError(f"its config has no {' and no '.join(missing)}")
    variant = results["variant"]
    if variant not in protocol.labels:
        raise ValueError(f"{variant!r} is not of the protocol {protocol.name}")
    usual = {"in_domain_split": "validation", "mask_iou": {}}
    return Run(path, {**usual, **results}, protocol.label(variant))


# What a run of other code must say, too.
_NEEDED = ("variant", "config", "in_domain", "out_of_domain")
