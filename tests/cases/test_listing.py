"""Which images a dataset has: by file, not by path; and all of it told.

Each case is tried on the readers and, where it is what the user meets, on the
commands.
"""

import dataclasses
import json
import os
import shutil
import socket
import unicodedata

import pytest

from dmg_tf.commands import check_data, evaluate, search, train
from dmg_tf.data import detect_dataset, why_dataset
from dmg_tf.data.check.dataset import check_dataset
from dmg_tf.data.datasets import domainnet, folder, pacs
from dmg_tf.data.domains import domain_names
from dmg_tf.data.examples import Examples, checked
from dmg_tf.errors import UserError
from tests.cases import (
    accents_in_two_spellings,
    class_with_two_underscores,
    link_loop,
    list_of_source_names_target,
    list_same_image_written_twice,
    list_with_bom,
    lists,
    split_folders_vlcs,
    text_file_ending_in_train_txt,
)
from tests.conftest import write_images
from tests.data.check.checking import problems_of

TRAIN = {"a": 18, "b": 18}


def plain(root, count=10):
    return write_images(root, "abc", ("cat", "dog"), count, size=32)


def domainnet_like(root):
    """Half of the images are listed to learn from, half to be scored."""
    root = plain(root, 8)
    for domain in "abc":
        for split, indices in (("train", range(4)), ("test", range(4, 6))):
            lines = [
                f"{domain}/{name}/{i}.png {label}\n"
                for label, name in enumerate(("cat", "dog"))
                for i in indices
            ]
            (root / f"{domain}_{split}.txt").write_text("".join(lines))
    return root


def add_line(path, line):
    path.write_text(path.read_text().rstrip("\n") + f"\n{line}\n")


def kinds(root, **options):
    return problems_of(check_dataset(root, fast=True, **options))


def refusal(load, *args):
    with pytest.raises(UserError) as error:
        load(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


# === An image is a file: leakage by lists ===


def test_a_list_that_names_the_target(tmp_path, capsys):
    root = list_of_source_names_target.build(tmp_path / "data")
    for target in "cb":
        text = refusal(pacs.load, root, target)
        assert "a_train_kfold.txt, line 7: c/cat/0.png is an image of" in text
    assert kinds(root)["other_domain"]["count"] == 2
    argv = ["--data", str(root), "--target", "c", "--weights", "none"]
    assert train.main([*argv, "--output", str(tmp_path / "run")]) == 2
    assert "line 7: c/cat/0.png" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert search.main([*argv, "--output", str(tmp_path / "search")]) == 2
    assert "line 7: c/cat/0.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "link",
    [
        lambda root: os.symlink("../../c/cat/7.png", root / "a/cat/x.png"),
        lambda root: os.link(root / "c/cat/7.png", root / "a/cat/x.png"),
        lambda root: None,
    ],
    ids=["symbolic", "hard", "by another folder"],
)
def test_images_of_the_target_that_no_list_of_it_names(tmp_path, link):
    root = domainnet_like(tmp_path / "data")
    if link(root) is None and not (root / "a/cat/x.png").exists():
        (root / "a" / "far").symlink_to("../c")
        line = "a/far/cat/7.png 0"
    else:
        line = "a/cat/x.png 0"
    add_line(root / "a_train.txt", line)
    text = refusal(domainnet.load, root, "c")
    assert f"a_train.txt, line 9: {line[:-2]} is " in text
    assert "another domain" in text or "an image of the target" in text


@pytest.mark.parametrize(
    "spelled",
    [
        "./a/{}/0.png",
        "a//{}/0.png",
        "a/./{}/0.png",
        "b/../a/{}/0.png",
        "{{root}}/a/{}/0.png",
        "a/{}/symbolic.png",
        "a/{}/hard.png",
        "alias/{}/0.png",
    ],
)
def test_one_image_in_two_splits_by_any_spelling(tmp_path, spelled):
    root = tmp_path / "data"
    spelled = spelled.replace("{{root}}", str(root))
    list_same_image_written_twice.build(root, spelled)
    for name in lists.CLASSES:
        os.symlink("0.png", root / "a" / name / "symbolic.png")
        os.link(root / "a" / name / "0.png", root / "a" / name / "hard.png")
    os.symlink("a", root / "alias")
    text = refusal(pacs.load, root, "c")
    assert "a/cat/0.png is in" in text and "a_train_kfold.txt, line 1," in text
    assert "in a_crossval_kfold.txt, line 1" in text and "(2 do)" in text
    found = kinds(root)
    assert {"split_overlap", "same_file"} & set(found)


def test_the_same_spelling_all_over_is_no_error(tmp_path):
    def change(lines, domain, split):
        return [f"./{line}" for line in lines]

    data = pacs.load(lists.write_lists(tmp_path / "data", change), "c")
    assert data.counts()["train"] == {"a": 6, "b": 6} and data.notes == ()


def test_one_image_twice_in_a_list(tmp_path):
    root = lists.write_lists(tmp_path / "data")
    os.link(root / "a/cat/0.png", root / "a/cat/hard.png")
    path = lists.list_path(root, "a", "train")
    add_line(path, "a/cat/hard.png 1")
    text = refusal(pacs.load, root, "c")
    assert "line 7: a/cat/hard.png is in this list already, in line 1" in text


def test_validation_is_taken_out_of_training_by_file(tmp_path):
    root = domainnet_like(tmp_path / "data")
    os.symlink("1.png", root / "a" / "cat" / "link.png")
    lines = "./a/cat/0.png 0\na/cat/link.png 0\na/dog/0.png 1\n"
    (root / "a_val.txt").write_text(lines)
    data = domainnet.load(root, "c")
    assert data.counts()["train"]["a"] == 5
    assert data.counts()["validation"]["a"] == 3
    add_line(root / "a_val.txt", "a/dog/./4.png 1")
    text = refusal(domainnet.load, root, "c")
    assert "a/dog/4.png is in" in text and "a_val.txt, line 4" in text


# === An image is a file: leakage by folders ===


@pytest.mark.parametrize(
    "name,to",
    [
        ("a/cat/x.png", "../../c/cat/0.png"),
        ("a/cat/x.png", "../../b/cat/0.png"),
        ("a/cat/far", "../../c/cat"),
        ("a/cat/near", "../dog"),
        ("a/cat/x.png", "0.png"),
        ("a/owl", "cat"),
        ("d", "c"),
        ("d", "a"),
    ],
)
def test_a_link_to_what_is_there_already(tmp_path, name, to):
    root = plain(tmp_path / "data")
    os.symlink(to, root / name)
    text = refusal(folder.load, root, "c")
    assert str(root / "a") in text or str(root / "d") in text
    assert "are the same file" in text or "of another domain" in text
    assert {"same_file", "other_domain"} & set(kinds(root))


@pytest.mark.parametrize("name", ["a/cat/x.png", "a/dog/x.png", "b/cat/x.png"])
def test_a_hard_link(tmp_path, name):
    root = plain(tmp_path / "data")
    os.link(root / "a/cat/0.png", root / name)
    text = refusal(folder.load, root, "c")
    assert "are the same file" in text
    assert str(root / "a/cat/0.png") in text and str(root / name) in text
    assert kinds(root)["same_file"]["count"] == 1


def test_every_reader_is_held_to_it(tmp_path):
    root = plain(tmp_path / "data")
    data = folder.load(root, "c")
    os.link(root / "a/cat/0.png", root / "a/cat/x.png")
    for path in (data.train.paths[0], str(root / "a/cat/x.png")):
        more = Examples.make([path], [0], -1)
        outside = Examples.concatenate([data.out_of_domain, more])
        wrong = dataclasses.replace(data, out_of_domain=outside)
        assert "are the same file" in refusal(checked, wrong)
    checked(data)


def test_an_unused_image_of_the_target_by_a_link(tmp_path):
    root = plain(tmp_path / "data")
    shutil.copy(root / "c/cat/0.png", root / "c/beside.png")
    os.symlink("../../c/beside.png", root / "a/cat/x.png")
    assert "of another domain" in refusal(folder.load, root, "c")


def test_links_to_folders_elsewhere_are_followed(tmp_path):
    """Data is kept in one place and linked in another, file by file or not."""
    root, store = tmp_path / "data", plain(tmp_path / "store")
    (root / "a").mkdir(parents=True)
    (root / "b").symlink_to(store / "b")
    (root / "a" / "cat").symlink_to(store / "a" / "cat")
    for name in ("a/dog", "c/cat", "c/dog"):
        (root / name).mkdir(parents=True)
        for path in (store / name).iterdir():
            (root / name / path.name).symlink_to(path)
    data = folder.load(root, "c")
    assert data.counts()["train"] == TRAIN and data.notes == ()
    assert kinds(root) == {}


# === Every file is used or told ===


@pytest.mark.parametrize(
    "link,to",
    [("all", ".."), ("all", "../.."), ("all", "."), ("all", "../../..")],
)
def test_a_link_to_a_folder_above(tmp_path, link, to, capsys):
    root = link_loop.build(tmp_path / "data", link, to)
    data = folder.load(root, "c")
    assert data.counts()["train"] == TRAIN
    note = "left out: 1 link to a folder above ('a/cat/all')"
    assert data.notes == (note,)
    report = check_dataset(root, fast=True)
    assert {d: row["images"] for d, row in report["domains"].items()} == {
        "a": 20,
        "b": 20,
        "c": 20,
    }
    assert list(problems_of(report)) == ["link_above"]


def test_links_that_go_round_outside(tmp_path):
    root, outside = plain(tmp_path / "data"), tmp_path / "outside"
    outside.mkdir()
    (outside / "back").symlink_to(root / "a")
    (root / "a" / "cat" / "out").symlink_to(outside)
    (root / "a" / "cat" / "self").symlink_to("self")
    (root / "loop").symlink_to(".")
    data = folder.load(root, "c")
    assert data.counts()["train"] == TRAIN
    assert "2 links to folders above" in data.notes[0]
    assert domain_names("auto", str(root)) == ("a", "b", "c")


def test_all_that_is_left_out_is_counted(tmp_path):
    root = plain(tmp_path / "data")
    (root / "notes").mkdir()
    (root / "notes" / "boxes.json").write_text("{}")
    (root / "README").write_text("")
    (root / "a" / "beside.png").write_bytes(b"")
    (root / "a" / "owl").mkdir()
    (root / "a" / "cat" / ".DS_Store").write_bytes(b"")
    (root / "a" / "cat" / "@eaDir").mkdir()
    (root / "a" / "cat" / "@eaDir" / "thumb.jpg").write_bytes(b"")
    (root / "__MACOSX").mkdir()
    os.mkfifo(root / "a" / "cat" / "pipe.png")
    (root / "a" / "cat" / "null.png").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as file:
        here = os.getcwd()
        os.chdir(root / "a" / "dog")  # such a name may not be long
        try:
            file.bind("s.png")
        finally:
            os.chdir(here)
        data = folder.load(root, "c")
        names = kinds(root, max_examples=9)
    assert data.counts()["train"] == TRAIN
    assert data.notes == (
        "left out: 1 folder without images ('notes/'), 1 class folder without "
        "images ('a/owl/'), 3 pipes, sockets or devices ('a/cat/null.png'), 1 "
        "image outside of a class folder ('a/beside.png'), 1 file that is no "
        "image ('README'), 3 hidden ('__MACOSX/'); dmg-tf check names them all",
    )
    assert names["hidden"]["count"] == 3 and names["special"]["count"] == 3
    assert names["misplaced"]["examples"] == ["a/beside.png"]


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    root = plain(tmp_path / "data")
    (root / "a" / "cat" / "more").mkdir()
    scandir = os.scandir
    shut = [root / "a" / "cat" / "more"]

    def refuse(path):
        if str(path) in map(str, shut):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    note = "left out: 1 folder that cannot be read ('a/cat/more: Permission"
    assert folder.load(root, "c").notes[0].startswith(note)
    shut[:] = [root / "a" / "cat"]
    text = refusal(folder.load, root, "c")
    assert "no images of class 'cat'" in text and "Permission denied" in text
    shut[:] = [root / "a"]
    assert "cannot read the folder" in refusal(folder.load, root, "c")


def test_a_class_with_two_underscores(tmp_path):
    root = class_with_two_underscores.build(tmp_path / "data")
    data = folder.load(root, "c")
    assert data.class_names == ("__background__", "cat", "dog")
    assert data.counts()["train"] == {"a": 27, "b": 27} and data.notes == ()
    assert kinds(root) == {}


def test_images_beside_the_lists(tmp_path):
    root = lists.write_lists(tmp_path / "data")
    shutil.copy(root / "a/cat/0.png", root / "a/cat/new.png")
    (root / "a" / "cat" / "notes.txt").write_text("")
    assert pacs.load(root, "c").notes == (
        "left out: 1 image in no list ('a/cat/new.png'), 1 file that is no "
        "image ('a/cat/notes.txt')",
    )


# === Layouts that mean something else ===


def test_splits_within_domains(tmp_path, capsys):
    root = split_folders_vlcs.build(tmp_path / "data")
    data = folder.load(root, "SUN")
    assert data.class_names == ("0", "1", "2")
    assert data.counts()["train"]["CALTECH"] == 21
    assert data.counts()["out_of_domain"] == {"SUN": 9}  # its test
    assert data.notes == (
        "left out: 4 splits that repeat others ('CALTECH/full/'); dmg-tf check "
        "names them all",
    )
    assert check_data.main([str(root)]) == 0
    printed = capsys.readouterr().out
    assert "read as vlcs, 4 domains, 3 classes, 144 images" in printed
    assert "different classes" not in printed
    assert kinds(root).keys() == {"again", "other_counts"}
    # One split of each alone is no better.
    for domain in split_folders_vlcs.DOMAINS:
        for split in ("test", "train", "crossval"):
            shutil.rmtree(root / domain / split)
    assert "holds full, which look like" in refusal(folder.load, root, "SUN")
    argv = ["--data", str(root), "--target", "SUN", "--weights", "none"]
    assert train.main([*argv, "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "holds full, which look like splits" in error
    assert check_data.main([str(root)]) == 1
    printed = capsys.readouterr()
    assert "which look like splits" in printed.out
    assert "identical" not in printed.out


def test_a_class_may_be_called_as_a_split(tmp_path):
    root = write_images(tmp_path, "abc", ("bus", "train"), 3, size=8)
    assert folder.load(root, "c").class_names == ("bus", "train")


def test_splits_in_the_place_of_domains(tmp_path, capsys):
    names = ("train", "val", "test")
    root = write_images(tmp_path / "data", names, ("cat", "dog"), 3, size=32)
    argv = ["--data", str(root), "--weights", "none"]
    for more in ([], ["--target", "test"], ["--target", "photo"]):
        assert train.main([*argv, *more]) == 2
        error = capsys.readouterr().err
        assert "look like splits of one domain" in error
        assert "--sources" in error and len(error.splitlines()) == 1
    data = folder.load(root, "test", ("train", "val"))  # who insists
    assert data.source_domains == ("train", "val")
    assert "split_domains" in kinds(root)
    assert check_data.main([str(root), "--fast"]) == 1


@pytest.mark.parametrize(
    "name,dataset",
    [
        ("README_train.txt", "domainnet"),
        ("a_train.txt", "domainnet"),
        ("splits/notes_train_kfold.txt", "pacs"),
    ],
)
def test_a_note_called_as_a_list(tmp_path, name, dataset, capsys):
    root = text_file_ending_in_train_txt.build(tmp_path / "data", name)
    assert detect_dataset("auto", str(root)) == "folder"
    assert domain_names("auto", str(root)) == ("a", "b", "c")
    assert folder.load(root, "c").counts()["train"] == TRAIN
    if name != "a_train.txt":
        why = why_dataset("folder", str(root))
        assert name in why and f"--dataset {dataset}" in why
    argv = ["--data", str(root), "--target", "d", "--weights", "none"]
    assert train.main(argv) == 2
    assert "known: a, b, c" in capsys.readouterr().err


def test_a_list_of_all_domains_decides_nothing(tmp_path):
    text = "a/cat/0.png 0\nb/cat/0.png 0\n"
    root = text_file_ending_in_train_txt.build(
        tmp_path / "data", "all_train.txt", text
    )
    assert detect_dataset("auto", str(root)) == "folder"


def test_a_note_among_lists(tmp_path, capsys):
    root = lists.write_lists(tmp_path / "data")
    (root / "splits" / "notes_train_kfold.txt").write_text("as last year\n")
    assert domain_names("auto", str(root)) == ("a", "b", "c")
    assert pacs.load(root, "c").source_domains == ("a", "b")
    assert kinds(root)["no_list"]["count"] == 1
    argv = ["--data", str(root), "--target", "d", "--weights", "none"]
    assert train.main(argv) == 2
    error = capsys.readouterr().err
    assert "read as PACS because of splits/a_train_kfold.txt" in error
    assert "--dataset folder reads its folders" in error


def test_a_folder_beside_the_domains(tmp_path):
    root = plain(tmp_path / "data")
    (root / "annotations").mkdir()
    (root / "annotations" / "boxes.json").write_text("{}")
    assert domain_names("auto", str(root)) == ("a", "b", "c")
    data = folder.load(root, "c")
    assert data.counts()["train"] == TRAIN
    assert "1 folder without images ('annotations/')" in data.notes[0]
    # One that holds images, but no classes of them, is named.
    shutil.copy(root / "a/cat/0.png", root / "annotations/0.png")
    text = refusal(folder.load, root, "c")
    assert "'annotations' has no images" in text and "--sources" in text
    assert len(folder.load(root, "c", ("a", "b")).train) == 36


def test_one_image_a_class(tmp_path):
    text = refusal(folder.load, plain(tmp_path / "data", 1), "c")
    assert "a class needs two images in each source" in text


# === Lists as other systems write them ===


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \t \r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_lists_with_marks_and_other_line_ends(tmp_path, encoding, end):
    root = list_with_bom.build(tmp_path / "data", encoding, end)
    assert detect_dataset("auto", str(root)) == "pacs"
    data = pacs.load(root, "c")
    assert data.class_names == ("cat", "dog")
    assert data.counts() == {
        "train": {"a": 6, "b": 6},
        "validation": {"a": 2, "b": 2},
        "out_of_domain": {"c": 8},
    }
    assert kinds(root) == {}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_lists_in_16_bits(tmp_path, encoding):
    root = list_with_bom.build(tmp_path / "data", encoding)
    assert detect_dataset("auto", str(root)) == "pacs"
    text = refusal(pacs.load, root, "c")
    assert f"it is {encoding.upper()}; save it as UTF-8" in text
    assert kinds(root)["unreadable_list"]["count"] == 9


def test_lists_with_quotes_and_tabs(tmp_path):
    root = lists.write_lists(tmp_path / "data")
    path = lists.list_path(root, "a", "train")
    text = path.read_text()
    path.write_text(text.replace("a/cat/1.png", '"a/cat/1.png"'))
    assert "without the quotation marks there is" in refusal(
        pacs.load, root, "c"
    )
    path.write_text(text.replace("a/cat/1.png 1", "a/cat/1.png\t1"))
    assert "line 2: expected" in refusal(pacs.load, root, "c")


@pytest.mark.parametrize("place", ["with space", "[x] {y}", "50%", "ü"])
def test_folders_of_any_name_and_relative_ones(tmp_path, monkeypatch, place):
    root = lists.write_lists(tmp_path / place / "data")
    monkeypatch.chdir(tmp_path)
    for where in (root, f"{place}/data", f"./{place}/../{place}/data/"):
        assert detect_dataset("auto", str(where)) == "pacs"
        assert len(pacs.load(where, "c").train) == 12
        assert len(folder.load(where, "c", ("a", "b")).train) == 12
    monkeypatch.chdir(root)
    data = pacs.load(".", "c")
    assert len(data.train) == 12 and os.path.exists(data.train.paths[0])


# === One name in two forms ===


@pytest.mark.parametrize("nfd", ["b", "c", "abc"])
def test_accents_in_two_forms(tmp_path, nfd):
    root = accents_in_two_spellings.build(tmp_path / "data", nfd)
    data = folder.load(root, "c")
    assert data.class_names == ("caf\u00e9", "dog")
    assert data.counts()["train"] == TRAIN and data.notes == ()
    assert all(map(os.path.exists, data.train.paths))
    assert kinds(root) == {}
    # The split does not depend on the form.
    again = folder.load(
        accents_in_two_spellings.build(tmp_path / "again", ""), "c"
    )
    for one, other in zip(data.train.paths, again.train.paths, strict=True):
        assert unicodedata.normalize("NFC", one).replace(
            "data", "again"
        ) == unicodedata.normalize("NFC", other)


def test_lists_in_another_form_than_the_disk(tmp_path):
    root = accents_in_two_spellings.build(tmp_path / "data")
    (root / "splits").mkdir()
    for domain in "abc":
        for split, indices in lists.SPLITS.items():
            form = "NFC" if split == "train" else "NFD"
            name = unicodedata.normalize(form, "caf\u00e9")
            text = "".join(
                f"{domain}/{name}/{i}.png 1\n{domain}/dog/{i}.png 2\n"
                for i in indices
            )
            lists.list_path(root, domain, split).write_text(text, "utf-8")
    data = pacs.load(root, "c")
    assert data.class_names == ("caf\u00e9", "dog")
    assert all(map(os.path.exists, data.train.paths))
    assert data.counts()["train"] == {"a": 6, "b": 6}


def test_a_domain_in_another_form(tmp_path):
    form = unicodedata.normalize
    root = write_images(
        tmp_path, ("a", "b", form("NFD", "\u00fc")), "xy", 3, size=8
    )
    for name in (form("NFC", "\u00fc"), form("NFD", "\u00fc")):
        assert folder.load(root, name).target_domain == form("NFC", "\u00fc")
        assert name in folder.load(root, "a", ("b", name)).source_domains[
            1
        ] or (form("NFC", name) == folder.load(root, "a").source_domains[1])
    (root / form("NFC", "\u00fc")).mkdir()
    assert "in two Unicode forms" in refusal(folder.load, root, "a")


def test_upper_case_alone(tmp_path):
    root = write_images(tmp_path, "abc", ("Dog", "cat", "dog"), 3, size=8)
    note = "the classes 'Dog' and 'dog' differ in upper case alone"
    assert folder.load(root, "c").notes[0].startswith(note)
    assert kinds(root)["case_twins"]["count"] == 3
    shutil.rmtree(root / "b" / "dog")
    assert "but it has 'Dog'" in refusal(folder.load, root, "c")
    write_images(root, "A", ("Dog", "cat", "dog"), 3, size=8)
    shutil.rmtree(root / "b")
    note = "the domains 'A' and 'a' differ in upper case alone"
    assert folder.load(root, "c").notes[0].startswith(note)


@pytest.mark.parametrize(
    "name", ["overall", "Overall", "a|b", "a\nb", "\x1b[1m", b"\xff"]
)
def test_domains_that_cannot_be_called_so(tmp_path, name):
    name = os.fsdecode(name)
    root = plain(tmp_path / "data", 3)
    (root / "a").rename(root / name)
    for target in ("c", name):
        text = refusal(folder.load, root, target)
        assert "cannot be called so" in text and text.isprintable()
    assert kinds(root)["bad_name"]["count"] == 1


@pytest.mark.parametrize("name", ["a\nb", "\x1b[1m", b"\xff"])
def test_classes_that_cannot_be_called_so(tmp_path, name):
    root = plain(tmp_path / "data", 3)
    for domain in "abc":
        (root / domain / "cat").rename(root / domain / os.fsdecode(name))
    text = refusal(folder.load, root, "c")
    assert "the class '" in text and "cannot be called so" in text


# === A run whose data moved ===


def test_a_run_says_where_it_looked_for_its_data(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    run.mkdir()
    config = {"data": "w/data", "target": "c", "dataset": "folder"}
    results = {
        "config": config,
        "source_domains": ["a", "b"],
        "class_names": ["cat", "dog"],
        "rules": [],
    }
    (run / "config.json").write_text(json.dumps(config))
    (run / "results.json").write_text(json.dumps(results))
    monkeypatch.chdir(tmp_path)
    assert evaluate.main([str(run)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"w/data (looked at {tmp_path}/w/data)" in error
    assert "--data DIR" in error
