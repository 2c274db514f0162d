"""DomainBed's split: the same images in the same parts."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from dmg_tf.commands import train
from dmg_tf.config import RunConfig
from dmg_tf.data.datasets import domainbed
from dmg_tf.data.datasets.domainbed import domainbed_split
from dmg_tf.errors import UserError
from dmg_tf.registry import DATASETS
from tests.conftest import write_images

# By DomainBed's definition, computed apart from the package: md5 of "(0, 0)" is
# 894182419 modulo 2**31, NumPy shuffles 0 to 11, the first two are held out.
HELD_OUT = {
    (0, 0): [2, 9],
    (0, 1): [0, 7],
    (0, 3): [8, 10],
    (1, 0): [8, 11],
    (7, 2): [3, 6],
}


@pytest.mark.parametrize("seed,domain", HELD_OUT)
def test_positions(seed, domain):
    inside, outside = domainbed_split(12, seed, domain)
    assert outside == HELD_OUT[seed, domain]
    assert sorted(inside + outside) == list(range(12))


def test_positions_in_vlcs():
    """Of Caltech101 and VOC2007, with their numbers of images."""
    for domain, count, held_out, total in (
        (0, 1415, 283, 201_752),
        (3, 3376, 675, 1_151_191),
    ):
        inside, outside = domainbed_split(count, 0, domain)
        assert (len(outside), sum(outside)) == (held_out, total)
        assert len(inside) == count - held_out


@pytest.fixture
def tree(tmp_path):
    """Four domains of 12 images; one class has folders of its own."""
    root = write_images(tmp_path / "data", "abcd", ("x", "y"), 6, size=8)
    for domain in "abcd":
        folder = root / domain / "x"
        for name in ("-/0.png", "1/2.png", "1/3.png"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.move(folder / name.partition("/")[2], folder / name)
    return root


def image_folder(root):
    """Returns the images of a domain in the order of `ImageFolder`."""
    return [
        os.path.join(folder, name)
        for label in sorted(os.listdir(root))
        for folder, _, names in sorted(os.walk(root / label))
        for name in sorted(names)
    ]


def test_each_part_is_domainbeds_to_the_image(tree):
    order = {domain: image_folder(tree / domain) for domain in "abcd"}
    x = [os.path.relpath(path, tree / "a" / "x") for path in order["a"][:6]]
    assert x == ["1.png", "4.png", "5.png", "-/0.png", "1/2.png", "1/3.png"]
    data = domainbed.load(DATASETS["folder"], tree, "d", ("b", "a"))
    held_out = {
        domain: {order[domain][i] for i in HELD_OUT[0, number]}
        for domain, number in (("a", 0), ("b", 1), ("d", 3))
    }
    assert data.source_domains == ("b", "a") and data.target_domain == "d"
    for domain_id, domain in enumerate(("b", "a")):
        for split, images in (
            ("validation", held_out[domain]),
            ("train", set(order[domain]) - held_out[domain]),
        ):
            examples = getattr(data, split)
            own = examples.select(
                np.flatnonzero(examples.domain_ids == domain_id)
            )
            assert set(own.paths) == images and len(own) == len(images)
    assert set(data.out_of_domain.paths) == set(order["d"]) - held_out["d"]
    assert set(data.out_of_domain.domain_ids) == {-1}
    assert data.test is None and data.in_domain_split == "validation"
    assert data.notes == (
        "split as DomainBed does: of d, 10 images (80 %) are scored and 2 are "
        "not used",
    )
    for examples in (data.train, data.out_of_domain):
        for path, label in zip(examples.paths, examples.labels, strict=True):
            class_name = pathlib.Path(path).relative_to(tree).parts[1]
            assert data.class_names[label] == class_name


def test_own_splits_and_lists_do_not_matter(tree):
    """A table of the same images, with another split, gives the same parts."""
    table = tree.parent / "data.csv"
    rows = ["path,label,domain,split"]
    for domain in "dbca":
        for i, path in enumerate(reversed(image_folder(tree / domain))):
            label = pathlib.Path(path).relative_to(tree).parts[1]
            split = ("train", "val", "test")[i % 3]
            rows.append(f"{path},{label},{domain},{split}")
    table.write_text("\n".join(rows))
    for target in ("c", None):
        one = domainbed.load(DATASETS["folder"], tree, target, seed=5)
        two = domainbed.load(DATASETS["image_table"], table, target, seed=5)
        for split in ("train", "validation", "out_of_domain"):
            assert getattr(one, split).paths == getattr(two, split).paths
    assert one.counts()["train"] == dict.fromkeys("abcd", 10)
    assert len(one.out_of_domain) == 0 and one.notes == ()


@pytest.mark.parametrize("name", ["pacs", "domainnet"])
def test_datasets_with_lists_are_split_as_folders(originals, name):
    root = originals / name
    lists = domainbed.load(DATASETS[name], root, "photo", seed=2)
    folders = domainbed.load(DATASETS["folder"], root, "photo", seed=2)
    for split in ("train", "validation", "out_of_domain"):
        one, two = getattr(lists, split), getattr(folders, split)
        assert one.paths == two.paths
        np.testing.assert_array_equal(one.labels, two.labels)


def test_classes_of_the_target_alone(tree):
    (tree / "d" / "x").rename(tree / "d" / "z")
    data = domainbed.load(DATASETS["folder"], tree, "d")
    assert data.class_names == ("x", "y") and data.unknown_classes == {"z": 6}
    # `z` comes behind `y`: 8 and 10 of 12 are of it.
    assert len(data.out_of_domain) == 6
    for number in range(6):
        (tree / "c" / "y" / f"{number}.png").unlink()
    notes = domainbed.load(DATASETS["folder"], tree, "c").notes
    assert not any("c has no image" in note for note in notes)


def test_too_few_images(tmp_path):
    root = write_images(tmp_path, "abc", ("x", "y"), 2, size=8)
    with pytest.raises(UserError, match="'a' has 4 images, and --split domain"):
        domainbed.load(DATASETS["folder"], root, "c")


def test_the_setting(tree, tmp_path):
    before = RunConfig(target="d", data=str(tree), dataset="folder")
    assert before.split == "given"
    # A run of before there was the setting.
    older = {k: v for k, v in before.to_json().items() if k != "split"}
    assert RunConfig.from_json(older) == before
    given = before.resolve("folder").list_images()
    assert given.counts() == DATASETS["folder"].load(tree, "d").counts()
    other = before.replace(split="domainbed", seed=1).resolve("folder")
    assert other.list_images().counts()["validation"] == dict.fromkeys("abc", 2)
    assert json.loads(json.dumps(other.to_json()))["split"] == "domainbed"


def test_the_flag(tree, tmp_path, capsys):
    argv = ["--data", str(tree), "--target", "d", "--split", "domainbad"]
    assert train.main(argv) == 2
    line = capsys.readouterr().err
    assert "unknown --split 'domainbad'" in line and "given" in line
