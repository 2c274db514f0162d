"""Where the network looks in a few images, under each domain's own part."""

import os
from collections.abc import Callable, Sequence

import numpy as np

from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.html.page import quiet
from dmg_tf.html.tables import table
from dmg_tf.report.cards import said_of, short_path, verdict_of
from dmg_tf.report.pictures import shown, small, warmed
from dmg_tf.rules import PredictionRule
from dmg_tf.runs.maps import ImageMaps
from dmg_tf.runs.predictions import ScoredSplit

# Side of a picture here, pixels: there are several in a row.
_SIDE = 96
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")


def map_rows(
    maps: ImageMaps,
    split: ScoredSplit,
    class_names: Sequence[str],
    rules: Sequence[PredictionRule],
    path_now: Callable[[str], str] = os.fspath,
    root: str | None = None,
) -> Markup | None:
    """Returns a row an image: the picture, and where it is looked at.

    None if no image can be shown, as when all have moved.

    Args:
        maps: What the run kept.
        split: The images, and what the model said of them.
        class_names: The classes.
        rules: All of the model, the default first.
        path_now: Gives where a file is now.
        root: The data folder, which is left out of names.
    """
    predictions = split.predictions
    named = {rule.name: rule for rule in rules}
    own = [
        named[name]
        for name in maps.rules
        if name in named and name in predictions.predicted
    ]
    if len(own) < len(maps.rules):
        return None  # of another model
    index = {path: i for i, path in enumerate(split.paths)}
    rows, grid = [], None
    for path, values in maps.of.items():
        image = small(path_now(path), _SIDE) if path in index else None
        if image is None:
            continue
        i, grid = index[path], values.shape[1:]
        looked_for = class_names[predictions.predicted[rules[0].name][i]]
        cells = [tag("td", shown(image, short_path(path, root), _SIDE))]
        for rule, shares in zip(own, values, strict=True):
            picture = shown(
                warmed(image, shares),
                f"{rule.title}, looking for {looked_for}: {place(shares)}",
                _SIDE,
            )
            says = said_of(predictions, i, class_names, rule)
            cells.append(tag("td", picture, tag("p", says)))
        rows.append([verdict_of(predictions, i, class_names, rules[0]), *cells])
    if not rows:
        return None
    heads = [rule.title for rule in own]
    return join(
        tag(
            "div",
            table("Maps of images", ["image", "picture", *heads], rows),
            class_="maps",
        ),
        quiet(
            "Orange: the places that speak for the class that "
            f"{rules[0].title} predicts, by Grad-CAM (Selvaraju et al., 2017) "
            f"on the last feature map, {grid[0]}\u00a0x\u00a0{grid[1]} places. "
            "The colour is full at the largest number of a row, so that the "
            "maps of a row compare, and not those of two rows. No orange: no "
            "place speaks for the class."
            + (" Below, what each says itself." if len(own) > 1 else "")
        ),
    )


def place(shares: np.ndarray) -> str:
    """Returns where most of a map lies, in words.

    Args:
        shares: float [h, w] in [0, 1].
    """
    if not shares.any():
        return "no place"
    y, x = np.unravel_index(shares.argmax(), shares.shape)
    down, across = (
        names[int(3 * (at + 0.5) / size)]
        for names, at, size in zip(
            (_ROWS, _COLUMNS), (y, x), shares.shape, strict=True
        )
    )
    strongest = f"{down} {across}"
    return f"most at the {strongest}, {100 * shares.max():.0f} % of the row's"
