"""Looking at the target after each epoch changes nothing but what is told."""

import json
import shutil

import numpy as np
import pytest

from dmg_tf.commands import train
from dmg_tf.runs.history import read_history
from tests.devices.workers import last_weights

FLAGS = [
    *("--target", "c", "--backbone", "stub", "--weights", "none"),
    *("--image-size", "32", "--batch-size", "16", "--epochs", "3"),
]


@pytest.fixture(scope="module")
def folders(with_stub, tiny_folder, tmp_path_factory):
    """A plain run, and one that looks."""
    root = tmp_path_factory.mktemp("runs")
    for name, more in (
        ("plain", []),
        ("looks", ["--track-target"]),
    ):
        argv = [*FLAGS, "--cache", "memory", "--data", str(tiny_folder), *more]
        assert train.main([*argv, "--output", str(root / name)]) == 0
    return root / "plain", root / "looks"


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def test_the_run_is_the_same(folders):
    plain, looks = map(last_weights, folders)
    assert plain.keys() == looks.keys()
    for name, value in plain.items():
        np.testing.assert_array_equal(value, looks[name])
    plain, looks = map(results_of, folders)
    for part in ("selection", "in_domain", "out_of_domain", "mask_iou"):
        assert plain[part] == looks[part]
    assert "oracle" not in plain


def test_the_target_is_written_down(folders):
    history = read_history(folders[1] / "history.csv")
    found = [row["target_pred_ens"] for row in history]
    results = results_of(folders[1])
    selected = results["selection"]["epoch"]
    outside = results["out_of_domain"]["pred_ens"]["overall"]
    assert found[selected - 1] == pytest.approx(outside)
    assert results["oracle"] == {
        "epoch": int(np.argmax(found)) + 1,
        "pred_ens": {"c": max(found), "overall": max(found)},
    }
    plain = read_history(folders[0] / "history.csv")
    assert "target_pred_ens" not in plain[0]


def test_a_damaged_target_image_is_named(
    with_stub, tiny_folder, tmp_path, capsys
):
    shutil.copytree(tiny_folder, tmp_path / "data")
    bad = tmp_path / "data" / "c" / "x" / "3.png"
    bad.write_bytes(b"no image")
    argv = [*FLAGS, "--data", str(tmp_path / "data"), "--track-target"]
    assert train.main([*argv, "--output", str(tmp_path / "run")]) == 2
    assert str(bad) in capsys.readouterr().err.splitlines()[-1]
