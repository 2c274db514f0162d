"""A method, a dataset and a backbone by one line each, through everything.

All three live in `tests/toys`: nothing of the package knows them.
"""

import csv
import json
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import dmg_tf
from dmg_tf.commands import (
    check_data,
    evaluate,
    export,
    leave_one_out,
    methods,
    predict,
    report,
    search,
    train,
)
from dmg_tf.studies.search import trials
from tests import toys
from tests.conftest import ROOT
from tests.devices.workers import last_weights
from tests.studies.search.fakes import fake_training


@pytest.fixture(scope="module", autouse=True)
def known():
    with toys.known():
        yield


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Three domains, two classes, 16 images each, in one folder."""
    root = tmp_path_factory.mktemp("flat")
    rng = np.random.default_rng(0)
    for domain in "abc":
        for label, name in enumerate(("dark", "light")):
            for index in range(16):
                low = 120 * label
                image = rng.integers(low, low + 120, (40, 40, 3), np.uint8)
                path = root / f"{domain}-{name}-{index:02d}.png"
                PIL.Image.fromarray(image).save(path)
    return root


def flags(flat, output, *more):
    return [
        *("--data", str(flat), "--target", "c", "--method", "experts"),
        *("--backbone", "dots", "--learning-rate", "0.01"),
        *("--cache", "memory"),
        *("--output", str(output), *more),
    ]


@pytest.fixture(scope="module")
def run_dir(flat, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "whole"
    argv = flags(flat, output, "--epochs", "3", "--spread", "0.25")
    assert train.main(argv) == 0
    return output


def test_trained_as_its_specs_say(run_dir):
    config = json.loads((run_dir / "config.json").read_text())
    assert config["dataset"] == "flat" and config["weights"] == "none"
    assert config["spread"] == 0.25 and config["expert_bias"] is False
    assert config["sampling"] == "balanced"  # it asks for batches by domain
    assert config["schedule"] == "constant"  # the method's, not the preset's
    assert config["batch_size"] == 8  # the preset's
    with open(run_dir / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert {"cross_entropy", "spread"} <= set(rows[0])
    results = json.loads((run_dir / "results.json").read_text())
    assert results["selection"]["rule"] == "own_expert"
    assert list(results["in_domain"]) == [
        "mean_expert",
        "shared",
        "own_expert",
        "expert/a",
        "expert/b",
    ]
    assert "own_expert" not in results["out_of_domain"]


def test_resumed_bit_for_bit(run_dir, flat, tmp_path, capsys):
    output = tmp_path / "broken"
    argv = flags(flat, output, "--spread", "0.25", "--epochs")
    assert train.main([*argv, "1"]) == 0
    assert train.main([*argv, "3", "--resume"]) == 0
    whole, resumed = last_weights(run_dir), last_weights(output)
    assert any("model" in name for name in whole)
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name], name)
    capsys.readouterr()
    assert train.main([*argv[:-1], "--spread", "1", "--resume"]) == 2
    assert "--spread was 0.25, is 1.0" in capsys.readouterr().err


def test_evaluated(run_dir, capsys):
    assert evaluate.main([str(run_dir)]) == 0
    printed = capsys.readouterr().out
    for title in ("mean of experts", "without experts", "expert of a"):
        assert title in printed
    rules = ["--prediction-rule", "shared", "expert/b", "--json"]
    assert evaluate.main([str(run_dir), *rules]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["in_domain"]) == ["shared", "expert/b"]


def test_exported_and_predicted(run_dir, flat, tmp_path, capsys):
    saved = tmp_path / "saved_model"
    assert export.main([str(run_dir), str(saved)]) == 0
    loaded = tf.saved_model.load(str(saved))
    assert {"per_expert", "shared", "own_expert", "own_expert_by_name"} <= set(
        loaded.signatures
    )
    images = sorted(map(str, flat.glob("c-*.png")))
    tables = []
    for model in (run_dir, saved):
        table = tmp_path / "table.csv"
        assert predict.main([str(model), *images, "--csv", str(table)]) == 0
        with open(table, newline="") as file:
            tables.append(list(csv.DictReader(file)))
    assert "the experts disagree" in capsys.readouterr().err
    for one, other in zip(*tables, strict=True):
        assert one["class"] == other["class"] and not one["error"]
        assert one["expert/a/class"] == other["expert/a/class"]
        assert float(one["agreement"]) == pytest.approx(
            float(other["agreement"]), abs=1e-4
        )
    folded = [str(run_dir), str(tmp_path / "folded"), "--fold"]
    capsys.readouterr()
    assert export.main(folded) == 2
    assert "Experts" in capsys.readouterr().err


def test_reported(run_dir):
    assert report.main([str(run_dir)]) == 0
    page = (run_dir / "report.html").read_text("utf-8")
    for words in ("mean of experts", "Experts", "spread of experts"):
        assert words in page


def test_loaded_as_a_library(run_dir, flat):
    model = dmg_tf.load(run_dir)
    images = sorted(map(str, flat.glob("c-*.png")))[:3]
    assert tuple(model.class_names) == ("dark", "light")
    assert model.embed(images).shape == (3, 6)


def test_checked(flat, capsys):
    assert check_data.main([str(flat), "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["dataset"] == "flat"


def test_searched_by_what_its_spec_says(flat, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trials, "run_training", fake_training)
    folder = tmp_path / "search"
    argv = flags(flat, folder, "--epochs", "1")
    assert search.main(argv) == 0
    printed = capsys.readouterr().out
    assert "σ" in printed
    results = json.loads((folder / "results.json").read_text())
    tried = {trial["values"]["spread"] for trial in results["trials"]}
    assert tried == {0.0, 1.0}
    other = tmp_path / "other"
    more = ["--epochs", "1", "--spreads", "0.125"]
    assert search.main(flags(flat, other, *more)) == 0
    results = json.loads((other / "results.json").read_text())
    assert [t["values"]["spread"] for t in results["trials"]] == [0.125]


def test_swept_beside_others(flat, tmp_path, capsys, monkeypatch):
    """Each run is a process, which knows the toys as an installed package."""
    package = tmp_path / "site"
    toys.write_package(package)
    monkeypatch.setenv("PYTHONPATH", f"{package}:{ROOT}")
    folder = tmp_path / "sweep"
    one = [
        *("--data", str(flat), "--target", "c", "--backbone", "dots"),
        *("--method", "aggregate", "--epochs", "1", "--cache", "memory"),
        *("--output", str(folder / "flat-c-aggregate-dots-seed0")),
    ]
    assert train.main(one) == 0
    argv = [
        *("--data", str(flat), "--targets", "c", "--backbones", "dots"),
        *("--methods", "aggregate", "experts:spread=2", "--epochs", "1"),
        *("--cache", "memory"),
        *("--output", str(folder)),
    ]
    capsys.readouterr()
    assert leave_one_out.main(argv) == 0
    printed, said = capsys.readouterr()
    assert "2 runs, 1 of them finished" in said
    assert "Experts" in printed and "Aggregate" in printed
    assert "spread" not in printed or "2" in printed
    for name in folder.glob("flat-c-experts*/config.json"):
        assert json.loads(name.read_text())["spread"] == 2.0
    wrong = [*argv[: argv.index("--methods") + 1], "aggregate:spread=2"]
    assert leave_one_out.main([*wrong, "--output", str(folder)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--spread is an option of experts, not of aggregate" in error


def test_options_and_rules_are_the_methods_own(flat, tmp_path, capsys):
    argv = flags(flat, tmp_path / "run", "--method", "aggregate")
    with pytest.raises(SystemExit):
        train.main([*argv, "--spread", "1"])
    error = capsys.readouterr().err
    assert "--spread is an option of experts, not of aggregate" in error
    with pytest.raises(SystemExit) as caught:
        train.main(["--method", "experts", "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "options of experts" in printed and "--expert-bias" in printed
    assert "--siou-weight" not in printed
    assert train.main(flags(flat, tmp_path / "run", "--spread", "-1")) == 2
    error = capsys.readouterr().err
    assert "--spread must be at least 0, got -1" in error
    assert train.main(flags(flat, tmp_path / "r", "--sampling", "pooled")) == 2
    assert "equal shares of the domains" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_documented(capsys):
    assert methods.main([]) == 0
    assert "Experts" in capsys.readouterr().out
    assert methods.main(["experts"]) == 0
    assert "--spread" in capsys.readouterr().out


def test_a_run_whose_method_is_gone_is_told(run_dir, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    config = json.loads((copy / "config.json").read_text())
    config["method"] = "gone"
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "checksums.json").unlink()
    assert evaluate.main([str(copy)]) == 2
    assert "unknown method 'gone'" in capsys.readouterr().err
