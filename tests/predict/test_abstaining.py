"""Which pictures a model should not decide, by the threshold of its file."""

import csv

import numpy as np
import PIL.Image
import pytest

import dmg_tf
from dmg_tf.commands import export, predict
from dmg_tf.rules import Calibration
from tests.export.helpers import SIZE, make, write_run

pytestmark = pytest.mark.usefixtures("with_stub")


@pytest.fixture(scope="module")
def folder(with_stub, tmp_path_factory):
    """A run, an exported one and an older run; and images, one damaged."""
    folder = tmp_path_factory.mktemp("abstaining")
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    for i in range(8):
        pixels = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
    (folder / "images" / "bad.png").write_bytes(b"no image")
    model = make("dmg", "stub")
    write_run(model, folder / "old")
    sure = sorted(float(row["probability"]) for row in rows(folder, "old")[:-1])
    least = {"0.05": (sure[2] + sure[3]) / 2, "0.2": 0.0, "0.01": 2.0}
    model.calibration = {"pred_ens": Calibration(1.0, 40, thresholds=least)}
    write_run(model, folder / "run")
    assert export.main([str(folder / "run"), str(folder / "saved")]) == 0
    return folder


def rows(folder, model, *flags):
    out = folder / "out.csv"
    argv = [str(folder / model), str(folder / "images"), "--csv", str(out)]
    assert predict.main([*argv, *flags]) == 0
    with open(out, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", ["run", "saved"])
def test_the_column_says_it(folder, model, capsys):
    found = rows(folder, model)
    assert list(found[0])[-3:] == ["agreement", "abstain", "error"]
    *read, bad = found
    assert bad["abstain"] == "" and bad["error"]
    assert [row["abstain"] for row in read].count("yes") == 3
    surest = max(float(r["probability"]) for r in read if r["abstain"] == "yes")
    for row in read:
        unsure = float(row["probability"]) <= surest
        assert row["abstain"] == ("yes" if unsure else "no")
    assert (
        "of 3 it is too unsure to decide (abstain)" in capsys.readouterr().err
    )


def test_another_rate(folder):
    def answers(rate):
        found = rows(folder, "run", "--abstain-error", rate)
        return {row["abstain"] for row in found[:-1]}

    assert answers("0.2") == {"no"} and answers("0.01") == {"yes"}


def test_models_that_do_not_say(folder, capsys):
    assert "abstain" not in rows(folder, "old")[0]
    argv = [str(folder / "old"), str(folder / "images")]
    assert predict.main([*argv, "--abstain-error", "0.1"]) == 2
    assert "does not say when to abstain" in capsys.readouterr().err
    assert (
        dmg_tf.load(folder / "old").predict(folder / "images" / "0.png").abstain
        is None
    )
    # A rule of its own that has no threshold.
    assert (
        "abstain" not in rows(folder, "run", "--prediction-rule", "mask_ens")[0]
    )


def test_a_rate_that_no_threshold_is_set_for(folder, capsys):
    with pytest.raises(SystemExit):
        predict.main([str(folder / "run"), "x.png", "--abstain-error", "0.3"])
    assert "0.05" in capsys.readouterr().err


def test_in_python(folder):
    model = dmg_tf.load(folder / "saved")
    images = [folder / "images" / f"{i}.png" for i in range(8)]
    found = model.predict(images)
    assert found.abstain.dtype == bool and found.abstain.sum() == 3
    assert not model.predict(images, abstain_error=0.2).abstain.any()
