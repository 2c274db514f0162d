"""The folder that docs/first-hour.md begins with is as messy as it says."""

import csv

from dmg_tf.commands import check_data
from dmg_tf.registry import DATASETS
from examples import messy_folder


def test_the_check_finds_what_is_wrong(tmp_path, monkeypatch, capsys):
    root = tmp_path / "messy"
    argv = ["messy_folder", str(root), "--images", "4"]
    monkeypatch.setattr("sys.argv", argv)
    messy_folder.main()
    said = capsys.readouterr().out
    assert said.startswith("80 images of 3 sites in ")
    assert len(list((root / "new_site").iterdir())) == 4

    sites = root / "sites"
    assert check_data.main([str(sites)]) == 1
    said = capsys.readouterr().out
    for words in (
        "unreadable images: 2",
        "east/mug/cut off.JPEG",
        "east/mug/no image.jpg",
        "classes that a domain has no training image of: 1",
        "sets of identical files in one class of a domain: 1",
        "files that are no images: 4",
        "hidden files and folders: 2",
    ):
        assert words in said, words

    table = sites / "images.csv"
    with open(table, encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 80
    data = DATASETS["image_table"].load(str(table), "east")
    assert data.source_domains == ("north", "south")
    assert len(data.train) + len(data.validation) == 56
