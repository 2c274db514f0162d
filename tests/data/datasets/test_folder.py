import os
import shutil

import numpy as np
import pytest

from dmg_tf.data import detect_dataset
from dmg_tf.data.datasets.folder import load, split_by_seed
from dmg_tf.data.domains import pick_domains
from dmg_tf.errors import UserError
from tests.conftest import write_images


@pytest.fixture
def own_folder(tiny_folder, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(tiny_folder, tmp_path / "data")
    return tmp_path / "data"


def test_counts_labels_and_domains(tiny_folder):
    data = load(tiny_folder, "b")
    assert data.source_domains == ("a", "c") and data.class_names == (
        "x",
        "y",
        "z",
    )
    assert data.counts() == {
        "train": {"a": 33, "c": 33},
        "validation": {"a": 3, "c": 3},
        "out_of_domain": {"b": 36},
    }
    for examples, ids in (
        (data.train, {"a": 0, "c": 1}),
        (data.validation, {"a": 0, "c": 1}),
        (data.out_of_domain, {"b": -1}),
    ):
        for path, label, domain_id in zip(
            examples.paths, examples.labels, examples.domain_ids, strict=True
        ):
            domain, name = path.split(os.sep)[-3:-1]
            assert data.class_names[label] == name and ids[domain] == domain_id
    assert data.in_domain_split == "validation"
    assert not set(data.train.paths) & set(data.validation.paths)


def test_split_is_stratified_seeded_and_the_same_everywhere():
    names = [f"photo/dog/{i}.jpg" for i in range(100)]
    train, held = split_by_seed(names, 0)
    assert len(held) == 10 and sorted(train + held) == list(range(100))
    # fixed by SHA-256, on every machine and in every release
    assert held[:4] == [14, 22, 29, 50]
    assert split_by_seed(names, 1)[1] != held
    # an added image moves at most one other
    moved = set(held) ^ set(split_by_seed([*names, "photo/dog/new.jpg"], 0)[1])
    assert len(moved - {100}) <= 2
    assert split_by_seed(["one"], 0) == ([0], [])
    assert [len(part) for part in split_by_seed(["a", "b"], 0)] == [1, 1]


def test_sources_can_be_chosen_and_ordered(tiny_folder):
    data = load(tiny_folder, "a", ["c", "b"])
    assert data.source_domains == ("c", "b")
    first = data.train.paths[int(np.argmin(data.train.domain_ids))]
    assert f"{os.sep}c{os.sep}" in first


def test_files_that_are_no_images_are_counted(own_folder):
    (own_folder / "a" / "x" / "notes.txt").write_text("?")
    (own_folder / "a" / "x" / ".hidden.png").write_text("?")
    data = load(own_folder, "b")
    assert data.counts()["train"]["a"] == 33
    assert data.notes == (
        "left out: 1 file that is no image ('a/x/notes.txt'), 1 hidden "
        "('a/x/.hidden.png')",
    )


def test_images_in_subfolders_count(own_folder):
    (own_folder / "a" / "x" / "more").mkdir()
    shutil.copy(own_folder / "a/x/0.png", own_folder / "a/x/more/0.png")
    assert sum(load(own_folder, "b").counts()["train"].values()) == 67


@pytest.mark.parametrize(
    "target,sources,match",
    [
        ("d", None, "unknown domain in .*'d'; known: a, b, c"),
        ("a", ["b", "sketc"], "unknown domain .*'sketc'"),
        ("a", ["a", "b"], "target 'a' is among the sources"),
        ("a", ["b", "b"], "given twice"),
    ],
)
def test_domains_that_cannot_be(tiny_folder, target, sources, match):
    with pytest.raises(UserError, match=match):
        load(tiny_folder, target, sources)


def test_nearest_domain_is_named():
    with pytest.raises(UserError, match="Did you mean 'sketch'"):
        pick_domains(["photo", "cartoon", "sketch"], "sketsh", None, "x")


def test_damaged_folders(own_folder, tmp_path):
    (own_folder / "a" / "y").rename(own_folder / "a" / "Y")
    for target in ("b", "a"):
        with pytest.raises(
            UserError, match="of class '[yY]', but it has '[yY]'"
        ):
            load(own_folder, target)
    shutil.rmtree(own_folder / "a" / "Y")
    (own_folder / "d" / "x").mkdir(parents=True)
    note = load(own_folder, "a").notes[0]
    assert note == "left out: 1 folder without images ('d/')"
    with pytest.raises(UserError, match="domain 'd' has no images"):
        load(own_folder, "d")
    with pytest.raises(UserError, match="has no folders"):
        load(own_folder / "d" / "x", "b")
    with pytest.raises(UserError, match="no folder of .* holds an image"):
        load(own_folder / "d", "b")


def test_a_source_may_lack_a_class(own_folder):
    shutil.rmtree(own_folder / "a" / "y")
    data = load(own_folder, "b")
    assert data.class_names == ("x", "y", "z")
    assert data.notes == (
        "a has no image of 'y' to learn from; other sources teach it",
    )
    of_a = data.train.labels[data.train.domain_ids == 0]
    assert sorted(set(of_a)) == [0, 2]
    assert len(load(own_folder, "a").out_of_domain) == 24


def test_classes_of_the_target_alone_are_counted(own_folder):
    (own_folder / "a" / "x").rename(own_folder / "a" / "unknown")
    data = load(own_folder, "a")
    assert data.class_names == ("x", "y", "z")
    assert data.unknown_classes == {"unknown": 12}
    assert sorted(data.out_of_domain.labels) == [1] * 12 + [2] * 12
    assert all(
        f"{os.sep}{data.class_names[label]}{os.sep}" in path
        for path, label in zip(
            data.out_of_domain.paths, data.out_of_domain.labels, strict=True
        )
    )
    assert "12 images of a are of 'unknown', which no source" in data.notes[0]
    for name in ("y", "z"):
        shutil.rmtree(own_folder / "a" / name)
    with pytest.raises(UserError, match="its classes are 'unknown'"):
        load(own_folder, "a")


def test_no_domain_is_held_out(tiny_folder):
    data = load(tiny_folder, None)
    assert data.source_domains == ("a", "b", "c")
    assert (data.target_domain, len(data.out_of_domain)) == (None, 0)
    assert data.counts()["out_of_domain"] == {}
    alone = load(tiny_folder, None, ["b"])
    assert alone.source_domains == ("b",)


def test_one_image_a_class_cannot_be_split(tmp_path):
    root = write_images(tmp_path / "data", ("a", "b", "c"), ("x", "y"), 1)
    with pytest.raises(
        UserError, match="no images for validation: a class needs two images"
    ):
        load(root, "c")


def test_without_bad_images(tiny_folder):
    data = load(tiny_folder, "c")
    bad = [data.train.paths[0], data.out_of_domain.paths[3]]
    less = data.without(bad)
    assert len(less.train) == 65 and len(less.out_of_domain) == 35
    with pytest.raises(UserError, match="no images for train"):
        data.without([p for p in data.train.paths if "/a/" in p])


def test_detection(tiny_folder, tmp_path):
    assert detect_dataset("auto", None) == "shapes"
    assert detect_dataset("auto", str(tiny_folder)) == "folder"
    (tmp_path / "photo_train.txt").write_text("photo/dog/1.png 0\n")
    assert detect_dataset("auto", str(tmp_path)) == "domainnet"
    (tmp_path / "splits").mkdir()
    path = tmp_path / "splits" / "photo_train_kfold.txt"
    path.write_text("photo/dog/1.png 1\n")
    assert detect_dataset("auto", str(tmp_path)) == "pacs"
    with pytest.raises(UserError, match="does not exist"):
        detect_dataset("auto", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="is not a folder"):
        detect_dataset("auto", str(tmp_path / "photo_train.txt"))
    with pytest.raises(UserError, match="needs its folder"):
        detect_dataset("pacs", None)
    with pytest.raises(UserError, match="takes no --data"):
        detect_dataset("shapes", "x")


def test_one_class_is_nothing_to_learn(tmp_path):
    root = write_images(tmp_path / "data", ("a", "b", "c"), ("x",), 10)
    with pytest.raises(UserError, match="the only class is 'x'"):
        load(root, "c")
