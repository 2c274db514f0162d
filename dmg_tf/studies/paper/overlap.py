"""Tables behind the paper's figures: how far masks overlap, and what of it.

Paper: Figures 3 to 6. All numbers are in `results.json`; the figures are drawn
from these tables.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence

from dmg_tf.studies.runs import NO_DIFFERENCE, Run
from dmg_tf.studies.table import Cell, Row, Table

# Setting: (symbol, the paper's figure)
WEIGHTS = {"siou_weight": "λ_O", "sparsity_weight": "λ_S"}
OUT, IN, IOU = "out-of-domain accuracy", "in-domain accuracy", "mean IoU"
MEAN, ACTIVE = "all pairs", "active units"
_COLUMN = "%"


def mean_iou(run: Run) -> float:
    """Returns the IoU of binary masks, mean over pairs and masked layers."""
    sites = run.results["mask_iou"].values()
    return statistics.fmean(pairs["mean"] for pairs in sites)


_MEASURES: dict[str, Callable[[Run], float]] = {
    OUT: lambda run: run.results["out_of_domain"]["pred_ens"]["overall"],
    IN: lambda run: run.results["in_domain"]["pred_ens"]["overall"],
    IOU: mean_iou,
}


def sensitivity(runs: Sequence[Run]) -> list[Table]:
    """Returns accuracy and IoU by weight (Figure 3 for λ_O, 6 for λ_S).

    A table for each weight that runs differ in while all else is equal: a group
    of rows a measure, a row a value, a column a target.
    """
    tables = []
    for name, weight, bucket in _sweeps(runs):
        targets = _targets(bucket)
        rows = [
            Row(
                measure,
                f"{value:g}",
                {
                    target: Cell.of(
                        of(run)
                        for run in bucket
                        if run.config[weight] == value and run.target == target
                    )
                    for target in targets
                },
            )
            for measure, of in _MEASURES.items()
            for value in _values(bucket, weight)
        ]
        title = f"Sensitivity to {WEIGHTS[weight]}, {_what(bucket[0])} (%)"
        name = f"sensitivity_{name}"
        tables.append(
            Table(name, title, tuple(targets), tuple(rows), WEIGHTS[weight])
        )
    return tables


def layers(runs: Sequence[Run]) -> list[Table]:
    """Returns IoU of each masked layer by weight (Figure 5).

    A table as for `sensitivity`: a group of rows a layer.
    """
    tables = []
    for name, weight, bucket in _sweeps(runs):
        targets = _targets(bucket)
        rows = [
            Row(
                site,
                f"{value:g}",
                {
                    target: Cell.of(
                        run.results["mask_iou"][site]["mean"]
                        for run in bucket
                        if run.config[weight] == value and run.target == target
                    )
                    for target in targets
                },
            )
            for site in bucket[0].results["mask_iou"]
            for value in _values(bucket, weight)
        ]
        title = f"IoU (%) by masked layer and {WEIGHTS[weight]}, " + _what(
            bucket[0]
        )
        tables.append(
            Table(
                f"layers_{name}",
                title,
                tuple(targets),
                tuple(rows),
                WEIGHTS[weight],
            )
        )
    return tables


def overlap(runs: Sequence[Run]) -> list[Table]:
    """Returns IoU of each pair of masks, and active units (Figure 4).

    A table for each method with masks: a group of rows a target, a row a pair.
    Both are means over the masked layers.
    """
    tables = []
    for number, group in enumerate(_masked_groups(runs)):
        rows = []
        for target in _targets(group):
            here = [run for run in group if run.target == target]
            pairs = next(iter(here[0].results["mask_iou"].values()))
            for pair in pairs:
                label = MEAN if pair == "mean" else pair.replace("|", " & ")
                cell = Cell.of(_over_sites(r, "mask_iou", pair) for r in here)
                rows.append(Row(f"target {target}", label, {_COLUMN: cell}))
            domains = here[0].results["source_domains"]
            cell = Cell.of(
                statistics.fmean(
                    _over_sites(r, "mask_density", d) for d in domains
                )
                for r in here
            )
            rows.append(Row(f"target {target}", ACTIVE, {_COLUMN: cell}))
        title = (
            "IoU of pairs of binary masks, and share of active units (%), "
            f"{group[0].label} on {group[0].config['backbone']}"
        )
        name = f"overlap_{number + 1}"
        tables.append(Table(name, title, (_COLUMN,), tuple(rows), "pair"))
    return tables


def _over_sites(run: Run, part: str, name: str) -> float:
    sites = run.results[part].values()
    return statistics.fmean(values[name] for values in sites)


def _masked_groups(runs: Iterable[Run]) -> list[list[Run]]:
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        if run.results["mask_iou"]:
            key = run.config["backbone"], run.label
            groups.setdefault(key, []).append(run)
    return list(groups.values())


def _sweeps(runs: Iterable[Run]):
    """Yields (name, weight, runs) that differ in that weight alone."""
    masked = [run for run in runs if run.results["mask_iou"]]
    for weight in WEIGHTS:
        buckets: dict[str, list[Run]] = {}
        for run in masked:
            same = {
                name: value
                for name, value in run.config.items()
                if name not in NO_DIFFERENCE and name != weight
            }
            key = [run.config["backbone"], run.method, same]
            buckets.setdefault(json.dumps(key), []).append(run)
        kept = [b for b in buckets.values() if len(_values(b, weight)) > 1]
        for number, bucket in enumerate(kept):
            yield f"{weight}_{number + 1}", weight, bucket


def _values(runs: Iterable[Run], weight: str) -> list[float]:
    return sorted({run.config[weight] for run in runs})


def _targets(runs: Iterable[Run]) -> list[str]:
    return sorted({run.target for run in runs})


def _what(run: Run) -> str:
    return f"{run.method} on {run.config['backbone']}"
