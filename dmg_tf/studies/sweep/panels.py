"""The parts of a sweep's report that are made of numbers alone."""

import collections
import math
import pathlib
import statistics
from collections.abc import Sequence

from dmg_tf.console.bar import print_error
from dmg_tf.errors import DamagedFile
from dmg_tf.evaluation.metrics.intervals import wilson_of_mean
from dmg_tf.html.curves import Curve, chart
from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.html.page import panel, quiet
from dmg_tf.html.tables import (
    heat_cell,
    heat_table,
    table,
    twentieths_around,
)
from dmg_tf.report.verdict import between
from dmg_tf.runs.history import read_history
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL
from dmg_tf.studies.paper.tables import in_domain, out_of_domain
from dmg_tf.studies.runs import Run
from dmg_tf.studies.table import Cell, Table

_VALIDATION = f"validation_{OVERALL}"


def overview(runs: Sequence[Run]) -> Markup:
    """Returns a row a method: in domain, out of domain, what is lost."""
    rules = dict.fromkeys(run.rule.title for run in runs)
    outside = {(r.group, r.label): r for r in out_of_domain(runs).rows}
    inside = {(r.group, r.label): r for r in in_domain(runs).rows}
    rows, best = [], {}
    for number, (key, row) in enumerate(outside.items()):
        out, at_home = row.cells[OVERALL], inside[key].cells[OVERALL]
        lost = None
        if out and at_home:
            lost = f"{100 * (at_home.mean - out.mean):.2f}"
        rows.append(
            [
                row.label,
                key[0],
                _text(at_home),
                _text(out) + _interval(runs, key, row),
                lost or "-",
                row.count(),
            ]
        )
        if out:
            best[number] = out.mean
    strong = {("row", max(best, key=best.get))} if len(best) > 1 else set()
    return join(
        table(
            "Accuracy of each method, in and out of domain",
            [
                "method",
                "backbone",
                "in domain",
                "out of domain",
                "lost outside",
                "n",
            ],
            rows,
            strong=strong,
            words={1},
        ),
        quiet(
            f"Percent, {', '.join(rules)}, mean over all targets; in "
            "brackets the 95\u00a0% interval of a single seed. The row in "
            "bold is the highest out of domain; with few seeds that may be "
            "chance."
        ),
    )


def _interval(runs, key, row) -> str:
    """Returns the interval where a number is of one seed, which has no error.

    Args:
        runs: All runs.
        key: Backbone and label of the row's.
        row: It; its numbers are by target.
    """
    own = [r for r in runs if (r.config["backbone"], r.label) == key]
    if row.count() != "1" or not row.cells[OVERALL]:
        return ""
    known = wilson_of_mean(
        [r.results[OUT_OF_DOMAIN][r.rule.name][OVERALL] for r in own],
        [sum(r.results["counts"][OUT_OF_DOMAIN].values()) for r in own],
    )
    return f" ({between(known)})"


def _text(cell: Cell | None) -> str:
    return cell.text() if cell else "-"


def shaded_table(numbers: Table) -> Markup:
    """Returns a table of the paper, shaded by value."""
    cells = [c for row in numbers.rows for c in row.cells.values() if c]
    low, high = twentieths_around([cell.mean for cell in cells])
    several = len({row.group for row in numbers.rows}) > 1

    def shaded(cell):
        if cell is None:
            return "-"
        return heat_cell(cell.text(), (cell.mean - low) / (high - low))

    rows = [
        [
            row.name,
            *([row.group] if several else []),
            *(shaded(row.cells.get(column)) for column in numbers.columns),
            row.count(),
        ]
        for row in numbers.rows
    ]
    head = [
        numbers.heading,
        *(["of"] if several else []),
        *numbers.columns,
        "n",
    ]
    return table(numbers.title, head, rows, words={1} if several else ())


def _validations(run: Run) -> dict[float, float]:
    """Returns {epoch: source validation}; {} where the file is damaged."""
    try:
        rows = read_history(run.run_dir / "history.csv")
    except DamagedFile as error:
        print_error(f"left out of the curves: {error}")
        rows = []
    return {row["epoch"]: row[_VALIDATION] for row in rows}


def curves(runs: Sequence[Run], targets: Sequence[str]) -> Markup:
    """Returns a chart a target: source validation by epoch."""
    charts, names = [], names_of(runs)
    colours = {n: i for i, n in enumerate(dict.fromkeys(names.values()))}
    for target in targets:
        by_name = collections.defaultdict(list)
        for run in runs:
            if run.target == target:
                by_name[names[run.run_dir]].append(_validations(run))
        if not any(map(any, by_name.values())):
            continue
        epochs = sorted({e for h in by_name.values() for v in h for e in v})
        lines = [
            Curve(
                name,
                [_mean_at(histories, epoch) for epoch in epochs],
                colours[name],
            )
            for name, histories in by_name.items()
        ]
        charts.append(chart(f"Target {target}", epochs, lines, percent=True))
    return tag("div", charts, class_="charts")


def _mean_at(histories, epoch) -> float:
    values = [h[epoch] for h in histories if epoch in h]
    return statistics.fmean(values) if values else math.nan


def names_of(runs: Sequence[Run]) -> dict[pathlib.Path, str]:
    """Returns {run folder: method, and backbone where there are several}."""
    several = len({run.config["backbone"] for run in runs}) > 1
    return {
        run.run_dir: f"{run.label}, {run.config['backbone']}"
        if several
        else run.label
        for run in runs
    }


def masks(runs: Sequence[Run]) -> Markup | None:
    """Returns overlap and density of masks by layer, or None."""
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    names = names_of(runs)
    for run in runs:
        if run.results["mask_iou"]:
            groups[names[run.run_dir]][run.target].append(run.results)
    parts = []
    for name, by_target in groups.items():
        for title, value in (
            ("overlap of pairs (IoU)", _overlap),
            ("share of active units", _density),
        ):
            sites = list(next(iter(by_target.values()))[0]["mask_iou"])
            rows = {
                target: [
                    statistics.fmean(
                        value(results, site) for results in several
                    )
                    for site in sites
                ]
                for target, several in by_target.items()
            }
            low, high = twentieths_around([v for r in rows.values() for v in r])
            heading = f"{name}: {title}"
            parts.append(
                tag(
                    "div",
                    tag("h3", heading),
                    heat_table(heading, "target", sites, rows, low, high),
                    quiet(f"Colour from {low:.2f} (none) to {high:.2f}."),
                )
            )
    if not parts:
        return None
    return panel(
        "Binary masks by layer",
        tag("div", parts, class_="beside"),
        wide=True,
        note="Means over domains or their pairs, and over seeds.",
    )


def _overlap(results, site) -> float:
    return results["mask_iou"][site]["mean"]


def _density(results, site) -> float:
    return statistics.fmean(results["mask_density"][site].values())
