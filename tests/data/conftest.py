"""Sound datasets of each layout, and copies of them to be damaged."""

import shutil

import pytest

from tests.conftest import write_images
from tests.data.check.damage import CLASSES, DOMAINS, write_list


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """A sound dataset of each layout: 10 images a class and domain."""
    root = tmp_path_factory.mktemp("sound")
    # Other seeds, other pixels: no two files are alike.
    for seed, layout in enumerate(("folder", "pacs", "domainnet")):
        write_images(root / layout, DOMAINS, CLASSES, 10, size=40, seed=seed)
    (root / "pacs" / "splits").mkdir()
    for domain in DOMAINS:
        for split, indices in (
            ("train", range(8)),
            ("crossval", range(8, 10)),
            ("test", range(10)),
        ):
            path = f"splits/{domain}_{split}_kfold.txt"
            write_list(root / "pacs" / path, domain, indices, 1)
        for split, indices in (("train", range(8)), ("test", range(8, 10))):
            path = root / "domainnet" / f"{domain}_{split}.txt"
            write_list(path, domain, indices, 0)
    return root


@pytest.fixture
def copy_of(originals, tmp_path):
    """Copies one of the datasets, to be damaged."""

    def copy(layout):
        return shutil.copytree(originals / layout, tmp_path / "data")

    return copy
