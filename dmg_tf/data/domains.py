"""Which domains a dataset has, before one of them is held out."""

import pathlib

from dmg_tf.data import detect_dataset
from dmg_tf.data.datasets.folder import subfolders
from dmg_tf.data.datasets.lists import (
    DOMAINNET_SUFFIX,
    PACS_SUFFIX,
    _listed_domains,
)
from dmg_tf.errors import UserError


def domain_names(dataset: str, root: str | None) -> tuple[str, ...]:
    """Returns the domains' names in alphabetical order; opens no image.

    Args:
        dataset: Name in `DATASETS`, or "auto".
        root: The folder of the data; None for the built-in dataset.

    Raises:
        UserError: If the folder is missing or holds no domains.
    """
    dataset = detect_dataset(dataset, root)
    if dataset == "shapes":
        # Drawing the pictures needs more than their names.
        from dmg_tf.data.shapes.dataset import DOMAINS

        return DOMAINS
    if dataset == "pacs":
        splits = pathlib.Path(root) / "splits"
        return tuple(_listed_domains(splits, PACS_SUFFIX))
    if dataset == "domainnet":
        return tuple(_listed_domains(pathlib.Path(root), DOMAINNET_SUFFIX))
    names = tuple(subfolders(root))
    if not names:
        raise UserError(
            f"{root} has no folders; expected DIR/<domain>/<class>/<image>"
        )
    return names
