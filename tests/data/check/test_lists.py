"""Damaged lists: all that is wrong with them, and not only the first."""

import shutil

import pytest

from dmg_tf.data.check.dataset import check_dataset
from dmg_tf.data.check.text import report_text
from dmg_tf.data.datasets.domainnet import load as load_domainnet
from dmg_tf.data.datasets.pacs import load as load_pacs
from dmg_tf.errors import UserError
from tests.data.check import damage as d
from tests.data.check.checking import expect, problems_of
from tests.data.check.damage import DOMAINS

LIST_CASES = [
    (
        "pacs",
        d.in_list("crossval", "cat/8.png 1", "cat/8.png 2"),
        "wrong_label",
        1,
        "splits/art_crossval_kfold.txt: art/cat/8.png has the label 2, but "
        "class 'cat' has 1",
    ),
    (
        "pacs",
        d.in_list("train", "cat/3.png 1", "cat/3.png 0"),
        "wrong_label",
        1,
        "splits/art_train_kfold.txt: art/cat/3.png has the label 0",
    ),
    (
        "pacs",
        d.shift_labels,
        "label_base",
        3,
        "splits/art_train_kfold.txt: labels from 0, expected from 1",
    ),
    (
        "domainnet",
        d.shift_labels_up,
        "label_base",
        6,
        "art_train.txt: labels from 1, expected from 0",
    ),
    (
        "pacs",
        d.swap_labels,
        "label_order",
        1,
        "splits/art_train_kfold.txt: 'cat' has 2, expected 1",
    ),
    (
        "pacs",
        d.in_list("train", "cat/3.png 1", "cat/3.png 1\nart/cat/3.png 1"),
        "listed_twice",
        1,
        "splits/art_train_kfold.txt, line 5: art/cat/3.png is in this list "
        "already, in line 4",
    ),
    (
        "pacs",
        d.in_list("train", "cat/3.png 1", "cat/3.png"),
        "bad_line",
        1,
        "splits/art_train_kfold.txt, line 4: expected",
    ),
    (
        "pacs",
        d.in_list("train", "cat/3.png 1", "cat/3.png ²"),
        "bad_line",
        1,
        "splits/art_train_kfold.txt, line 4: expected",
    ),
    (
        "pacs",
        d.remove_listed,
        "no_file",
        2,
        "splits/art_train_kfold.txt, line 4: there is no file art/cat/3.png",
    ),
    (
        "pacs",
        d.in_list("train", "cat/3.png 1", "cat/8.png 1"),
        "split_overlap",
        1,
        "art/cat/8.png in train and crossval of art",
    ),
    (
        "domainnet",
        d.in_list("train", "cat/3.png 0", "cat/8.png 0", "domainnet"),
        "split_overlap",
        1,
        "art/cat/8.png in train and test of art",
    ),
    (
        "domainnet",
        d.list_validation_of_test,
        "split_overlap",
        1,
        "art/cat/8.png in val and test of art",
    ),
    (
        "pacs",
        d.in_list("train", "art/cat/3.png 1", "photo/cat/3.png 1"),
        "other_domain",
        1,
        "photo/cat/3.png in train of art",
    ),
    ("pacs", d.drop_list, "missing_list", 1, "splits/art_crossval_kfold.txt"),
    ("pacs", d.leave_note, "no_list", 1, "splits/notes_train_kfold.txt"),
    ("domainnet", d.drop_test_list, "missing_list", 1, "art_test.txt"),
    ("pacs", d.empty_list, "empty_list", 1, "the list splits/art_crossval"),
    (
        "pacs",
        d.binary_list,
        "unreadable_list",
        1,
        "cannot read the list splits/art_crossval_kfold.txt",
    ),
    ("domainnet", d.lose_class_in("train"), "missing_in_train", 1, "art: dog"),
    (
        "domainnet",
        d.lose_class_everywhere,
        "missing_class",
        3,
        "art: dog",
    ),
    ("domainnet", d.lose_class_in("test"), "missing_in_test", 1, "art: dog"),
    (
        "domainnet",
        d.list_validation_of_one_class,
        "missing_in_validation",
        1,
        "art: dog",
    ),
    (
        "domainnet",
        d.list_validation,
        "validation_in_train",
        2,
        "art/cat/3.png in train and val of art",
    ),
    (
        "pacs",
        d.in_list("test", "art/cat/3.png 1\n", ""),
        "test_lacks",
        1,
        "art/cat/3.png in train or crossval of art",
    ),
    (
        "pacs",
        d.in_list("train", "art/cat/3.png 1\n", ""),
        "never_learned",
        1,
        "art/cat/3.png in test alone of art",
    ),
    (
        "pacs",
        d.copy_across_splits,
        "copies_across_splits",
        1,
        "art/cat/3.png = ",
    ),
    (
        "domainnet",
        d.in_list("test", "art/cat/8.png 0\n", "", "domainnet"),
        "unlisted",
        1,
        "art/cat/8.png",
    ),
]
# What follows: an image that one list lost is in no list, or in fewer.
ALSO = {
    ("pacs", "bad_line"): {"never_learned"},
    ("pacs", "split_overlap"): {"never_learned"},
    ("pacs", "other_domain"): {"never_learned"},
    ("domainnet", "split_overlap"): {"unlisted", "validation_in_train"},
    ("domainnet", "missing_list"): {"unlisted"},
    ("domainnet", "missing_class"): {"unlisted"},
    ("domainnet", "missing_in_train"): {"unlisted"},
    ("domainnet", "missing_in_test"): {"unlisted"},
    ("domainnet", "missing_in_validation"): {"validation_in_train"},
}


@pytest.mark.parametrize(
    "layout,damage,kind,count,example",
    LIST_CASES,
    ids=[f"{case[0]}-{case[2]}-{i}" for i, case in enumerate(LIST_CASES)],
)
def test_damaged_lists(copy_of, layout, damage, kind, count, example):
    root = copy_of(layout)
    damage(root)
    report = check_dataset(root, fast=kind != "copies_across_splits")
    expect(report, kind, count, example, ALSO.get((layout, kind), ()))


def test_no_lists_where_lists_are_asked_for(originals):
    report = check_dataset(originals / "folder", "pacs", fast=True)
    found = problems_of(report)
    assert set(found) == {"missing_list", "no_images"}
    assert "splits/<domain>_train_kfold.txt" in report_text(report)


def test_lists_are_judged_as_training_judges_them(copy_of, tmp_path):
    """Where a check finds no error in lists, every target can be loaded."""
    for i, (layout, damage, *_) in enumerate(LIST_CASES):
        root = shutil.copytree(copy_of(layout), tmp_path / str(i))
        shutil.rmtree(tmp_path / "data")
        damage(root)
        loader = {"pacs": load_pacs, "domainnet": load_domainnet}[layout]
        errors = check_dataset(root, fast=True)["errors"]
        failed = False
        for target in DOMAINS:
            try:
                loader(root, target)
            except UserError:
                failed = True
        if failed:
            assert errors, LIST_CASES[i]


@pytest.mark.data
def test_the_damaged_list_in_circulation(pacs, tmp_path):
    """One wrong label, one image twice, one missing, as it is passed on."""
    for place in pacs.iterdir():
        if place.is_dir() and place.name != "splits":
            (tmp_path / place.name).symlink_to(place)
    shutil.copytree(pacs / "splits", tmp_path / "splits")
    path = tmp_path / "splits" / "art_painting_crossval_kfold.txt"
    path.chmod(0o644)
    d.edit(path, "dog/pic_225.jpg 1", "dog/pic_225.jpg 0")
    d.edit(path, "dog/pic_249.jpg 1", "dog/pic_248.jpg 1")
    again = "art_painting/dog/pic_248.jpg 1\n"
    path.write_text(
        path.read_text() + again * (2 - path.read_text().count(again))
    )
    found = problems_of(check_dataset(tmp_path, fast=True))
    assert found["wrong_label"]["count"] == 1
    assert "pic_225.jpg has the label 0" in found["wrong_label"]["examples"][0]
    assert found["listed_twice"]["count"] == 1
    missing = found["never_learned"]
    assert missing["count"] == 1 and "pic_249.jpg" in missing["examples"][0]
