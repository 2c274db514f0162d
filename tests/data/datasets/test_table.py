"""A table of images: read, split, refused where it is wrong, and checked."""

import csv
import json
import os
import shutil

import numpy as np
import pytest

from dmg_tf.commands import check_data, evaluate, report, train
from dmg_tf.data import detect_dataset
from dmg_tf.data.datasets.folder import load as load_folder
from dmg_tf.data.datasets.table import domains, load
from dmg_tf.errors import UserError
from tests.conftest import write_images


def rows_of(root):
    for path in sorted(root.rglob("*.png")):
        domain, label, _ = path.relative_to(root).parts
        yield [os.path.relpath(path, root.parent), label, domain]


@pytest.fixture
def folder(tmp_path):
    """Three domains, two classes, 10 images each."""
    return write_images(tmp_path / "images", ("a", "b", "c"), ("x", "y"), 10)


def write(path, rows, header=("path", "label", "domain"), delimiter=","):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def table(folder, tmp_path):
    return write(tmp_path / "images.csv", rows_of(folder))


def test_it_says_what_the_folder_says(table, folder):
    assert detect_dataset("auto", str(table)) == "image_table"
    assert domains(table) == ("a", "b", "c")
    data, same = load(table, "c"), load_folder(folder, "c")
    assert data.class_names == same.class_names
    assert data.counts() == same.counts()
    for split in ("train", "validation", "out_of_domain"):
        mine, other = getattr(data, split), getattr(same, split)
        assert all(map(os.path.isfile, mine.paths))
        np.testing.assert_array_equal(mine.domain_ids, other.domain_ids)
        assert sorted(mine.labels) == sorted(other.labels)


@pytest.mark.parametrize("kind", ["tsv", "parquet", "utf-16", "index"])
def test_ways_to_write_it(table, folder, tmp_path, kind):
    rows = list(rows_of(folder))
    if kind == "tsv":
        path = write(tmp_path / "t.TSV", rows, delimiter="\t")
    elif kind == "utf-16":
        path = tmp_path / "t.csv"
        path.write_bytes(table.read_text().encode("utf-16"))
    elif kind == "index":  # as pandas writes it, with columns of one's own
        header = ("", "Domain", "Label ", "patient", "Path")
        path = write(
            tmp_path / "t.csv",
            [[i, d, la, "?", p] for i, (p, la, d) in enumerate(rows)],
            header,
        )
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        path = tmp_path / "t.parquet"
        names = ("path", "label", "domain")
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        parquet.write_table(pyarrow.table(columns), path)
    data, same = load(path, "b", seed=3), load(table, "b", seed=3)
    assert data.train.paths == same.train.paths
    assert data.validation.paths == same.validation.paths


def test_splits_are_heeded(folder, tmp_path):
    rows = [
        [*row, ("train", "Val", "test")[i % 3]]
        for i, row in enumerate(rows_of(folder))
    ]
    path = write(tmp_path / "t.csv", rows, ("path", "label", "domain", "split"))
    data = load(path, "c")
    given = {os.path.join(tmp_path, row[0]): row[3] for row in rows}
    for split, word in (
        ("train", "train"),
        ("validation", "Val"),
        ("test", "test"),
        ("out_of_domain", "test"),
    ):
        assert {given[p] for p in getattr(data, split).paths} == {word}
    # Of a source without validation rows some of train are drawn.
    for row in rows:
        if row[2] == "a" and row[3] == "Val":
            row[3] = "train"
    write(path, rows, ("path", "label", "domain", "split"))
    data = load(path, "c")
    assert data.counts()["validation"]["a"] == 2
    assert (
        data.counts()["validation"]["b"]
        == load(path, "a").counts()["validation"]["b"]
    )


@pytest.mark.parametrize(
    "damage,kind,words",
    [
        (lambda t: t.replace("label", "klass", 1), "unreadable_list",
         "has no column 'label'; it has path, klass, domain"),
        (lambda t: t.splitlines()[0], "empty_list", "names no image"),
        (lambda t: t + "images/a/x/0.png,x,a\n", "listed_twice",
         "line 62: images/a/x/0.png is in the table already, in line 2"),
        (lambda t: t + "images/a/x/77.png,x,a\n", "no_file",
         "line 62: there is no file"),
        (lambda t: t + "images/a/x/notes.txt,x,a\n", "bad_line",
         "line 62: images/a/x/notes.txt is no image"),
        (lambda t: t + "images/a/x/0.png,,a\n", "bad_line", "no label"),
        (lambda t: t + "images/a/x/0.png\n", "bad_line", "1 cells, fewer"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(
    table, capsys, damage, kind, words
):
    table.write_text(damage(table.read_text().replace("\r\n", "\n")))
    with pytest.raises(UserError, match=words):
        load(table, "c")
    check_data.main([str(table), "--fast", "--json"])
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert kind in {problem["kind"] for problem in problems}


def test_names_that_are_nearly_the_same(table):
    table.write_text(table.read_text().replace(",y,b", ",Y,b"))
    with pytest.raises(UserError, match="call one class the same"):
        load(table, "c")


def test_a_split_that_is_none(folder, tmp_path):
    rows = [[*row, "fold1"] for row in rows_of(folder)]
    path = write(tmp_path / "t.csv", rows, ("path", "label", "domain", "split"))
    with pytest.raises(UserError, match="the split 'fold1' is none; there are"):
        load(path, "c")


def test_the_check_counts_it(table, capsys):
    assert check_data.main([str(table)]) == 0
    out = capsys.readouterr().out
    assert "read as image_table, 3 domains, 2 classes, 60 images" in out
    assert check_data.main([str(table), "--json", "--fast"]) == 0
    counts = json.loads(capsys.readouterr().out)["domains"]["a"]
    assert counts == {"images": 20, "train": 18, "validation": 2}


def test_a_run_from_a_table(table, tmp_path, capsys, with_stub, monkeypatch):
    argv = [
        *("--data", str(table), "--target", "c", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--epochs", "1"),
        *("--method", "aggregate", "--cache", "memory"),
        *("--output", str(tmp_path / "run")),
    ]
    assert train.main(argv) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["dataset"] == "image_table"
    assert train.main([*argv, "--resume"]) == 0
    assert evaluate.main([str(tmp_path / "run")]) == 0
    # Table and images in another folder, told by their names.
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.move(tmp_path / "images", moved / "images")
    shutil.move(table, moved / "images.csv")
    capsys.readouterr()
    assert evaluate.main([str(tmp_path / "run")]) == 2
    assert "the run's data is not at" in capsys.readouterr().err
    argv = [str(tmp_path / "run"), "--data", str(moved / "images.csv")]
    assert evaluate.main(argv) == 0
    assert "are not all those of the run" not in capsys.readouterr().err
    assert report.main(argv) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "data:image" in page and "may have moved" not in page


def test_a_missing_table(tmp_path, capsys):
    argv = ["--data", str(tmp_path / "no.csv"), "--target", "c"]
    assert train.main(argv) == 2
    line = capsys.readouterr().err
    assert "no.csv does not exist" in line and "or a table (.csv" in line
