"""Cells of CSV files that a spreadsheet does not take for formulas."""

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


def _is_formula(cell: str) -> bool:
    return bool(_FORMULA.match(cell)) and not _NUMBER.fullmatch(cell)
