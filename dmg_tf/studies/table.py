"""Tables of means with standard errors: text, CSV, Markdown, LaTeX."""

import csv
import dataclasses
import io
import math
import re
import statistics
from collections.abc import Iterable, Sequence

from dmg_tf.console.tables import Room
from dmg_tf.runs.cells import inert

# As wide as any table is.
FILE = Room(10_000)


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Returns mean and standard error; the latter needs two values.

    Args:
        values: At least one.
    """
    error = None
    if len(values) > 1:
        error = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), error


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number of a table.

    Attributes:
        mean: A fraction, as all accuracies in files are.
        standard_error: Of the mean; None for fewer than two values.
        count: How many values; None for a published number.
    """

    mean: float
    standard_error: float | None = None
    count: int | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> "Cell | None":
        """Returns mean and standard error; None for no values."""
        values = list(values)
        return cls(*mean_and_error(values), len(values)) if values else None

    def text(self, scale: float = 100, digits: int = 2) -> str:
        """Returns the mean, with the standard error if there is one.

        Args:
            scale: What both are multiplied by; 100 for percent.
            digits: Decimals.
        """
        mean = f"{scale * self.mean:.{digits}f}"
        if self.standard_error is None:
            return mean
        return f"{mean} ± {scale * self.standard_error:.{digits}f}"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        group: What it belongs to, e.g. a backbone.
        label: Its name.
        cells: {column: cell}; a missing one is shown as a dash.
        published: Whether its numbers are the paper's.
    """

    group: str
    label: str
    cells: dict[str, Cell | None]
    published: bool = False

    @property
    def name(self) -> str:
        """The label, marked if the numbers are the paper's."""
        return f"{self.label} [published]" if self.published else self.label

    def count(self) -> str:
        """Returns how many values a cell is of, e.g. "3" or "2-3"."""
        counts = {c.count for c in self.cells.values() if c and c.count}
        if not counts:
            return "-"
        low, high = min(counts), max(counts)
        return str(low) if low == high else f"{low}-{high}"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of percentages.

    Attributes:
        name: Short name, for files.
        title: What it shows.
        columns: Its columns, without group, label and n.
        rows: Its rows; those of a group follow each other.
        heading: What the labels are, e.g. "method".
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    heading: str = "method"

    def lines(self) -> list[list[str]]:
        """Returns all cells as text, the heads first."""
        lines = [["", self.heading, *self.columns, "n"]]
        group = None
        for row in self.rows:
            cells = (row.cells.get(column) for column in self.columns)
            texts = (cell.text() if cell else "-" for cell in cells)
            first = row.group if row.group != group else ""
            lines.append([first, row.name, *texts, row.count()])
            group = row.group
        return lines


def as_text(tables: Sequence[Table], room: Room = FILE) -> str:
    """Renders tables for a terminal, none of it cut short.

    Args:
        tables: The tables.
        room: What they are written on; a file is as wide as they are.
    """
    parts = []
    for table in tables:
        head, *lines = table.lines()
        sections = {i for i, line in enumerate(lines) if i and line[0]}
        shown = room.table(head, lines, labels=2, sections=sections)
        parts.append(f"{room.text(table.title, 'bold')}\n{shown}")
    return "\n\n".join(parts) + "\n"


def as_csv(tables: Sequence[Table]) -> str:
    """Returns a line a number, in fractions, for programs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        "table group row column mean standard_error n source".split()
    )
    for table in tables:
        for row in table.rows:
            source = "published" if row.published else "measured"
            for column in table.columns:
                cell = row.cells.get(column)
                if cell:
                    numbers = (cell.mean, cell.standard_error, cell.count)
                    where = (table.name, row.group, row.label, column)
                    writer.writerow(inert([*where, *numbers, source]))
    return text.getvalue()


def as_markdown(tables: Sequence[Table]) -> str:
    """Renders tables as GitHub shows them."""
    parts = []
    for table in tables:
        head, *lines = table.lines()
        rule = ["---", "---", *["---:"] * (len(head) - 2)]
        rows = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
            for line in (head, rule, *lines)
        ]
        parts.append("\n".join([f"**{table.title}**", "", *rows]))
    return "\n\n".join(parts) + "\n"


def as_latex(tables: Sequence[Table]) -> str:
    """Renders tables for LaTeX with the package booktabs."""
    parts = []
    for table in tables:
        head, *lines = table.lines()
        body = [f"\\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}", "\\toprule"]
        body += [_latex_line(head), "\\midrule"]
        for index, line in enumerate(lines):
            if index and line[0]:
                body.append("\\midrule")
            body.append(_latex_line(line))
        body += ["\\bottomrule", "\\end{tabular}"]
        caption = f"\\caption{{{_latex(table.title)}}}"
        parts.append(
            "\n".join(
                ["\\begin{table}", caption, *body, "\\end{table}"],
            )
        )
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(parts) + "\n"


def _latex_line(line: list[str]) -> str:
    return " & ".join(map(_latex, line)) + " \\\\"


def _latex(text: str) -> str:
    return re.sub(r"[\\{}&%$#_~^±λ]", lambda m: _LATEX_SIGNS[m[0]], text)


_LATEX_SIGNS = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": "$\\pm$",
    "λ": "$\\lambda$",
    **{sign: f"\\{sign}" for sign in "{}&%$#_"},
}

FORMATS = {
    "txt": as_text,
    "csv": as_csv,
    "md": as_markdown,
    "tex": as_latex,
}
