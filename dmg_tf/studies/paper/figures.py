"""The paper's figures, drawn from tables."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from dmg_tf.studies.figures import COLOURS, MARKERS, as_drawn
from dmg_tf.studies.paper.neurons import KINDS
from dmg_tf.studies.paper.overlap import ACTIVE, MEAN
from dmg_tf.studies.table import Cell, Row, Table

_WIDTH = 13.0  # inches, at the most


def lines_figure(table: Table) -> Figure:
    """Draws a panel a group of rows, a line a column (Figures 3, 5 and 6)."""
    groups = _grouped(table)
    figure, axes = _panels(len(groups), width=4.0)
    figure.suptitle(as_drawn(table.title))
    for axis, (group, rows) in zip(axes, groups.items(), strict=True):
        steps = range(len(rows))
        for index, column in enumerate(table.columns):
            _draw_line(axis, steps, rows, column, index)
        # Even steps: the weights' logarithms, with a place for zero.
        axis.set_xticks(list(steps), [row.label for row in rows])
        axis.tick_params("x", rotation=45)
        axis.set_xlabel(as_drawn(table.heading))
        axis.set_title(f"{group} (%)", fontsize="medium")
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        [as_drawn(f"target {label}") for label in labels],
        loc="outside lower center",
        ncols=min(4, len(labels)),
        frameon=False,
    )
    return figure


def _draw_line(axis, steps, rows, column, index):
    cells = [row.cells.get(column) for row in rows]
    axis.errorbar(
        list(steps),
        [100 * cell.mean if cell else math.nan for cell in cells],
        yerr=_errors(cells),
        color=COLOURS[index % len(COLOURS)],
        marker=MARKERS[index % len(MARKERS)],
        markersize=4,
        capsize=2,
        label=column,
    )


def _errors(cells: Sequence[Cell | None]) -> list[float] | None:
    errors = [cell and cell.standard_error for cell in cells]
    if all(error is None for error in errors):
        return None
    return [math.nan if e is None else 100 * e for e in errors]


def overlap_figure(table: Table) -> Figure:
    """Draws bars a pair of masks, a panel a target (Figure 4)."""
    groups = _grouped(table)
    pairs = max(len(rows) for rows in groups.values())
    figure, axes = _panels(len(groups), width=max(3.2, 0.44 * pairs + 1.1))
    figure.suptitle(as_drawn(table.title), wrap=True)
    for axis, (group, rows) in zip(axes, groups.items(), strict=True):
        colours = {MEAN: COLOURS[1], ACTIVE: COLOURS[2]}
        _draw_bars(
            axis,
            rows,
            table.columns[0],
            [colours.get(row.label, COLOURS[0]) for row in rows],
        )
        axis.set_title(as_drawn(group), fontsize="medium")
        axis.set_ylim(0, 105)
    axes[0].set_ylabel("%")
    return figure


def _draw_bars(axis, rows, column, colours):
    cells = [row.cells[column] for row in rows]
    bars = axis.bar(
        range(len(rows)),
        [100 * cell.mean for cell in cells],
        yerr=_errors(cells),
        color=colours,
        capsize=2,
    )
    axis.bar_label(bars, fmt="%.1f", fontsize="x-small")
    _name_bars(axis, [row.label for row in rows])


def neurons_figure(table: Table) -> Figure:
    """Draws how the units of each layer divide into kinds (Sec. 7.1)."""
    groups = _grouped(table)
    figure, axes = _panels(len(groups), width=2.8)
    figure.suptitle(as_drawn(table.title), wrap=True)
    for axis, (group, rows) in zip(axes, groups.items(), strict=True):
        below = [0.0] * len(rows)
        for kind, colour in zip(KINDS, COLOURS, strict=False):
            heights = [100 * row.cells[kind].mean for row in rows]
            bars = range(len(rows))
            axis.bar(bars, heights, bottom=below, color=colour, label=kind)
            below = [a + b for a, b in zip(below, heights, strict=True)]
        axis.set_title(as_drawn(group.replace(", ", "\n")), fontsize="small")
        _name_bars(axis, [row.label for row in rows])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False
    )
    axes[0].set_ylabel("%")
    return figure


def _name_bars(axis, names: Sequence[str]) -> None:
    shown = [as_drawn(name) for name in names]
    axis.set_xticks(range(len(names)), shown, rotation=45, ha="right")
    axis.tick_params("x", labelsize="small")


def _grouped(table: Table) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        groups.setdefault(row.group, []).append(row)
    return groups


def _panels(count: int, width: float):
    columns = min(count, max(1, int(_WIDTH / width)))
    rows = math.ceil(count / columns)
    figure = Figure(
        figsize=(max(width * columns, 6.4), 3.6 * rows + 0.6),
        layout="constrained",
    )
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes[count:]:
        axis.remove()
    return figure, list(axes[:count])
