"""Datasets by name. Importing this package loads no TensorFlow."""

import os
import pathlib

from dmg_tf.errors import UserError
from dmg_tf.registry import DATASETS

# Of files that are tables of images.
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")

DATASETS.register("shapes", "dmg_tf.data.shapes.spec:SPEC")
DATASETS.register("image_table", "dmg_tf.data.datasets.table:SPEC")
DATASETS.register("pacs", "dmg_tf.data.datasets.pacs:SPEC")
DATASETS.register("domainnet", "dmg_tf.data.datasets.domainnet:SPEC")
DATASETS.register("vlcs", "dmg_tf.data.datasets.vlcs:SPEC")
DATASETS.register("office_home", "dmg_tf.data.datasets.office_home:SPEC")
DATASETS.register(
    "terra_incognita", "dmg_tf.data.datasets.terra_incognita:SPEC"
)
DATASETS.register("folder", "dmg_tf.data.datasets.folder:SPEC")


def detect_dataset(dataset: str, root: str | None) -> str:
    """Returns the dataset's name that "auto" stands for.

    Args:
        dataset: Name in `DATASETS`, or "auto".
        root: The folder of the data; None for the built-in dataset.

    Raises:
        UserError: If folder and dataset do not go together, or it is missing.
    """
    if root is None:
        return _without_folder(dataset)
    if dataset != "auto" and DATASETS[dataset].built_in:
        raise UserError(
            f"--dataset {dataset} is built in and takes no --data, got {root}"
        )
    folder = check_data(root, "--data ")
    if dataset != "auto":
        return dataset
    for name in DATASETS.names():
        if DATASETS[name].recognises(folder):
            return name
    return next(name for name in DATASETS.names() if DATASETS[name].fallback)


def why_dataset(dataset: str, root: str | None) -> str:
    """Returns why a folder is read as a dataset, and how to read it otherwise.

    Args:
        dataset: What `detect_dataset` found.
        root: The folder.

    Returns:
        A line; "" where a folder has nothing that looks like lists.
    """
    if root is None:
        return ""
    folder = pathlib.Path(root)
    fallback = next(n for n in DATASETS.names() if DATASETS[n].fallback)
    layout = DATASETS[dataset].layout
    if layout is not None:
        path = layout.evidence(folder)
        reason = f" because of {path.relative_to(folder)}" if path else ""
        return (
            f"{root} is read as {DATASETS[dataset].title}{reason}; --dataset "
            f"{fallback} reads its folders"
        )
    if not DATASETS[dataset].fallback:
        return ""
    for name in DATASETS.names():
        other = DATASETS[name].layout
        strays = other.strays(folder) if other else []
        if strays:
            return (
                f"{root} is read as folders: {strays[0].relative_to(folder)} "
                f"names no image of a domain; --dataset {name} reads lists"
            )
    return ""


def check_data(root: str | pathlib.Path, flag: str = "") -> pathlib.Path:
    """Returns the path of a dataset: its folder, or its table.

    Args:
        root: The folder or table.
        flag: What stands before it in the error.

    Raises:
        UserError: If there is no such folder or table.
    """
    if is_table(root) and os.path.exists(root):
        return pathlib.Path(root)
    return check_folder(root, flag)


def is_table(root: str | pathlib.Path) -> bool:
    """Returns whether a path is called as tables are, and is no folder."""
    suffix = pathlib.Path(root).suffix.lower()
    return suffix in TABLE_SUFFIXES and not os.path.isdir(root)


def image_root(root: str | None) -> str | None:
    """Returns the folder that names of images start from.

    Args:
        root: The dataset's folder, or its table; None for the built-in data.
    """
    return os.path.dirname(root) if root and is_table(root) else root


def check_folder(root: str | pathlib.Path, flag: str = "") -> pathlib.Path:
    """Returns the path of a dataset's folder, if it is one.

    Args:
        root: The folder.
        flag: What stands before it in the error.

    Raises:
        UserError: If there is no such folder.
    """
    folder = pathlib.Path(root)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(
            f"{flag}{root} {what}; expected a folder of domains, "
            "DIR/<domain>/<class>/<image>, or a table "
            f"({', '.join(TABLE_SUFFIXES)}) with path, label and domain"
        )
    return folder


def _without_folder(dataset: str) -> str:
    if dataset == "auto":
        # The first one registered, which must not load the others.
        return next(n for n in DATASETS.names() if DATASETS[n].built_in)
    if not DATASETS[dataset].built_in:
        raise UserError(f"--dataset {dataset} needs its folder: --data DIR")
    return dataset


def readable_as() -> tuple[str, ...]:
    """Returns the datasets that a folder can be read as, "auto" first."""
    return ("auto", *(n for n in DATASETS.names() if not DATASETS[n].built_in))
