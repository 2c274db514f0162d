"""The runs of a sweep: every target, method, backbone and seed."""

import argparse
import dataclasses
import itertools
import pathlib
from collections.abc import Sequence

from dmg_tf.config import RunConfig
from dmg_tf.data import detect_dataset
from dmg_tf.data.domains import as_known, domain_names, pick_domains
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.files import name_part
from dmg_tf.registry import file_part
from dmg_tf.runs.folder import check_run_dir, finished_results
from dmg_tf.studies.sweep.variants import parse_variant, written_out


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        name: Name of its run folder.
        config: Its settings, as `train.py` takes them.
        resolved: The same, with what its dataset and method fill in.
        finished: Whether its run folder holds results already.
        variant: Its method as it was written, e.g. "dmg:epochs=3".
    """

    name: str
    config: RunConfig
    resolved: RunConfig
    finished: bool
    variant: str


def plan_runs(
    args: argparse.Namespace, domains: Sequence[str] | None = None
) -> list[PlannedRun]:
    """Returns all runs, checked before the first of them is started.

    Args:
        args: The settings that are not swept, `targets` (None for all domains),
            `methods`, `backbones`, `seeds`, and `output`, the sweep's folder.
        domains: Names of the dataset's domains where its images are not at
            hand, to know what there will be; None reads them. No run is looked
            for then, and `dataset` must be a name.

    Raises:
        UserError: If a name is unknown, a number out of range, or a run folder
            is taken by other settings.
    """
    dataset, looked_for = args.dataset, domains is None
    if domains is None:
        dataset = detect_dataset(args.dataset, args.data)
        domains = domain_names(dataset, args.data)
    targets = [as_known(t, domains) for t in args.targets or domains]
    where = args.data or "the built-in dataset"
    for target in targets:
        pick_domains(domains, target, args.sources, where)
    variants = [parse_variant(text) for text in written_out(args.methods)]
    settings = {variant: variant.settings(args) for variant in variants}
    # Seeds go round outermost: a sweep that is stopped has whole tables.
    combinations = itertools.product(
        *(dict.fromkeys(v) for v in (args.seeds, args.backbones, targets)),
        variants,
    )
    counts: dict[tuple, int] = {}

    def count(config):  # images are listed once, for all methods and seeds
        which = config.data, config.sources, config.target, config.split
        if which not in counts:
            counts[which] = config.count_images()
        return counts[which]

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
        config = RunConfig.from_json(
            {
                **settings[variant],
                "target": target,
                "method": variant.method,
                "backbone": backbone,
                "seed": seed,
                "output": str(pathlib.Path(args.output) / name),
            }
        )
        config.check()
        resolved = config.resolve(dataset, count)
        finished = looked_for and _is_finished(resolved)
        runs[name] = PlannedRun(name, config, resolved, finished, variant.name)
    return list(runs.values())


def _is_finished(config: RunConfig) -> bool:
    """Returns whether a run is; raises UserError if others took its folder."""
    run_dir = pathlib.Path(config.output)
    try:
        going_on = check_run_dir(run_dir, config, resume=True)
        return going_on and finished_results(run_dir, config) is not None
    except DamagedFile:
        return False  # its own process says so, the others go on
