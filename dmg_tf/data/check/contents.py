"""What the contents of the images tell: damage, copies, odd looks."""

import os
import pathlib
from typing import Any

import numpy as np

from dmg_tf.data.check.folder import Inventory
from dmg_tf.data.check.images import (
    FORMATS,
    SUFFIX_FORMATS,
    ImageFacts,
    Trait,
)
from dmg_tf.data.check.problems import Problems

# Thresholds of what is worth a look; `check_problems` names them in words.
SMALL_SIDE, LARGE_SIDE, LONGEST = 32, 4096, 4.0
_SHOWN_COPIES = 3

_TRAIT_KINDS = {
    Trait.ROTATED: "rotated",
    Trait.FRAMES: "frames",
    Trait.DARK: "dark",
    Trait.DEEP: "deep",
    Trait.PROFILE: "profile",
    Trait.CMYK: "cmyk",
    Trait.ALPHA: "alpha",
    Trait.PALETTE: "palette",
    Trait.GREY: "grey",
}
_PIXELS = {
    Trait.GREY: "grey",
    Trait.PALETTE: "palette",
    Trait.CMYK: "CMYK",
    Trait.ALPHA: "alpha",
    Trait.DEEP: "16 bit",
}
_NOT_PIXELS = Trait.ROTATED | Trait.FRAMES | Trait.PROFILE | Trait.DARK


def report_unreadable(
    root: pathlib.Path,
    inventory: Inventory,
    facts: ImageFacts,
    problems: Problems,
) -> None:
    """Reports images that training can't decode, with training's reason."""
    # TensorFlow is loaded where images are opened.
    from dmg_tf.data.images.bad_images import find_bad_images

    names = [inventory.names[i] for i in np.flatnonzero(~facts.readable)]
    shown = names[: problems.max_examples]
    reasons = find_bad_images([os.path.join(root, name) for name in shown])
    for name in shown:
        reason = reasons.get(os.path.join(root, name), "it is damaged")
        problems.add("unreadable", f"{name}: {reason}")
    if names[len(shown) :]:
        problems.add("unreadable", names[len(shown)], len(names) - len(shown))


def report_copies(
    inventory: Inventory, facts: ImageFacts, problems: Problems
) -> None:
    """Reports sets of files with the same content, by what they may spoil."""
    # Damaged files may well be alike, for instance empty.
    usable = np.flatnonzero(facts.readable)
    _, group, sizes = np.unique(
        facts.digests[usable].view(f"V{facts.digests.shape[1]}").ravel(),
        return_inverse=True,
        return_counts=True,
    )
    group = group.ravel()
    several = np.flatnonzero(sizes[group] > 1)
    by_group = several[np.argsort(group[several], kind="stable")]
    edges = np.flatnonzero(np.diff(group[by_group])) + 1
    sets = [part for part in np.split(usable[by_group], edges) if len(part)]
    for copies in sorted(sets, key=lambda part: part[0]):
        domains, labels, roles = (
            len(np.unique(of[copies]))
            for of in (inventory.domain_ids, inventory.labels, inventory.roles)
        )
        if labels > 1:
            kind = "label_conflict"
        elif domains > 1:
            kind = "copies_across_domains"
        elif roles > 1:
            kind = "copies_across_splits"
        else:
            kind = "copies"
        problems.add(kind, _equal([inventory.names[i] for i in copies]))


def report_looks(
    inventory: Inventory, facts: ImageFacts, problems: Problems
) -> None:
    """Reports odd sizes, kinds of pixels, and suffixes that mislead."""
    names = inventory.names
    short = np.minimum(facts.widths, facts.heights)
    long = np.maximum(facts.widths, facts.heights)
    for kind, odd in (
        ("small", short < SMALL_SIDE),
        ("narrow", long > LONGEST * short),
        ("large", long > LARGE_SIDE),
    ):
        for i in np.flatnonzero(odd & facts.readable):
            size = f"{facts.widths[i]} x {facts.heights[i]}"
            problems.add(kind, f"{names[i]}: {size}")
    for trait, kind in _TRAIT_KINDS.items():
        for i in np.flatnonzero((facts.traits & trait > 0) & facts.readable):
            problems.add(kind, names[i])
    for i in np.flatnonzero(facts.readable):
        name, content = names[i], FORMATS[facts.formats[i]]
        promised = SUFFIX_FORMATS.get(os.path.splitext(name)[1].lower())
        if content != "?" and content != promised:
            problems.add("wrong_suffix", f"{name} is {content}")


def looks(inventory: Inventory, facts: ImageFacts) -> dict[str, Any]:
    """Returns sizes, formats and pixels of the readable images by domain.

    Returns:
        {domain: {"width": [least, median, greatest], "height": likewise,
        "formats": {name: count}, "pixels": {name: count}}}.
    """
    result = {}
    for domain_id, domain in enumerate(inventory.domains):
        own = facts.readable & (inventory.domain_ids == domain_id)
        if not own.any():
            continue
        formats = np.bincount(facts.formats[own], minlength=len(FORMATS))
        traits = facts.traits[own]
        pixels = {"RGB": int(np.sum(traits & ~_NOT_PIXELS == 0))}
        for trait, name in _PIXELS.items():
            pixels[name] = int(np.sum(traits & trait > 0))
        result[domain] = {
            "width": _spread(facts.widths[own]),
            "height": _spread(facts.heights[own]),
            "formats": _positive(zip(FORMATS, formats.tolist(), strict=True)),
            "pixels": _positive(pixels.items()),
        }
    return result


def _spread(values) -> list[int]:
    return [int(values.min()), int(np.median(values)), int(values.max())]


def _positive(pairs) -> dict[str, int]:
    return {name: count for name, count in pairs if count}


def _equal(names) -> str:
    more = len(names) - _SHOWN_COPIES
    text = " = ".join(names[:_SHOWN_COPIES])
    return f"{text} and {more} more" if more > 0 else text
