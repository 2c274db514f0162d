"""DIR/<domain>/<split>/<class>/<image>: which splits, and what they are for."""

import pathlib
import shutil

import pytest

from dmg_tf.data.datasets.folder import load
from dmg_tf.errors import UserError
from tests.conftest import write_images

COUNTS = {"train": 6, "Validation": 2, "TEST": 3}


def split_tree(root, domain, counts, classes=("x", "y")):
    for seed, (split, count) in enumerate(counts.items()):
        write_images(root / domain, [split], classes, count, size=8, seed=seed)
    return root


@pytest.fixture
def tree(tmp_path):
    """Three domains, two classes, three splits."""
    for domain in "abc":
        split_tree(tmp_path / "data", domain, COUNTS)
    return tmp_path / "data"


def splits_of(examples):
    return {pathlib.Path(path).parts[-3] for path in examples.paths}


def test_given_splits_are_heeded(tree):
    data = load(tree, "c")
    assert data.class_names == ("x", "y") and data.notes == ()
    assert data.counts() == {
        "train": {"a": 12, "b": 12},
        "validation": {"a": 4, "b": 4},
        "test": {"a": 6, "b": 6},
        "out_of_domain": {"c": 6},
    }
    assert splits_of(data.train) == {"train"}
    assert splits_of(data.validation) == {"Validation"}
    assert splits_of(data.test) == splits_of(data.out_of_domain) == {"TEST"}
    for part in (data.train, data.out_of_domain):
        for path, label in zip(part.paths, part.labels, strict=True):
            assert pathlib.Path(path).parts[-2] == data.class_names[label]


def test_validation_is_drawn_where_there_is_none(tree):
    shutil.rmtree(tree / "a" / "Validation")
    data = load(tree, "c", seed=1)
    assert data.counts()["train"] == {"a": 10, "b": 12}
    assert data.counts()["validation"] == {"a": 2, "b": 4}
    other = load(tree, "c", seed=2).validation.paths
    assert splits_of(data.validation) == {"train", "Validation"}
    assert data.validation.paths[:2] != other[:2]
    assert data.validation.paths[2:] == other[2:]


def test_without_a_test_split(tree):
    shutil.rmtree(tree / "a" / "TEST")
    data = load(tree, "c")
    assert data.test is None and data.in_domain_split == "validation"
    shutil.rmtree(tree / "c" / "TEST")
    assert load(tree, "c").counts()["out_of_domain"] == {"c": 16}


def test_some_domains_are_split_and_some_are_not(tree):
    write_images(tree, "d", ("x", "y"), 3, size=8)
    with pytest.raises(UserError, match="a holds splits .test, validation, tr"):
        load(tree, "c")
    with pytest.raises(UserError, match="/d none; expected DIR/<domain>/<spl"):
        load(tree, "d")
    assert load(tree, "c", ("a", "b")).source_domains == ("a", "b")


@pytest.mark.parametrize("names", [("bus", "train"), ("bus", "test", "train")])
def test_classes_called_as_splits(tmp_path, names):
    """Folders are splits only where all are called so."""
    root = write_images(tmp_path, "abc", names, 3, size=8)
    # A class may have folders of its own.
    (root / "a" / "train" / "more").mkdir()
    shutil.move(root / "a/train/0.png", root / "a/train/more/0.png")
    assert load(root, "c").class_names == names


@pytest.mark.parametrize(
    "counts,words",
    [
        ({"train": 3, "dev": 2}, "holds dev, train, which look like splits"),
        ({"train": 3, "val": 2, "Validation": 2}, "train, val, which look"),
        ({"test": 3}, "the source domain 'a' has no images for train"),
    ],
)
def test_splits_that_cannot_be_told(tmp_path, counts, words):
    for domain in "abc":
        split_tree(tmp_path, domain, counts)
    with pytest.raises(UserError, match=words):
        load(tmp_path, "c")


def test_splits_without_classes_are_refused(tmp_path):
    root = write_images(tmp_path, "abc", ("train", "test"), 3, size=8)
    with pytest.raises(UserError, match="holds test, train, which look like"):
        load(root, "c")


def test_what_lies_beside_is_told(tree):
    (tree / "a" / "notes.txt").write_text("?")
    shutil.copy(tree / "a/train/x/0.png", tree / "a/train/0.png")
    (note,) = load(tree, "c").notes
    assert "outside of a class folder ('a/train/0.png')" in note
    assert "1 file that is no image ('a/notes.txt')" in note
