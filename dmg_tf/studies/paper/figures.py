"""The paper's figures, drawn from tables."""

import math
import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure

from dmg_tf.files import replacing
from dmg_tf.studies.paper.neurons import KINDS
from dmg_tf.studies.paper.overlap import ACTIVE, MEAN
from dmg_tf.studies.table import Cell, Row, Table

SUFFIXES = (".png", ".pdf")
# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLOURS = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000".split()
_WIDTH = 13.0  # inches, at the most
_MARKERS = "osD^vP*"


def write_figure(
    figure: Figure,
    folder: pathlib.Path,
    name: str,
    suffixes: Sequence[str] = SUFFIXES,
) -> list[pathlib.Path]:
    """Writes a figure in each of some formats; returns the files.

    Raises:
        UserError: If they cannot be written.
    """
    paths = [folder / f"{name}{suffix}" for suffix in suffixes]
    for path in paths:
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150)
    return paths


def _shown(text: str) -> str:
    """Returns text as Matplotlib shows it: names as they are, λ set."""
    text = text.replace("$", r"\$")
    return text.replace("λ_O", r"$\lambda_O$").replace("λ_S", r"$\lambda_S$")


def lines_figure(table: Table) -> Figure:
    """Draws a panel a group of rows, a line a column (Figures 3, 5 and 6)."""
    groups = _grouped(table)
    figure, axes = _panels(len(groups), width=4.0)
    figure.suptitle(_shown(table.title))
    for axis, (group, rows) in zip(axes, groups.items(), strict=True):
        places = range(len(rows))
        for index, column in enumerate(table.columns):
            _draw_line(axis, places, rows, column, index)
        # Even steps: the weights' logarithms, with a place for zero.
        axis.set_xticks(list(places), [row.label for row in rows])
        axis.tick_params("x", rotation=45)
        axis.set_xlabel(_shown(table.heading))
        axis.set_title(f"{group} (%)", fontsize="medium")
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        [_shown(f"target {label}") for label in labels],
        loc="outside lower center",
        ncols=min(4, len(labels)),
        frameon=False,
    )
    return figure


def _draw_line(axis, places, rows, column, index):
    cells = [row.cells.get(column) for row in rows]
    axis.errorbar(
        list(places),
        [100 * cell.mean if cell else math.nan for cell in cells],
        yerr=_errors(cells),
        color=_COLOURS[index % len(_COLOURS)],
        marker=_MARKERS[index % len(_MARKERS)],
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
    figure.suptitle(_shown(table.title), wrap=True)
    for axis, (group, rows) in zip(axes, groups.items(), strict=True):
        colours = {MEAN: _COLOURS[1], ACTIVE: _COLOURS[2]}
        _draw_bars(
            axis,
            rows,
            table.columns[0],
            [colours.get(row.label, _COLOURS[0]) for row in rows],
        )
        axis.set_title(_shown(group), fontsize="medium")
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
    figure.suptitle(_shown(table.title), wrap=True)
    for axis, (group, rows) in zip(axes, groups.items(), strict=True):
        below = [0.0] * len(rows)
        for kind, colour in zip(KINDS, _COLOURS, strict=False):
            heights = [100 * row.cells[kind].mean for row in rows]
            places = range(len(rows))
            axis.bar(places, heights, bottom=below, color=colour, label=kind)
            below = [a + b for a, b in zip(below, heights, strict=True)]
        axis.set_title(_shown(group.replace(", ", "\n")), fontsize="small")
        _name_bars(axis, [row.label for row in rows])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False
    )
    axes[0].set_ylabel("%")
    return figure


def _name_bars(axis, names: Sequence[str]) -> None:
    shown = [_shown(name) for name in names]
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
