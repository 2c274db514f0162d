"""The images of one domain's folder: by class, or by split and class."""

import os
from collections.abc import Iterable, Mapping, Sequence

from dmg_tf.data.datasets.spec import SPLIT_NAMES
from dmg_tf.data.datasets.walk import Walk
from dmg_tf.data.names import are_splits, nfc
from dmg_tf.errors import UserError

# {class: images}, paths relative to the dataset's folder.
Classes = dict[str, list[str]]
# {split: classes}; the split is "" where a domain is not split.
Splits = dict[str, Classes]
# Have images of the other splits once more: VLCS' `full` is its train and
# crossval together.
_AGAIN = frozenset({"full", "all", "trainval", "train_val"})


def list_domain(walk: Walk, folder: str) -> Classes:
    """Returns {class: paths of its images, relative to the dataset's folder}.

    Args:
        walk: Of the dataset; gets what is left out.
        folder: The domain's.

    Raises:
        UserError: If it can't be read.
    """
    images: Classes = {}
    for name in _folders(walk, folder):
        path = f"{folder}/{name}"
        found = [f"{path}/{image}" for image in walk.images(path)]
        if found:
            # A name in two Unicode forms is one class.
            images.setdefault(nfc(name), []).extend(found)
        else:
            walk.left_out.add("empty_class", f"{path}/")
    return images


def list_splits(walk: Walk, folder: str) -> Splits:
    """Returns {split: {class: images}} of DIR/<domain>/<split>/<class>/<image>.

    A domain is split where all of its folders are called as splits are, and one
    of them holds folders. A split that has the images of others once more is
    left out.

    Args:
        walk: Of the dataset; gets what is left out.
        folder: The domain's.

    Returns:
        Splits are called "train", "validation" and "test"; {"": {class:
        images}} of DIR/<domain>/<class>/<image>.

    Raises:
        UserError: If it can't be read.
    """
    # What lies beside the folders is left out, once.
    names = _folders(Walk(walk.root), folder)
    if not _hold_classes(walk, folder, names):
        return {"": list_domain(walk, folder)}
    splits: Splits = {}
    for name in _folders(walk, folder):
        if name.casefold() in _AGAIN:
            walk.left_out.add("again", f"{folder}/{name}/")
        else:
            split = SPLIT_NAMES[name.casefold()]
            splits[split] = list_domain(walk, f"{folder}/{name}")
    return splits


def _hold_classes(walk: Walk, folder: str, names: Sequence[str]) -> bool:
    """Returns whether folders are splits that can be told, with classes."""
    words = [name.casefold() for name in names]
    told = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    if not told or len(set(told)) < len(told):
        return False
    if any(word not in SPLIT_NAMES and word not in _AGAIN for word in words):
        return False
    aside = Walk(walk.root)
    return any(_folders(aside, f"{folder}/{name}") for name in names)


def _folders(walk: Walk, folder: str) -> list[str]:
    try:
        return walk.folders(folder)
    except OSError as error:
        raise UserError(
            f"cannot read the folder {os.path.join(walk.root, folder)}: "
            f"{error.strerror or error}"
        ) from error


def together(splits: Splits) -> Classes:
    """Returns {class: images} of all splits of a domain."""
    images: Classes = {}
    for classes in splits.values():
        for name, paths in classes.items():
            images.setdefault(name, []).extend(paths)
    return images


def mixed_in_words(where: str, splits: Mapping[str, Splits]) -> str:
    """Returns what is wrong if some domains are split and some are not.

    Args:
        where: The dataset's folder.
        splits: {domain: its images}.

    Returns:
        A line; "" where all are alike.
    """
    whole = [domain for domain, of in splits.items() if "" in of]
    split = [domain for domain, of in splits.items() if "" not in of]
    if not (whole and split):
        return ""
    return (
        f"{os.path.join(where, split[0])} holds splits "
        f"({', '.join(splits[split[0]])}) and {os.path.join(where, whole[0])} "
        "none; expected DIR/<domain>/<split>/<class>/<image> in all domains, "
        "or DIR/<domain>/<class>/<image> in all"
    )


def holds_splits(listing: Mapping[str, Sequence[str]]) -> bool:
    """Returns whether a domain holds splits that can't be told as such.

    Args:
        listing: Its images by what should be classes.
    """
    if not are_splits(tuple(listing)):
        return False
    nested = all(
        image.count("/") > 2 for images in listing.values() for image in images
    )
    return nested or len(listing) > 1


def splits_in_words(where: str, names: Iterable[str]) -> str:
    """Returns what is wrong with a domain that holds such splits."""
    return (
        f"{where} holds {', '.join(names)}, which look like splits, not "
        "classes; expected DIR/<domain>/<class>/<image>, or class folders in "
        "DIR/<domain>/train, val and test"
    )
