"""The runs of a sweep: every target, method, backbone and seed."""

import argparse
import dataclasses
import itertools
import pathlib

from dmg_tf.config import RunConfig
from dmg_tf.data import detect_dataset
from dmg_tf.data.domains import as_known, domain_names, pick_domains
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.files import name_part
from dmg_tf.registry import file_part
from dmg_tf.runs.folder import check_run_dir, finished_results
from dmg_tf.studies.sweep.variants import (
    Variant,
    parse_variant,
    written_out,
)


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        name: Name of its run folder.
        config: Its settings, as `train.py` takes them.
        finished: Whether its run folder holds results already.
    """

    name: str
    config: RunConfig
    finished: bool


def plan_runs(args: argparse.Namespace) -> list[PlannedRun]:
    """Returns all runs, checked before the first of them is started.

    Args:
        args: The settings that are not swept, `targets` (None for all domains),
            `methods`, `backbones`, `seeds`, and `output`, the sweep's folder.

    Raises:
        UserError: If a name is unknown, a number out of range, or a run folder
            is taken by other settings.
    """
    dataset = detect_dataset(args.dataset, args.data)
    domains = domain_names(dataset, args.data)
    targets = [as_known(t, domains) for t in args.targets or domains]
    where = args.data or "the built-in dataset"
    for target in targets:
        pick_domains(domains, target, args.sources, where)
    variants = [parse_variant(text) for text in written_out(args.methods)]
    # Seeds go round outermost: a sweep that is stopped has whole tables.
    combinations = itertools.product(
        *(dict.fromkeys(v) for v in (args.seeds, args.backbones, targets)),
        variants,
    )
    runs: dict[str, PlannedRun] = {}
    for seed, backbone, target, variant in combinations:
        name = (
            f"{dataset}-{name_part(target)}-{name_part(variant.slug)}"
            f"-{file_part(backbone)}-seed{seed}"
        )
        if name in runs:
            raise UserError(
                f"two of --methods are called {variant.slug}: write them "
                "differently"
            )
        output = str(pathlib.Path(args.output) / name)
        settings = variant.settings(args)
        runs[name] = _planned(
            name, settings, variant, target, backbone, seed, output, dataset
        )
    return list(runs.values())


def _planned(
    name, settings, variant: Variant, target, backbone, seed, output, dataset
) -> PlannedRun:
    config = RunConfig.from_json(
        {
            **settings,
            "target": target,
            "method": variant.method,
            "backbone": backbone,
            "seed": seed,
            "output": output,
        }
    )
    config.check()
    resolved = config.resolve(dataset)
    run_dir = pathlib.Path(output)
    try:
        going_on = check_run_dir(run_dir, resolved, resume=True)
        finished = going_on and finished_results(run_dir, resolved) is not None
    except DamagedFile:
        finished = False  # its own process says so, the others go on
    return PlannedRun(name, config, finished)
