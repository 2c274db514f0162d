"""Whether there are domains enough, and every class in each of them."""

import numpy as np

from dmg_tf.data.check.folder import Inventory
from dmg_tf.data.check.problems import Problems

# Two to learn from, one to hold out.
MIN_DOMAINS = 3
# Classes of a domain to name in one line.
_SHOWN = 5


def report_classes(
    inventory: Inventory, problems: Problems, complete: bool
) -> None:
    """Reports domains and classes that training would miss.

    Args:
        inventory: The images by domain, class and split.
        problems: Where to report.
        complete: Whether training wants every class in every domain.
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
    _report_missing(
        "missing_class",
        inventory,
        by_split["train"],
        True if complete else nowhere,
        problems,
    )
    if not complete:
        _report_missing(
            "missing_in_train",
            inventory,
            by_split["train"],
            ~nowhere,
            problems,
        )
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


def _with_double(name: str, row, names) -> str:
    """Names a class, and one of the domain that is it by another spelling."""
    for other, count in zip(names, row, strict=True):
        if count and other != name and _plain(other) == _plain(name):
            return f"{name} (but it has {other})"
    return name


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
