"""Tables behind the paper's figures: how far masks overlap, and what of it.

Paper: Figures 3 to 6. All numbers are in `results.json`; the figures are drawn
from these tables.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence

from dmg_tf.registry import METHODS
from dmg_tf.runs.predictions import OVERALL
from dmg_tf.settings import fields_of
from dmg_tf.studies.runs import NO_DIFFERENCE, Run, targets_of
from dmg_tf.studies.table import Cell, Row, Table

OUT, IN, IOU = "out-of-domain accuracy", "in-domain accuracy", "mean IoU"
MEAN, ACTIVE = "all pairs", "active units"
_COLUMN = "%"


def weights(method: str) -> dict[str, str]:
    """Returns {option: symbol} of a method's options that have a symbol.

    Args:
        method: Its name; there are none where it is not in `METHODS`.
    """
    if method not in METHODS.names():
        return {}
    return {
        name: field.metadata["setting"].symbol
        for name, field in fields_of(METHODS[method].options).items()
        if field.metadata["setting"].symbol
    }


def mean_iou(run: Run) -> float | None:
    """Returns the IoU of binary masks, mean over pairs and masked layers.

    None for a method without masks.
    """
    sites = run.results["mask_iou"].values()
    return statistics.fmean(pairs["mean"] for pairs in sites) if sites else None


_MEASURES: dict[str, Callable[[Run], float | None]] = {
    OUT: lambda run: run.results["out_of_domain"][run.rule.name][OVERALL],
    IN: lambda run: run.results["in_domain"][run.rule.name][OVERALL],
    IOU: mean_iou,
}


def sensitivity(runs: Sequence[Run]) -> list[Table]:
    """Returns accuracy and IoU by weight (Figure 3 for λ_O, 6 for λ_S).

    A table for each weight that runs differ in while all else is equal: a group
    of rows a measure, a row a value, a column a target.
    """
    tables = []
    for name, weight, symbol, bucket in _sweeps(runs):
        rows = [
            row
            for measure, of in _MEASURES.items()
            if measure != IOU or bucket[0].results["mask_iou"]
            for row in _rows_by_value(measure, of, weight, bucket)
        ]
        title = f"Sensitivity to {symbol}, {_what(bucket[0])} (%)"
        columns = tuple(targets_of(bucket))
        tables.append(
            Table(f"sensitivity_{name}", title, columns, tuple(rows), symbol)
        )
    return tables


def layers(runs: Sequence[Run]) -> list[Table]:
    """Returns IoU of each masked layer by weight (Figure 5).

    A table as for `sensitivity`: a group of rows a layer.
    """
    tables = []
    for name, weight, symbol, bucket in _sweeps(runs):
        rows = [
            row
            for site in bucket[0].results["mask_iou"]
            for row in _rows_by_value(
                site,
                lambda run, s=site: run.results["mask_iou"][s]["mean"],
                weight,
                bucket,
            )
        ]
        title = f"IoU (%) by masked layer and {symbol}, {_what(bucket[0])}"
        columns = tuple(targets_of(bucket))
        if rows:
            tables.append(
                Table(f"layers_{name}", title, columns, tuple(rows), symbol)
            )
    return tables


def _rows_by_value(
    group: str,
    of: Callable[[Run], float],
    weight: str,
    bucket: Sequence[Run],
) -> list[Row]:
    """Returns a row for each value of a weight, a column a target."""
    return [
        Row(
            group,
            f"{value:g}",
            {
                target: Cell.of(
                    of(run)
                    for run in bucket
                    if run.config[weight] == value and run.target == target
                )
                for target in targets_of(bucket)
            },
        )
        for value in _values(bucket, weight)
    ]


def overlap(runs: Sequence[Run]) -> list[Table]:
    """Returns IoU of each pair of masks, and active units (Figure 4).

    A table for each method with masks: a group of rows a target, a row a pair.
    Both are means over the masked layers.
    """
    tables = []
    for number, group in enumerate(_masked_groups(runs)):
        rows = []
        for target in targets_of(group):
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


def _sweeps(runs: Sequence[Run]):
    """Yields (name, weight, symbol, runs) that differ in that weight alone."""
    names = [name for method in METHODS.names() for name in weights(method)]
    for weight in dict.fromkeys(names):
        buckets: dict[str, list[Run]] = {}
        for run in runs:
            if weight not in weights(run.config["method"]):
                continue
            same = {
                name: value
                for name, value in run.config.items()
                if name not in NO_DIFFERENCE and name != weight
            }
            key = [run.config["backbone"], run.method, same]
            buckets.setdefault(json.dumps(key), []).append(run)
        kept = [b for b in buckets.values() if len(_values(b, weight)) > 1]
        for number, bucket in enumerate(kept):
            symbol = weights(bucket[0].config["method"])[weight]
            yield f"{weight}_{number + 1}", weight, symbol, bucket


def _values(runs: Iterable[Run], weight: str) -> list[float]:
    return sorted({run.config[weight] for run in runs})


def _what(run: Run) -> str:
    return f"{run.method} on {run.config['backbone']}"
