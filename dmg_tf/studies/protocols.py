"""Protocols: sweeps that belong together, written down in a file."""

import argparse
import dataclasses
import functools
import itertools
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from dmg_tf.errors import UserError, unknown_name
from dmg_tf.registry import DATASETS
from dmg_tf.studies.sweep.flags import make_parser
from dmg_tf.studies.sweep.plan import PlannedRun, plan_runs
from dmg_tf.studies.sweep.variants import methods_of, written_out

# What stands for the folder of the images where none is named.
_SOME_FOLDER = "DIR"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """Sweeps that belong together, and what is to be made of them.

    Attributes:
        name: What flags and folders call it.
        title: What pages call it.
        about: What is run, in words.
        dataset: Name in `DATASETS`.
        sweeps: Command lines of `dmg-tf sweep`, without data and output.
        images: {domain: how many of its images are learned from}.
        labels: {variant as it is written: what tables call it}, in their order.
        compare: Pairs of variants, of which the second is taken off.
        sensitivity_seeds: The seeds that a curve over a weight is of.
        images_per_second: {backbone: images that a device learns from}.
        speed_source: Where these numbers are from.
        seconds_beside: What a run takes beside learning.
        factors: {method: what a step costs beside Aggregate's}; 1 for others.
    """

    name: str
    title: str
    about: str
    dataset: str
    sweeps: tuple[str, ...]
    images: Mapping[str, int]
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    compare: tuple[tuple[str, str], ...] = ()
    sensitivity_seeds: tuple[int, ...] = ()
    images_per_second: Mapping[str, float]
    speed_source: str = ""
    seconds_beside: float = 0.0
    factors: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def needs_data(self) -> bool:
        """Whether its images are in a folder that must be named."""
        return not DATASETS[self.dataset].built_in

    def command_lines(
        self, data: str | None, folder: pathlib.Path, more: Sequence[str] = ()
    ) -> list[list[str]]:
        """Returns the arguments of `dmg-tf sweep` for each sweep.

        Args:
            data: The folder of the images.
            folder: Where the run folders go.
            more: Further flags, which win.
        """
        where = ["--data", data] if data and self.needs_data else []
        return [
            [
                *shlex.split(sweep),
                *("--dataset", self.dataset, *where),
                *("--output", str(folder), *more),
            ]
            for sweep in self.sweeps
        ]

    def plan(
        self,
        data: str | None,
        folder: pathlib.Path,
        more: Sequence[str] = (),
    ) -> list[PlannedRun]:
        """Returns all runs, each once, sweep by sweep.

        Args:
            data: As for `command_lines`; where the folder is not there, or none
                is named though it must be, no run is looked for.
            folder: As for `command_lines`.
            more: As for `command_lines`.

        Raises:
            UserError: If a name is unknown, a number out of range, or a run
                folder is taken by other settings.
        """
        data = data or _SOME_FOLDER
        there = not self.needs_data or pathlib.Path(data).exists()
        domains = None if there else tuple(self.images)
        runs = {
            run.name: run
            for argv in self.command_lines(data, folder, more)
            for run in plan_runs(_parsed(argv), domains)
        }
        return list(runs.values())

    @functools.cached_property
    def expected(self) -> list[tuple[str, str, int]]:
        """(variant, target, seed) of each run; no data is read."""
        found = {}
        for sweep in self.sweeps:
            args = _parsed(shlex.split(sweep))
            for place in itertools.product(
                written_out(args.methods),
                args.targets or self.images,
                args.seeds,
            ):
                found[place] = None
        return list(found)

    def label(self, variant: str) -> str:
        """Returns what tables call a variant."""
        return self.labels.get(variant, variant)


def read_protocols(path: str | pathlib.Path) -> dict[str, Protocol]:
    """Reads {name: protocol} of a file, in its order.

    Raises:
        UserError: If it can't be read or holds something else.
    """
    import yaml

    try:
        known = yaml.safe_load(pathlib.Path(path).read_text("utf-8"))
        return {
            name: _made(name, values, known["images"][values["dataset"]])
            for name, values in known["protocols"].items()
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot read the protocols in {path}: {reason}") from (
            error
        )


def chosen(
    protocols: Mapping[str, Protocol], names: Sequence[str]
) -> list[Protocol]:
    """Returns some protocols by their names, all where none is named.

    Raises:
        UserError: If a name is unknown.
    """
    for name in names:
        if name not in protocols:
            raise unknown_name("protocol", name, protocols)
    return [p for p in protocols.values() if not names or p.name in names]


def _made(name: str, values: Mapping[str, Any], images) -> Protocol:
    lists = {
        key: tuple(map(tuple, value) if key == "compare" else value)
        for key, value in values.items()
        if isinstance(value, list)
    }
    return Protocol(name=name, images=images, **{**values, **lists})


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    return make_parser(methods_of(argv)).parse_args(list(argv))
