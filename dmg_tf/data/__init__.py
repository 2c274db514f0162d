"""Datasets by name. Importing this package loads no TensorFlow."""

import pathlib

from dmg_tf.errors import UserError
from dmg_tf.registry import DATASETS

DATASETS.register("shapes", "dmg_tf.data.shapes.dataset:load")
DATASETS.register("pacs", "dmg_tf.data.datasets.lists:load_pacs")
DATASETS.register("domainnet", "dmg_tf.data.datasets.lists:load_domainnet")
DATASETS.register("folder", "dmg_tf.data.datasets.folder:load")


def detect_dataset(dataset: str, root: str | None) -> str:
    """Returns the dataset's name that "auto" stands for.

    Args:
        dataset: Name in `DATASETS`, or "auto".
        root: The folder of the data; None for the built-in dataset.

    Raises:
        UserError: If folder and dataset do not go together, or it is missing.
    """
    if root is None:
        if dataset not in ("auto", "shapes"):
            raise UserError(f"--dataset {dataset} needs its folder: --data DIR")
        return "shapes"
    if dataset == "shapes":
        raise UserError(
            f"--dataset shapes is built in and takes no --data, got {root}"
        )
    folder = pathlib.Path(root)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(
            f"--data {root} {what}; expected a folder of domains, "
            "DIR/<domain>/<class>/<image>"
        )
    if dataset != "auto":
        return dataset
    if any((folder / "splits").glob("*_train_kfold.txt")):
        return "pacs"
    if any(folder.glob("*_train.txt")):
        return "domainnet"
    return "folder"
