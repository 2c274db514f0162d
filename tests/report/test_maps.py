"""Where each mask looks, as the report shows it."""

import json

import numpy as np
import PIL.Image
import pytest

from dmg_tf.folders.checksums import Checksums
from dmg_tf.report.maps import place
from dmg_tf.report.pictures import warmed
from dmg_tf.report.run_page import write_run_report
from dmg_tf.runs.maps import write_maps
from dmg_tf.runs.predictions import read_predictions
from tests.report.runs import CLASSES, write_run
from tests.report.test_run_page import html_of, images_of, rows_of

TITLE = "Where each mask looks"


def with_maps(folder, count=3, **options):
    """A run of which maps were kept; each mask looks at another corner."""
    write_run(folder, **options)
    run = folder / "run"
    paths = read_predictions(run / "predictions.csv", CLASSES).paths[:count]
    rules = ["mask/a", "mask/b", "mask/c"]
    if options.get("method") == "aggregate":
        rules = ["pred_ens"]
    maps = np.zeros([count, len(rules), 4, 4])
    for i in range(len(rules)):
        maps[:, i, -(i == 1), -(i == 2)] = 3 - i
    write_maps(Checksums(run), rules, paths, maps)
    return paths


def test_a_row_an_image_and_a_column_a_mask(tmp_path):
    paths = with_maps(tmp_path)
    write_run_report(tmp_path / "run")
    html = html_of(tmp_path)
    head, *rows = rows_of(html, TITLE)
    assert head == ["image", "picture"] + [f"mask of {d}" for d in "abc"]
    split = read_predictions(tmp_path / "run/predictions.csv", CLASSES)
    said = split.predictions.predicted
    assert len(rows) == 3
    for i, row in enumerate(rows):
        true, found = (
            CLASSES[split.predictions.labels[i]],
            CLASSES[said["pred_ens"][i]],
        )
        words = f"{true} taken for {found}" if true != found else true
        assert row[0].startswith(words)
        for cell, domain in zip(row[2:], "abc", strict=True):
            assert cell.startswith(CLASSES[said[f"mask/{domain}"][i]])
        alt = f'alt="mask of b, looking for {found}: most at the bottom left'
        assert f"{alt}, 67 % of the row&#x27;s" in html
    panel = html[html.index(f"<h2>{TITLE}") :].partition("</section>")[0]
    assert len(images_of(panel)) == 3 * (1 + 3)
    assert "4\u00a0x\u00a04 places" in panel and "full at the largest" in panel
    # Its picture is gone, and so is its row; then all are.
    for gone, left in ((paths[:1], 2), (paths[1:], None)):
        for path in gone:
            (tmp_path / path).unlink()
        write_run_report(tmp_path / "run")
        if left:
            assert len(rows_of(html_of(tmp_path), TITLE)) == 1 + left
        else:
            assert TITLE not in html_of(tmp_path)


def test_a_method_with_one_network(tmp_path):
    with_maps(tmp_path, method="aggregate")
    write_run_report(tmp_path / "run")
    html = html_of(tmp_path)
    rows = rows_of(html, "Where the network looks")
    assert rows[0] == ["image", "picture", "Pred-Ens"]
    assert "what each says itself" not in html


def test_maps_of_another_model_are_not_shown(tmp_path):
    with_maps(tmp_path)
    path = tmp_path / "run/maps.json"
    maps = json.loads(path.read_text())
    path.write_text(json.dumps({**maps, "rules": ["mask/q"] * 3}))
    (tmp_path / "run/checksums.json").unlink()
    write_run_report(tmp_path / "run")
    assert "looks</h2>" not in html_of(tmp_path)


@pytest.mark.parametrize(
    "at,words",
    [((0, 0), "top left"), ((2, 3), "middle centre"), ((5, 6), "bottom right")],
)
def test_the_place_in_words(at, words):
    shares = np.zeros([6, 7])
    shares[at] = 0.5
    assert place(shares) == f"most at the {words}, 50 % of the row's"
    assert place(np.zeros([6, 7])) == "no place"


def test_what_counts_is_orange_and_all_else_grey():
    image = PIL.Image.new("RGB", (40, 20), (120, 80, 200))
    pixels = np.asarray(warmed(image, np.array([[0.0, 1.0]]))).astype(int)
    assert pixels.shape == (20, 40, 3)
    left, right = pixels[:, 2], pixels[:, -3]
    assert np.ptp(left, axis=-1).max() == 0
    assert (right[:, 0] > right[:, 1]).all() and right[:, 2].max() < 80
