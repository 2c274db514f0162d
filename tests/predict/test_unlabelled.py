"""Images without labels: what is counted is what the model says of each."""

import csv
import json

import numpy as np
import PIL.Image
import pytest

import dmg_tf
from dmg_tf.commands import predict
from dmg_tf.errors import UserError
from dmg_tf.evaluation.new_site import has_labels
from dmg_tf.predict.unlabelled import DOUBTFUL, evaluate_unlabelled
from dmg_tf.predict.unlabelled_text import show_unlabelled, unlabelled_text
from dmg_tf.rules import Calibration
from tests.export.helpers import CLASSES, SIZE, make, write_run
from tests.predict.test_files import with_clear_answers

SOURCES = {
    "images": 40,
    "accuracy": 0.8,
    "classes": {"predicted": [10, 0, 20, 5, 5]},
    "abstain": {"0.05": {"coverage": 0.75}, "0.2": {"coverage": 1.0}},
}
COUNT = DOUBTFUL + 4


@pytest.fixture(scope="module")
def folder(with_stub, tmp_path_factory):
    """A run, and pictures in a folder and in one within it."""
    folder = tmp_path_factory.mktemp("unlabelled")
    rng = np.random.default_rng(0)
    (folder / "clinic" / "monday").mkdir(parents=True)
    for i in range(COUNT):
        place = folder / "clinic" / ("monday" if i % 3 else "") / f"{i}.png"
        colour = 255 * rng.integers(0, 2, 3) - rng.integers(0, 60, 3)
        pixels = np.full((SIZE, SIZE, 3), np.clip(colour, 0, 255), np.uint8)
        PIL.Image.fromarray(pixels).save(place)
    model = with_clear_answers(make("dmg", "stub"))
    least = {"0.05": 0.4, "0.2": 0.0, "0.01": 2.0}
    model.calibration = {"pred_ens": Calibration(1.5, 40, thresholds=least)}
    write_run(model, folder / "run")
    path = folder / "run" / "results.json"
    metrics = {"in_domain": {"pred_ens": {"overall": SOURCES}}}
    results = {
        **json.loads(path.read_text()),
        "in_domain_split": "validation",
        "metrics": metrics,
    }
    path.write_text(json.dumps(results))
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return evaluate_unlabelled(folder / "run", str(folder / "clinic"))


def test_it_counts_what_the_model_says_of_each(folder, found):
    said = dmg_tf.load(folder / "run").predict(folder / "clinic")
    assert found["images"] == len(said) == COUNT
    assert found["class_names"] == CLASSES
    assert found["predicted"] == [said.classes.count(n) for n in CLASSES]
    sure = said.probabilities.max(axis=1)
    assert found["mean_probability"] == pytest.approx(sure.mean())
    assert found["estimated_accuracy"] == found["mean_probability"]
    assert found["calibrated"]
    assert found["undecided"] == {
        "0.01": 1.0,
        "0.05": pytest.approx((sure < 0.4).mean()),
        "0.2": 0.0,
    }
    assert 0 < found["undecided"]["0.05"] < 1
    order = np.argsort(sure, kind="stable")[:DOUBTFUL]
    for picture, i in zip(found["most_doubtful"], order, strict=True):
        best = np.argsort(-said.probabilities[i])[:2]
        assert picture["path"] == said.paths[i]
        assert picture["classes"] == [CLASSES[c] for c in best]
        np.testing.assert_allclose(
            picture["probabilities"], said.probabilities[i][best], rtol=1e-5
        )
    assert found["sources"]["predicted"] == SOURCES["classes"]["predicted"]
    assert found["sources"]["undecided"] == {"0.05": 0.25, "0.2": 0.0}


def test_the_files_are_beside_the_run(folder, found):
    written = folder / "run-on-clinic.json"
    assert json.loads(written.read_text()) == found
    table = folder / "run-on-clinic.csv"
    assert found["predictions_file"] == str(table)
    other = folder / "out.csv"
    argv = [str(folder / "run"), str(folder / "clinic"), "--csv", str(other)]
    assert predict.main([*argv, "--top-k", "2"]) == 0
    assert table.read_text() == other.read_text()
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    agreement = np.mean([float(row["agreement"]) for row in rows])
    assert found["agreement"] == pytest.approx(agreement, abs=1e-6)
    disputed = np.mean([float(row["votes"]) < 1 for row in rows])
    assert found["disputed"] == pytest.approx(disputed)
    assert {path.name for path in (folder / "run").iterdir()} == {
        *("model.keras", "results.json")
    }


def test_the_text(found, capsys):
    show_unlabelled(found)
    text = capsys.readouterr().out
    tables, files = text.split("\npredictions: ")
    assert max(map(len, tables.splitlines())) <= 80
    assert files.startswith(found["predictions_file"])
    words = " ".join(tables.split())
    assert f"clinic: {COUNT} images, predicted by Pred-Ens" in words
    assert "no labels, so no accuracy is measured" in words
    assert "sources, validation" in words
    assert "Estimate, not a measurement" in words and "optimistic" in words
    assert "mean agreement of the masks" in words
    assert "not calibrated" not in words
    assert "left undecided for at most 5 % errors" in words
    first = found["most_doubtful"][0]
    assert first["path"].rpartition("clinic/")[2] in words
    assert f"{first['classes'][0]} {100 * first['probabilities'][0]:.0f} %" in (
        words
    )


def test_the_text_of_a_model_that_says_less(found):
    """An older run, of a method without masks, with very many classes."""
    many = {
        **found,
        **{"sources": None, "part": None, "agreement": None, "disputed": None},
        "calibrated": False,
        "undecided": {},
        "class_names": [f"class {i}" for i in range(345)],
        "predicted": [1] * 345,
        "unreadable": {"x.png": "empty"},
    }
    text = unlabelled_text(many)
    assert "and 315 more" in text and "agreement" not in text
    assert "not calibrated" in text
    assert "sources" not in text and "1 file could not be read" in text


def test_an_image_that_cannot_be_read(folder, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    root, run = str(tmp_path), folder / "run"
    stem = f"run-on-{tmp_path.name}"
    with pytest.raises(UserError, match="bad.png"):
        evaluate_unlabelled(run, root)
    with pytest.raises(UserError, match="no image of .* could be read"):
        evaluate_unlabelled(run, root, skip_bad=True)
    assert not list(folder.glob(f"{stem}*"))
    picture = folder / "clinic" / "0.png"
    (tmp_path / "good.png").write_bytes(picture.read_bytes())
    found = evaluate_unlabelled(run, root, skip_bad=True)
    assert found["images"] == 1
    assert list(found["unreadable"]) == [str(tmp_path / "bad.png")]


RESULTS = {"class_names": ["dog", "house"], "source_domains": ["photo", "art"]}


@pytest.mark.parametrize(
    "files, labelled",
    [
        (["1.png", "2.jpg"], False),
        (["1.png", "notes/dogs.txt"], False),
        (["monday/1.png", "tuesday/camera 1/2.png"], False),
        (["unheard/1.png"], False),
        (["dog/1.png", "unheard/2.png", "3.png"], True),
        (["site/house/1.png"], True),
        (["photo/anything/1.png"], True),
        # A mistake, which is told by who reads it.
        (["Dog/1.png"], True),
        (["site/_house/1.png"], True),
        (["notes.txt"], True),
        (["1.png", "splits/x_train_kfold.txt", "x/"], True),
    ],
)
def test_what_has_labels(files, labelled, tmp_path):
    for name in files:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            place.mkdir()
        else:
            place.write_text("x/dog/1.png 1\n")
    assert has_labels(str(tmp_path), RESULTS) == labelled


def test_no_folder_at_all(tmp_path):
    with pytest.raises(UserError, match="--data .*none does not exist"):
        has_labels(str(tmp_path / "none"), RESULTS)
