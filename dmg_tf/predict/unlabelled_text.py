"""What a model says of images without labels, for a terminal."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from dmg_tf.console.printable import say
from dmg_tf.console.tables import Room
from dmg_tf.evaluation.metrics.intervals import percent, wilson
from dmg_tf.predict.table import counted

# Rows of the table of classes.
_CLASSES = 30


def show_unlabelled(found: Mapping[str, Any]) -> None:
    """Prints what `evaluate_unlabelled` returned, and where it is written."""
    room = Room.here()
    room.say(unlabelled_text(found, room))
    table = pathlib.Path(found["predictions_file"])
    # Not broken into lines: they are to be copied.
    say(f"\npredictions: {table}\nnumbers:     {table.with_suffix('.json')}")


def unlabelled_text(found: Mapping[str, Any], room: Room | None = None) -> str:
    """Renders shares of the classes, how sure it is, and of what it is least.

    Args:
        found: What `evaluate_unlabelled` returned.
        room: What it is written on; None for 80 columns without bold.

    Returns:
        Text of several lines; shares in percent.
    """
    room = room or Room()
    rule = found["prediction_rule"]["title"]
    images = counted(found["images"], "image")
    lines = [
        room.text(f"{found['site']}: {images}, predicted by {rule}", "bold"),
        room.text(
            "There are no labels, so no accuracy is measured: no folder is "
            "called as a class of the model."
        ),
    ]
    if found["unreadable"]:
        files = counted(len(found["unreadable"]), "file")
        lines.append(
            room.text(
                f"caution: {files} could not be read, see the column error",
                "yellow",
            )
        )
    lines += [
        "",
        room.text("Predicted classes (%)"),
        _classes(found, room),
        "",
        room.text("How sure it is (%)"),
        _sureness(found, room),
        room.text(_estimate(found)),
        "",
        room.text("The most doubtful pictures, least sure first"),
        _doubtful(found, room),
    ]
    return "\n".join(lines)


def _classes(found, room) -> str:
    """Renders the share of each class that is predicted at all."""
    here, sources = found["predicted"], found["sources"]
    there = sources["predicted"] if sources else [0] * len(here)
    order = sorted(
        (i for i in range(len(here)) if here[i] or there[i]),
        key=lambda i: (-here[i], -there[i], i),
    )
    rows = []
    for i in order[:_CLASSES]:
        row = [found["class_names"][i], f"{here[i]:,}"]
        row.append(_share(here[i] / found["images"], found["images"]))
        if sources:
            row.append(_share(there[i] / sources["images"], sources["images"]))
        rows.append(row)
    head = ["class", "images", "share", *_sources_head(sources)]
    text = room.table(head, rows)
    if len(order) > _CLASSES:
        text += "\n" + room.text(f"and {len(order) - _CLASSES} more")
    return text


def _sources_head(sources) -> list[str]:
    return [f"sources, {sources['split']}"] if sources else []


def _sureness(found, room) -> str:
    sources, part = found["sources"], found["part"]
    images = found["images"]

    def row(name, share, known=None):
        cells = [name, _share(share, images)]
        if sources:
            measured = known is not None
            cells.append(_share(known, sources["images"]) if measured else "-")
        return cells

    rows = [row("mean probability of the class", found["mean_probability"])]
    if part:
        rows += [
            row(f"mean agreement of the {part}s", found["agreement"]),
            row(f"the {part}s name different classes", found["disputed"]),
        ]
    for rate, share in found["undecided"].items():
        known = sources and sources["undecided"].get(rate)
        wanted = f"{100 * float(rate):g}"
        rows.append(
            row(f"left undecided for at most {wanted} % errors", share, known)
        )
    return room.table(["", "here", *_sources_head(sources)], rows)


def _estimate(found) -> str:
    """Says what accuracy its own probabilities stand for, and what of it."""
    share = _share(found["estimated_accuracy"], found["images"])
    text = (
        f"Estimate, not a measurement: about {share} % are right if it is "
        "right as often as it says. On a domain that it has never seen that "
        "is optimistic: there it is usually wrong more often than it says."
    )
    if not found["calibrated"]:
        text += " Its probabilities are not calibrated."
    if found["sources"]:
        known = found["sources"]
        measured = _share(known["accuracy"], known["images"])
        text += f" On the sources {measured} % are right, as measured."
    return text


def _doubtful(found, room) -> str:
    rows = []
    for picture in found["most_doubtful"]:
        path = os.path.relpath(picture["path"], found["data"])
        pairs = zip(picture["classes"], picture["probabilities"], strict=True)
        rows.append(
            [path, ", ".join(f"{name} {100 * p:.0f} %" for name, p in pairs)]
        )
    return room.table(["picture", "leading classes"], rows, labels=2)


def _share(share, count) -> str:
    return percent(share, wilson(share, count))
