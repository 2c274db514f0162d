"""Data whose classes or domains changed since a run was started on it.

A run that goes on would put new names on outputs that learned other classes, or
end in a traceback where their number changed.
"""

import shutil

from tests.cases.colours import write_classes

COLOURS = {"cat": (200, 40, 40), "dog": (40, 200, 40), "owl": (40, 40, 200)}


def build(root):
    """Writes DIR/<domain>/<class>/, domains a, b, c."""
    write_classes(root, "abc", COLOURS)


def rename_class(root):
    """Calls `cat` `zebra`: as many classes, in another order."""
    for domain in "abc":
        (root / domain / "cat").rename(root / domain / "zebra")


def add_class(root):
    """Adds `ant`."""
    write_classes(root, "abc", {"ant": (90, 90, 90)})


def remove_class(root):
    """Removes `owl`."""
    for domain in "abc":
        shutil.rmtree(root / domain / "owl")


def exchange_class(root):
    """Takes `dog` away and adds `elk`, which has its place in the order."""
    for domain in "abc":
        (root / domain / "dog").rename(root / domain / "elk")


def add_domain(root):
    """Adds the source domain `d`."""
    write_classes(root, "d", COLOURS)


def rename_domain(root):
    """Calls the source domain `a` `z`."""
    (root / "a").rename(root / "z")


# {what is done: (function, names that the run had, names that the data has)}
CHANGES = {
    "class renamed": (rename_class, "cat, dog, owl", "dog, owl, zebra"),
    "class added": (add_class, "cat, dog, owl", "ant, cat, dog, owl"),
    "class removed": (remove_class, "cat, dog, owl", "cat, dog"),
    "class exchanged": (exchange_class, "cat, dog, owl", "cat, elk, owl"),
    "domain added": (add_domain, "a, b", "a, b, d"),
    "domain renamed": (rename_domain, "a, b", "b, z"),
}
