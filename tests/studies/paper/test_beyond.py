"""Worst cases and calibration of a sweep, beside the paper's own tables."""

import json

import pytest

from dmg_tf.runs.predictions import OVERALL
from dmg_tf.studies.paper.tables import all_tables, beyond_accuracy
from dmg_tf.studies.runs import load_runs
from dmg_tf.studies.sweep.panels import overview
from tests.studies.fake_runs import write_run


def add_metrics(folder, name, value):
    path = folder / name / "results.json"
    results = json.loads(path.read_text())
    numbers = {
        "accuracy": value,
        "worst_class": {"class": "x", "accuracy": value / 2, "images": 9},
        "worst_domain": {"domain": "a", "accuracy": value / 4, "images": 9},
        "balanced_accuracy": value - 0.1,
        "ece": 0.1 * value,
        "ece_uncalibrated": 0.2 * value,
    }
    own = {"pred_ens": {OVERALL: numbers}}
    results["metrics"] = {"in_domain": own, "out_of_domain": own}
    path.write_text(json.dumps(results))


@pytest.fixture
def runs(tmp_path):
    for seed in (0, 1):
        for target, value in (("a", 0.8), ("b", 0.4)):
            name = f"{target}{seed}"
            write_run(
                tmp_path, name, target=target, method="aggregate", seed=seed
            )
            add_metrics(tmp_path, name, value + 0.1 * seed)
    return load_runs(tmp_path)[0]


def test_a_row_a_method(runs):
    (row,) = beyond_accuracy(runs).rows
    cells = {name: cell.mean for name, cell in row.cells.items()}
    # Means over targets, then over seeds; the worst target is a minimum.
    assert cells == {
        "worst target": pytest.approx((0.4 + 0.5) / 2),
        "worst class": pytest.approx(0.65 / 2),
        "worst source": pytest.approx(0.65 / 4),
        "balanced": pytest.approx(0.55),
        "ECE": pytest.approx(0.065),
        "ECE uncalibrated": pytest.approx(0.13),
    }
    assert row.count() == "2"
    assert "beyond_accuracy" in [table.name for table in all_tables(runs)]


def test_a_seed_without_all_targets_has_no_part(runs):
    (row,) = beyond_accuracy(runs[:3]).rows
    assert row.cells["worst target"].count == 1


def test_older_runs_have_no_such_table(tmp_path):
    write_run(tmp_path, "a", target="a", method="aggregate")
    runs = load_runs(tmp_path)[0]
    assert not beyond_accuracy(runs).rows
    assert "beyond_accuracy" not in [table.name for table in all_tables(runs)]


def test_a_single_seed_has_an_interval(runs):
    assert "%)" not in overview(runs)
    assert "%)" in overview([run for run in runs if run.config["seed"] == 0])
