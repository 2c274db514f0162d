"""A small folder with PACS' lists, to be changed by a case."""

import pathlib

from tests.conftest import write_images

DOMAINS, CLASSES = "abc", ("cat", "dog")
SPLITS = {"train": range(3), "crossval": range(3, 4), "test": range(4)}


def write_lists(root, change=lambda lines, domain, split: lines):
    """Writes 4 images a class and domain, and their lists.

    Args:
        root: The folder.
        change: (lines, domain, split) -> the lines to write instead.
    """
    root = write_images(root, DOMAINS, CLASSES, 4, size=32)
    (root / "splits").mkdir()
    for domain in DOMAINS:
        for split, indices in SPLITS.items():
            lines = [
                f"{domain}/{name}/{i}.png {label}"
                for label, name in enumerate(CLASSES, 1)
                for i in indices
            ]
            text = "\n".join(change(lines, domain, split)) + "\n"
            list_path(root, domain, split).write_text(text, "utf-8")
    return root


def list_path(root, domain, split) -> pathlib.Path:
    return pathlib.Path(root) / "splits" / f"{domain}_{split}_kfold.txt"
