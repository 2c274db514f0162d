"""Tables: plain ones, and ones whose cells are shaded by value."""

import math
from collections.abc import Sequence

from dmg_tf.html.markup import Markup, tag

# Names of more letters may be broken anywhere.
_LONG = 24


def table(
    name: str, head: Sequence, rows: Sequence[Sequence], strong=(), words=()
) -> Markup:
    """Returns a table; the first cell of a row names it.

    Args:
        name: What it shows, for those who can't see the heading above it.
        head: Headings of the columns.
        rows: Cells of each row; a `Markup` is a whole `td`.
        strong: What stands out: column numbers, the names' is 0, and
            ("row", number).
        words: Columns of words, not numbers.
    """

    def class_of(column):
        names = ["strong"] * (column in strong) + ["words"] * (column in words)
        return " ".join(names) or None

    return _wrapped(
        name,
        tag(
            "thead",
            tag(
                "tr",
                [
                    tag(
                        "th",
                        name,
                        scope="col",
                        class_="words" if i in words else None,
                    )
                    for i, name in enumerate(head)
                ],
            ),
        ),
        tag(
            "tbody",
            [
                tag(
                    "tr",
                    tag(
                        "th",
                        first,
                        scope="row",
                        class_="long" if len(first) > _LONG else None,
                    ),
                    [
                        cell
                        if isinstance(cell, Markup)
                        else tag("td", cell, class_=class_of(i))
                        for i, cell in enumerate(others, 1)
                    ],
                    class_="strong" if ("row", number) in strong else None,
                )
                for number, (first, *others) in enumerate(rows)
            ],
        ),
    )


def heat_table(
    name: str,
    corner: str,
    columns: Sequence[str],
    rows: dict[str, Sequence[float]],
    low: float = 0.0,
    high: float = 1.0,
) -> Markup:
    """Returns a table of numbers, the larger the stronger in colour.

    Args:
        name: As for `table`.
        corner: Heading of the rows' names.
        columns: Names of the columns.
        rows: {name: a number for each column}.
        low: Where the colour begins.
        high: Where it is full.
    """
    return table(
        name,
        [corner, *columns],
        [
            [
                of,
                *(
                    heat_cell(f"{v:.3f}", (v - low) / ((high - low) or 1))
                    for v in values
                ),
            ]
            for of, values in rows.items()
        ],
    )


def heat_cell(shown, share: float, wrong: bool = False, title=None) -> Markup:
    """Returns a shaded cell.

    Args:
        shown: What is written in it.
        share: How strong the colour is, cut to [0, 1].
        wrong: Whether in the colour of errors.
        title: What a pointer that rests on it reads.
    """
    share = min(max(share, 0.0), 1.0)
    return tag(
        "td",
        shown,
        class_="heat wrong" if wrong else "heat",
        style=f"--v:{share:.3g}",
        title=title,
    )


def twentieths_around(values: Sequence[float]) -> tuple[float, float]:
    """Returns the narrowest range of whole 0.05s that holds all values."""
    low, high = min(values), max(values)
    low, high = math.floor(20 * low) / 20, math.ceil(20 * high) / 20
    if high > low:
        return low, high
    return (low - 0.05, high) if low > 0 else (low, high + 0.05)


def _wrapped(name, *parts) -> Markup:
    # Scrolls by itself where it is wider than the page; with the keyboard too.
    return tag(
        "div",
        tag("table", tag("caption", name, class_="unseen"), *parts),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=f"{name}, scrolls sideways",
    )
