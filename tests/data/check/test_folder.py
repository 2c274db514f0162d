"""Damaged folders and images: each is found, named, and explained."""

import io
import os

import PIL.Image
import pytest

from dmg_tf.data.check.dataset import check_dataset
from dmg_tf.data.check.images import SUFFIX_FORMATS
from dmg_tf.data.datasets.folder import IMAGE_SUFFIXES
from dmg_tf.data.images.bad_images import find_bad_images
from tests.data.check import damage as d
from tests.data.check.checking import expect, problems_of

# damage, kind, count, first example
FOLDER_CASES = [
    (d.remove_class, "missing_in_train", 1, "art: dog"),
    (d.rename_class, "missing_class", 3, "art: dog (but it has Dog)"),
    (d.empty_domain, "empty_domain", 1, "notes"),
    (d.drop_domain, "few_domains", 1, "only photo, sketch"),
    (d.drop_classes, "one_class", 1, "only cat"),
    (d.drop_images, "no_images", 1, "no image was found"),
    (d.leave_one_image, "single_image", 1, "photo: cat"),
    (d.misplace, "misplaced", 1, "art/3.png"),
    (d.drop_suffix, "other_suffix", 1, "art/cat/3 is PNG"),
    (d.leave_heic, "other_suffix", 1, "art/cat/IMG_1.HEIC"),
    (d.leave_text, "not_images", 1, "art/cat/notes.txt"),
    (d.hide, "hidden", 3, "__MACOSX/"),
    (d.truncate, "unreadable", 1, "art/cat/3.png: "),
    (d.empty_file, "unreadable", 2, "art/cat/3.png: the file is empty"),
    (d.dangle, "unreadable", 1, "art/cat/far.png: No such file"),
    (d.copy_within_class, "copies", 1, "art/cat/3.png = art/cat/copy"),
    (d.copy_across_domains, "copies_across_domains", 1, "art/cat/3."),
    (d.copy_across_classes, "label_conflict", 1, "art/cat/3.png = ph"),
    (d.shrink, "small", 1, "art/cat/small.png: 31 x 60"),
    (d.stretch, "narrow", 1, "art/cat/long.png: 201 x 50"),
    (d.enlarge, "large", 1, "art/cat/large.png: 4097 x 1100"),
    (d.turn, "rotated", 1, "art/cat/phone.jpg"),
    (d.lie, "wrong_suffix", 1, "art/cat/not.jpg is PNG"),
    (d.grey, "grey", 1, "art/cat/grey.png"),
    (d.palette, "palette", 1, "art/cat/palette.png"),
    (d.cmyk, "cmyk", 1, "art/cat/cmyk.jpg"),
    (d.alpha, "alpha", 1, "art/cat/alpha.png"),
    (d.deep_grey, "deep", 1, "art/cat/deep.png"),
    (d.dark, "dark", 1, "art/cat/dark.tif"),
    (d.tag_profile, "profile", 1, "art/cat/wide.png"),
    (d.deep_colour, "deep", 1, "art/cat/deep.png"),
    (d.animate, "frames", 1, "art/cat/two.gif"),
    (d.link_up, "link_above", 1, "art/cat/all"),
    (d.link_twice, "same_file", 1, "art/cat/3.png = art/cat/again.png"),
    (d.link_hard, "same_file", 1, "art/cat/3.png = art/cat/again.png"),
    (d.link_to_another_domain, "other_domain", 1, "art/cat/far.png by a link"),
    (d.leave_pipe, "special", 1, "art/cat/pipe.png"),
    (d.empty_class, "empty_class", 1, "art/owl/"),
    (d.nest_in_splits, "copies_across_splits", 60, "art/train/cat/0.png = art"),
    (d.nest_in_other_splits, "split_folders", 3, "art holds dev, val"),
    (d.nest_one_domain, "split_folders", 1, "art holds splits (train) and"),
    (d.leave_full_split, "again", 3, "art/full/"),
    (d.call_as_published, "other_counts", 5, "Art has 20 images, not 2,427"),
    (d.call_domains_splits, "split_domains", 1, "test, train, val"),
    (d.call_domain_overall, "bad_name", 1, "the domain 'overall' cannot be"),
    (d.add_case_twin, "case_twins", 3, "art: Dog = dog"),
    (d.odd_name, "copies", 1, "art/cat/3.png = art/cat/caf"),
]
# Other kinds that a case cannot do without.
ALSO = {
    d.deep_grey: {"grey"},
    d.dark: {"grey", "deep"},
    d.animate: {"palette"},
    d.drop_images: {"empty_domain", "empty_class"},
    d.empty_domain: {"not_images"},
    d.link_twice: {"copies"},
    d.link_hard: {"copies"},
    d.link_to_another_domain: {"same_file", "copies_across_domains"},
    d.call_domains_splits: {"not_images"},
}


@pytest.mark.parametrize(
    "damage,kind,count,example",
    FOLDER_CASES,
    ids=[case[0].__name__ for case in FOLDER_CASES],
)
def test_damaged_folder(copy_of, damage, kind, count, example):
    root = copy_of("folder")
    damage(root)
    report = check_dataset(root)
    expect(report, kind, count, example, ALSO.get(damage, ()))


def test_unreadable_folder(copy_of, monkeypatch):
    root = copy_of("folder")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("cat") and "art" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = problems_of(check_dataset(root, fast=True))
    problem = found["unreadable_folder"]
    assert problem["examples"] == ["art/cat: Permission denied"]


def test_decoding_is_that_of_training(copy_of):
    root = copy_of("folder")
    for damage in (
        d.truncate,
        d.lie,
        d.cmyk,
        d.palette,
        d.deep_grey,
        d.animate,
    ):
        damage(root)
    d.save(root / "art" / "cat" / "whole.jpg")
    for kind in ("JPEG", "BMP", "WEBP", "TIFF", "GIF"):
        PIL.Image.new("RGB", (50, 50)).save(sound := io.BytesIO(), kind)
        suffix = kind.lower().replace("jpeg", "jpg")
        cut = sound.getvalue()[: len(sound.getvalue()) // 2]
        (root / "art" / "dog" / f"cut.{suffix}").write_bytes(cut)
    (root / "art" / "dog" / "page.png").write_text("<html>404</html>")
    report = check_dataset(root, max_examples=100)
    found = problems_of(report)["unreadable"]["examples"]
    paths = [str(path) for path in root.rglob("*.*") if path.is_file()]
    bad = find_bad_images(sorted(paths))
    assert len(bad) >= 4
    expected = {f"{os.path.relpath(p, root)}: {r}" for p, r in bad.items()}
    assert set(found) == expected


def test_every_suffix_has_its_format():
    assert set(SUFFIX_FORMATS) == IMAGE_SUFFIXES
