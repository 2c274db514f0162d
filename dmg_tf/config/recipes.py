"""What settings that nobody gave stand for, beside the dataset's presets.

docs/recipes.md says how each was chosen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# The words of --recipe.
PAPER, STRONG, BY_SIZE = RECIPES = ("paper", "strong", "by_size")

_STRONG = {"schedule": "cosine", "warmup": 0.5}
_STRONG_RATE = 3.0  # times that of the preset

_BY_SIZE = {"classifier_init": "fitted", "schedule": "cosine", "warmup": 0.5}
_FEW = {
    "train": "task_network",
    "views": 1,
    "epochs": 20,
    "learning_rate": 3e-4,
}
# Up to so many images, all domains' together: what learns, for how long. Where
# they are few the front of the network stays as it is, and is computed once.
_SIZES: Sequence[tuple[float, Mapping[str, Any]]] = (
    (3_000, _FEW),
    (10_000, {"train": "all", "epochs": 20}),
    (30_000, {"train": "all", "epochs": 10}),
    (100_000, {"train": "all", "epochs": 5}),
    (math.inf, {"train": "all", "epochs": 3}),
)


def with_recipe(
    recipe: str,
    preset: Mapping[str, Any],
    defaults: Mapping[str, Any],
    images: Callable[[], int],
    freezes: bool,
) -> dict[str, Any]:
    """Returns what a run takes where nothing is given.

    Args:
        recipe: A word of `RECIPES`.
        preset: Of the dataset.
        defaults: Of the method, which win over the preset.
        images: Tells how many images there are, which takes listing them.
        freezes: Whether a part of the network may stay as it is.
    """
    if recipe == BY_SIZE:
        return {**preset, **_by_size(images(), freezes), **defaults}
    values = {**preset, **defaults}
    if recipe == STRONG:
        values |= _STRONG
        if "learning_rate" in values:
            rate = values["learning_rate"] * _STRONG_RATE
            values["learning_rate"] = float(f"{rate:g}")  # 0.0003 exactly
    return values


def changed_by_size() -> tuple[str, ...]:
    """Returns the names of the settings that `BY_SIZE` changes."""
    return (*_BY_SIZE, *_FEW)


def changed_by_recipes() -> tuple[str, ...]:
    """Returns the names of the settings that any recipe changes."""
    return tuple(dict.fromkeys([*_STRONG, *changed_by_size()]))


def images_of(train: str, epochs: int) -> float:
    """Returns a number of images that `BY_SIZE` has such settings for."""
    known = {(size["train"], size["epochs"]): most for most, size in _SIZES}
    return known.get((train, epochs), math.inf)


def _by_size(images: int, freezes: bool) -> dict[str, Any]:
    size = next(size for most, size in _SIZES if images <= most)
    if size["train"] != "all" and not freezes:
        size = _SIZES[1][1]
    return {**_BY_SIZE, **size}
