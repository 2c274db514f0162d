"""Datasets whose numbers are known: told by their domains, and counted."""

import pytest

from dmg_tf.config import RunConfig
from dmg_tf.data import detect_dataset
from dmg_tf.data.check.dataset import check_dataset
from dmg_tf.data.datasets.folder import load
from dmg_tf.data.datasets.published import Published
from dmg_tf.registry import DATASETS
from tests.conftest import write_images
from tests.data.check.checking import problems_of

SETS = {
    "vlcs": (
        10_729,
        5,
        ("Caltech101", "LabelMe", "SUN09", "VOC2007"),
        ("CALTECH", "LABELME", "PASCAL", "SUN"),
    ),
    "office_home": (
        15_588,
        65,
        ("Art", "Clipart", "Product", "Real World"),
        ("Art", "Clipart", "Product", "Real_World"),
        ("art", "clipart", "product", "real_world"),
    ),
    "terra_incognita": (
        24_788,
        10,
        ("location_100", "location_38", "location_43", "location_46"),
        ("L100", "L38", "L43", "L46"),
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_each_is_told_by_its_domains(name, tmp_path):
    total, classes, *copies = SETS[name]
    published = DATASETS[name].published
    assert sum(published.images.values()) == total
    assert published.classes == classes
    for i, domains in enumerate(copies):
        root = tmp_path / str(i)
        for domain in domains:
            (root / domain).mkdir(parents=True)
        (root / "ImageInfo.csv").write_text("")
        assert detect_dataset("auto", str(root)) == name
        (root / domains[0]).rename(root / "photo")
        assert detect_dataset("auto", str(root)) == "folder"
        (root / domains[0]).mkdir()
        assert detect_dataset("auto", str(root)) == "folder"


SMALL = Published(
    title="Small", images={("a",): 4, ("b b", "B"): 4, ("c",): 4}, classes=2
)


def test_numbers_are_compared(tmp_path):
    root = write_images(tmp_path, ("a", "B_B", "c"), ("x", "y"), 2, size=8)
    assert load(root, "c", published=SMALL).notes == ()
    (root / "c" / "x" / "0.png").unlink()
    assert load(root, "c", published=SMALL).notes == (
        "not as Small was published: c has 3 images, not 4",
    )
    assert load(root, None, ["a"], published=SMALL).notes == ()
    for domain in ("a", "B_B", "c"):
        (root / domain / "y").rename(root / domain / "z")
    write_images(root, ("d",), ("y", "z"), 2, size=8)
    assert (
        load(root, "d", published=SMALL)
        .notes[0]
        .endswith(
            "c has 3 images, not 4; d is none of its domains; 3 classes, not 2"
        )
    )


def test_a_run_tells_what_differs(tmp_path):
    domains = ("Art", "Clipart", "Product", "Real World")
    root = write_images(tmp_path, domains, ("Bed", "Pan"), 2, size=8)
    config = RunConfig(target="Art", data=str(root)).resolve(
        detect_dataset("auto", str(root))
    )
    assert config.list_images().notes == (
        "not as Office-Home was published: Clipart has 4 images, not 4,365; "
        "Product has 4 images, not 4,439; Real World has 4 images, not 4,357; "
        "Art has 4 images, not 2,427; 2 classes, not 65",
    )
    kinds = problems_of(check_dataset(root, "folder", fast=True))
    assert "other_counts" not in kinds
