"""Whether there are domains enough, and which lack a class."""

import numpy as np

from dmg_tf.data.check.folder import Inventory
from dmg_tf.data.check.problems import Problems
from dmg_tf.data.names import double_of

# Two to learn from, one to hold out.
MIN_DOMAINS = 3
# Classes of a domain to name in one line.
_SHOWN = 5


def report_classes(
    inventory: Inventory, problems: Problems, by_folder: bool
) -> None:
    """Reports domains and classes that training would miss.

    Args:
        inventory: The images by domain, class and split.
        problems: Where to report.
        by_folder: Whether folders alone say what a class is, so that another
            spelling makes another one.
    """
    domains, names = inventory.domains, inventory.class_names
    if not inventory.names:
        problems.add("no_images", "no image was found for any class")
        return
    if len(domains) < MIN_DOMAINS:
        problems.add("few_domains", f"only {', '.join(domains)}")
    if len(names) == 1:
        problems.add("one_class", f"only {names[0]}")
    images = inventory.images()
    by_split = dict(
        zip(inventory.splits, np.moveaxis(inventory.counts, -1, 0), strict=True)
    )
    learned = by_split["train"] > 0
    # What training lacks too is said once, and so is what has one image only.
    nowhere = ~learned.any(axis=0)
    ends = np.broadcast_to(nowhere, learned.shape)
    if by_folder:
        ends = ends | _other_spelling(learned, names)
    train = by_split["train"]
    _report_missing("missing_class", inventory, train, ends, problems)
    _report_missing("missing_in_train", inventory, train, ~ends, problems)
    several = learned & (images > 1)
    _report_missing(
        "missing_in_validation",
        inventory,
        by_split["validation"],
        several,
        problems,
    )
    if "test" in by_split:
        _report_missing(
            "missing_in_test", inventory, by_split["test"], learned, problems
        )
    for domain, label in np.argwhere(images == 1):
        problems.add("single_image", f"{domains[domain]}: {names[label]}")


def _report_missing(kind, inventory, counts, expected, problems) -> None:
    """Reports classes that should have images in a split and have none."""
    names = inventory.class_names
    lacking = (counts == 0) & expected
    for domain, row, missing in zip(
        inventory.domains, counts, lacking, strict=True
    ):
        # A split without any image has lost its list, which is reported.
        if row.any() and missing.any():
            lost = [names[i] for i in np.flatnonzero(missing)]
            shown = ", ".join(
                _with_double(name, row, names) for name in lost[:_SHOWN]
            )
            more = len(lost) - _SHOWN
            shown += f" and {more} more" if more > 0 else ""
            problems.add(kind, f"{domain}: {shown}", len(lost))


def _other_spelling(present, names) -> np.ndarray:
    """Returns which domain has which class by another spelling, bool [D, C]."""
    return np.asarray(
        [
            [bool(double_of(name, _held(row, names))) for name in names]
            for row in present
        ]
    )


def _with_double(name: str, row, names) -> str:
    """Names a class, and one of the domain that is it by another spelling."""
    double = double_of(name, _held(row, names))
    return f"{name} (but it has {double})" if double else name


def _held(row, names) -> list[str]:
    return [name for name, count in zip(names, row, strict=True) if count]
