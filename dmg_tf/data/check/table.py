"""A table of images: everything that is wrong with it."""

import os
import pathlib

import numpy as np

from dmg_tf.data.check.folder import Inventory, report_same_files
from dmg_tf.data.check.problems import Problems
from dmg_tf.data.datasets.spec import SPLITS, TRAIN
from dmg_tf.data.datasets.table import scan


def scan_table(path: pathlib.Path, problems: Problems) -> Inventory:
    """Reads a table to its end.

    Args:
        path: The table.
        problems: Where to report what is wrong.

    Returns:
        The images that it names and that are there.
    """
    rows = []
    for row, problem in scan(path):
        if problem:
            before = os.path.join(path.parent, "")
            problems.add(problem.kind, problem.message.replace(before, ""))
        elif row:
            rows.append(row)
    domains = sorted({row.domain for row in rows})
    class_names = sorted({row.label for row in rows})
    inventory = Inventory(
        tuple(domains),
        tuple(class_names),
        SPLITS,
        [row.path.replace(os.sep, "/") for row in rows],
        _numbers([row.domain for row in rows], domains),
        _numbers([row.label for row in rows], class_names),
        np.asarray(
            [SPLITS.index(row.split or TRAIN) for row in rows], np.int32
        ),
    )
    inventory.count()
    report_same_files(path.parent, inventory, problems, homes={})
    return inventory


def _numbers(names, known) -> np.ndarray:
    number_of = {name: number for number, name in enumerate(known)}
    return np.asarray([number_of[name] for name in names], np.int32)
