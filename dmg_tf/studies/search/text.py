"""The table that a search ends with."""

import io
import shlex
from collections.abc import Sequence

import rich.box
import rich.console
import rich.table
import rich.text

from dmg_tf.studies.search.folder import Search
from dmg_tf.studies.search.results import (
    Row,
    best_row,
    best_run,
    command_of,
)
from dmg_tf.studies.search.space import axes_of
from dmg_tf.studies.table import Cell

# Measure of a row: what it is multiplied by, and its digits.
_COLUMNS = {
    "validation": (100, 2),
    "in_domain": (100, 2),
    "out_of_domain": (100, 2),
    "mask_iou": (1, 3),
    "seconds": (1, 0),
}


def search_text(search: Search, rows: Sequence[Row], width: int = 400) -> str:
    """Renders all settings, what failed, and how to make the best run again.

    Args:
        search: The search.
        rows: What it found.
        width: Columns it may take at the most.

    Returns:
        Text of several lines; accuracies in percent.
    """
    config, best = search.config, best_row(rows)
    whole = [row for row in rows if row.error is None]
    lines = [
        f"Search ({search.tuner}): {config.method} on {config.backbone}, "
        f"target {config.target}, {len(whole)} "
        f"setting{'' if len(whole) == 1 else 's'}"
    ]
    if whole:
        lines += [_table(search, whole, best, width), *_captions(search)]
    failed = [row for row in rows if row.error is not None]
    if failed:
        lines += ["", f"{len(failed)} failed:"]
        lines += [
            f"  trial {row.trial}, {values_text(row.values)}: "
            f"{row.error.splitlines()[0]}"
            for row in failed
        ]
    if best:
        run = best_run(best)
        again = shlex.join(command_of(search, best, run))
        lines += [
            "",
            f"Best by source validation: {values_text(best.values)}, in "
            f"{search.folder / run['folder']}. The same again:",
            again,
        ]
    return "\n".join(lines)


def values_text(values: dict) -> str:
    """Returns searched values as a line says them."""
    return ", ".join(
        f"{name} {_value(value)}" for name, value in values.items()
    )


def _table(search, rows, best, width) -> str:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    axes = axes_of(search.config.method)
    for name in search.space:
        label = axes[name].label.replace(" ", "\n", 1)
        table.add_column(label, justify="right", no_wrap=True)
    rule = rows[0].runs[0]["rule"]
    if search.tuner == "hyperband":
        table.add_column("epochs", justify="right")
    for title in (
        "validation",
        f"in-domain\n{rule}",
        f"target {search.config.target} *\n{rule}",
        "mean\nmask IoU",
        "training\nseconds",
        "",
    ):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        cells = [_value(value) for value in row.values.values()]
        if search.tuner == "hyperband":
            cells.append(str(max(run["epochs"] for run in row.runs)))
        table.add_row(
            *cells,
            *(
                _cell_text(row.cell(measure), *form)
                for measure, form in _COLUMNS.items()
            ),
            "best" if row is best else "",
            style="bold" if row is best else None,
        )
    text = io.StringIO()
    rich.console.Console(file=text, width=width, color_system=None).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(line for line in lines if line)


def _captions(search) -> list[str]:
    several = ""
    if search.executions > 1:
        first = search.config.seed
        several = (
            f" Mean ± standard error, n = {search.executions} (seeds {first} "
            f"to {first + search.executions - 1})."
        )
    return [
        "Accuracy in percent. Validation, on the sources' images, chose the "
        f"epoch and the setting.{several}",
        "* The target had no part in any choice. To choose by this column "
        "would be to train on the target.",
    ]


def _value(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell_text(cell: Cell | None, scale: float, digits: int) -> str:
    return cell.text(scale, digits) if cell else "-"
