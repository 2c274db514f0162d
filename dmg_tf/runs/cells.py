"""Cells of CSV files: whole, and none that a spreadsheet runs as a formula."""

import csv
import re
from collections.abc import Iterable
from typing import Any

# A spreadsheet runs text that begins so. An apostrophe in front makes it plain
# text; it is put in front of such text that has apostrophes there already too,
# so that reading can take one away.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(
    r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE
)


def inert(cells: Iterable[Any]) -> list[Any]:
    """Returns the cells of a row as they are written; numbers stay as is."""
    return [
        f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell
        for cell in cells
    ]


def original(cells: Iterable[str]) -> list[str]:
    """Returns the cells of a row as they were before `inert`."""
    return [
        cell[1:] if cell.startswith("'") and _is_formula(cell) else cell
        for cell in cells
    ]


class _Lines:
    """Ends a writer's rows with a line feed alone."""

    def __init__(self, file):
        self._file = file

    def write(self, row):
        self._file.write(f"{row[:-2]}\n")


def csv_writer(file):
    """Returns a `csv.writer` of lines that end with a line feed.

    Up to Python 3.12, it quotes a carriage return in a cell only if lines end
    with one; without quotes, the name of a file would end the row.
    """
    return csv.writer(_Lines(file), lineterminator="\r\n")


def _is_formula(cell: str) -> bool:
    return bool(_FORMULA.match(cell)) and not _NUMBER.fullmatch(cell)
