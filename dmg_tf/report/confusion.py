"""What is taken for what: a matrix, a map, and the commonest mix-ups."""

from collections.abc import Sequence

import numpy as np

from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.html.page import quiet
from dmg_tf.html.tables import heat_cell, table
from dmg_tf.report.pictures import shades

# Up to here cells have room for numbers and names.
MAX_LABELLED = 20
# Up to here there is room for a table beside the matrix.
_MAX_BESIDE = 10
_MAX_PAIRS = 12
_PAIRS_A_DOMAIN = 3


def confusion(counts: np.ndarray, class_names: Sequence[str]) -> Markup:
    """Shows a confusion matrix, with names as far as they fit.

    Args:
        counts: int [C, C]; rows are true classes, columns predicted ones.
        class_names: The C classes.
    """
    shown = (
        _matrix(counts, class_names)
        if len(class_names) <= MAX_LABELLED
        else _map(counts)
    )
    pairs = tag(
        "div",
        tag("h3", "Most confused"),
        _pair_table(counts, class_names),
    )
    one_row = not _MAX_BESIDE < len(class_names) <= MAX_LABELLED
    return join(
        _summary(counts, class_names),
        tag("div", shown, pairs, class_="beside" if one_row else "below"),
    )


def _map(counts) -> Markup:
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    return tag(
        "figure",
        shades(shares, f"confusion matrix of {len(counts)} classes"),
        tag(
            "figcaption",
            "Classes in the order of their names; the share of the row grows "
            "with the square of the shade.",
            class_="quiet",
        ),
    )


def most_confused(counts: np.ndarray, limit: int) -> list[tuple[int, int]]:
    """Returns (true, predicted) of the commonest errors, commonest first."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(cell), len(counts)) for cell in order]
    return [pair for pair in pairs if wrong[pair]]


def confused_by_domain(
    counts: dict[str, np.ndarray], class_names: Sequence[str]
) -> Markup:
    """Returns the commonest errors of each of some domains.

    Args:
        counts: {domain: int [C, C]}, as for `confusion`.
        class_names: The C classes.
    """
    rows = [
        [
            domain,
            class_names[true],
            class_names[said],
            f"{own[true, said]} of {own[true].sum()}",
        ]
        for domain, own in counts.items()
        for true, said in most_confused(own, _PAIRS_A_DOMAIN)
    ]
    return table(
        "Classes that are taken for others most, by domain",
        ["domain", "true class", "taken for", "images"],
        rows,
        words={1, 2},
    )


def _summary(counts, class_names) -> Markup:
    totals = counts.sum(axis=1)
    known = np.flatnonzero(totals)
    recall = counts.diagonal()[known] / totals[known]
    best, worst = known[recall.argmax()], known[recall.argmin()]
    words = [
        "Rows are true classes, columns predicted ones. "
        f"Best known: {class_names[best]} ({100 * recall.max():.0f}\u00a0% "
        f"right); least: {class_names[worst]} "
        f"({100 * recall.min():.0f}\u00a0%)."
    ]
    for true, said in most_confused(counts, 1):
        words.append(
            f" Most confused: {class_names[true]} taken for "
            f"{class_names[said]}, {counts[true, said]} of {totals[true]}."
        )
    return quiet(*words)


def _matrix(counts, class_names) -> Markup:
    totals = counts.sum(axis=1)
    rows = []
    for i, name in enumerate(class_names):
        cells = [
            heat_cell(
                count if count else "",
                count / max(1, totals[i]),
                wrong=i != j,
                title=f"{name} taken for {class_names[j]}: {count} of "
                f"{totals[i]}",
            )
            for j, count in enumerate(counts[i])
        ]
        share = (
            f"{100 * counts[i, i] / totals[i]:.1f}\u00a0%" if totals[i] else "-"
        )
        rows.append([name, *cells, str(totals[i]), share])
    heads = [tag("span", name, class_="upright") for name in class_names]
    return tag(
        "div",
        table(
            "Images by true and predicted class",
            ["true class", *heads, "images", "right"],
            rows,
        ),
        class_="matrix",
    )


def _pair_table(counts, class_names) -> Markup:
    totals = counts.sum(axis=1)
    # No longer than the matrix beside it.
    limit = min(_MAX_PAIRS, max(3, len(counts)))
    return table(
        "Classes that are taken for others most",
        ["true class", "taken for", "images"],
        [
            [
                class_names[true],
                class_names[said],
                f"{counts[true, said]} of {totals[true]}",
            ]
            for true, said in most_confused(counts, limit)
        ],
        words={1},
    )
