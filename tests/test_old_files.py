"""What version 0.1 wrote is read, evaluated, exported, resumed and searched on.

The files are made by the last commit of that version, taken from git's
history, on the stub backbone.
"""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import keras
import numpy as np
import pytest

from dmg_tf.commands import evaluate, export, predict, report, search, train
from dmg_tf.commands import leave_one_out as sweep
from dmg_tf.config import RunConfig
from dmg_tf.runs.folder import load_run_model
from tests.conftest import ROOT
from tests.devices.workers import last_weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("with_stub")]

COMMIT = "ac2e729"
METHODS = ("dmg", "aggregate", "multi_headed", "metareg")


def git(*args, **kwargs):
    return subprocess.run(["git", *args], cwd=ROOT, check=True, **kwargs)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The project as it was."""
    folder = tmp_path_factory.mktemp("version_0_1")
    try:
        git("cat-file", "-e", f"{COMMIT}^{{commit}}", capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the commit {COMMIT} is not in this clone's history")
    with open(folder / "old.tar", "wb") as file:
        git("archive", COMMIT, stdout=file)
    with tarfile.open(folder / "old.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder


def flags(data, output, *more):
    return [
        *("--data", str(data), "--target", "c", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--batch-size", "8"),
        # Graphs that decode images are most of a short run's time.
        *("--learning-rate", "0.01", "--cache", "memory"),
        *("--output", str(output), *more),
    ]


def extra(method):
    """Settings that are not the defaults, where a file could lose them."""
    return {
        "dmg": ["--mask-learning-rate", "0.05", "--siou-weight", "0.5"],
        "metareg": ["--meta-steps", "2"],
        "aggregate": ["--mask-sites", "fc"],
    }.get(method, [])


# All that the old version does, in one process. A run in a folder NAME-3 leaves
# a copy, as it was after two epochs, in NAME-2: what a killed run of three
# leaves.
OLD = """
import json, os, shutil, sys
import keras, numpy as np, tensorflow as tf
import train
from dmg_tf import export
from dmg_tf.registry import BACKBONES
from tuning import search
BACKBONES._places['stub'] = 'tests.stubs:stub'
# As where the tests run, so that both round alike.
tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
end = keras.callbacks.CallbackList.on_epoch_end
def copied(self, epoch, logs=None):
    end(self, epoch, logs)
    copy = output[:-1] + '2'
    if epoch == 1 and output.endswith('-3') and not os.path.exists(copy):
        shutil.copytree(output, copy)
keras.callbacks.CallbackList.on_epoch_end = copied
todo = json.loads(sys.argv[1])
for argv in todo['train']:
    output = argv[argv.index('--output') + 1]
    if train.main(argv):
        sys.exit(1)
images = np.random.default_rng(0).normal(size=(4, 32, 32, 3))
ids = np.array([0, 1, 1, 0], np.int32)
for folder in todo['predict']:
    model = keras.models.load_model(folder + '/model.keras')
    rules = [*model.prediction_rules, model.selection_rule]
    np.savez(folder + '-predicted.npz', **{
        r.replace('/', ':'): model.logits(images, r, ids).numpy() for r in rules
    })
output = ''
sys.exit(export.main(todo['export']) or search.main(todo['search']))
"""


@pytest.fixture(scope="module")
def runs(old, tiny_folder, tmp_path_factory):
    """Run folders of each method: after 2 epochs, and after 3.

    That of dmg ended after 2, the others were killed. Beside each NAME-3 what
    it predicts, and a run with a cache of decoded images, `cached`, with that
    `cache`; of dmg-3 an export, `exported`, and a `search`.
    """
    root = tmp_path_factory.mktemp("runs")
    (old / "tests" / "old_version.py").write_text(OLD)
    ended = [("dmg", "2"), *((method, "3") for method in METHODS)]
    runs = [
        flags(
            tiny_folder,
            root / f"{method}-{epochs}",
            *("--method", method, "--epochs", epochs, *extra(method)),
        )
        for method, epochs in ended
    ]
    runs.append(flags(tiny_folder, root / "cached", *cached(root)))
    todo = {
        "train": runs,
        "predict": [str(root / f"{method}-3") for method in METHODS],
        "export": [str(root / "dmg-3"), str(root / "exported")],
        "search": [*searched(tiny_folder, root), "2"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.old_version", json.dumps(todo)],
        cwd=old,
        env={**os.environ, "PYTHONPATH": str(old)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return root


def cached(root):
    """Flags of a run that keeps decoded images."""
    folder = str(root / "cache")
    return ["--cache", "disk", "--cache-dir", folder, "--epochs", "1"]


def searched(data, root):
    """Flags of a search, but for the number of its trials."""
    return [
        *flags(data, root / "search", "--epochs", "1"),
        *("--siou-weights", "0", "0.1", "1", "--max-trials"),
    ]


def new_flags(tiny_folder, run_dir, *more):
    """The flags of a run, but for those that are another method's."""
    config = RunConfig.read(run_dir)
    own = {
        "dmg": ["--mask-learning-rate", "0.05", "--siou-weight", "0.5"],
        "metareg": ["--meta-steps", "2"],
    }.get(config.method, [])
    return flags(tiny_folder, run_dir, "--method", config.method, *own, *more)


@pytest.mark.parametrize("method", METHODS)
def test_config_is_read(runs, method):
    config = RunConfig.read(runs / f"{method}-2")
    assert config.method == method
    assert config.epochs == (2 if method == "dmg" else 3)
    ended = (runs / f"{method}-2" / "results.json").exists()
    assert ended == (method == "dmg")
    if method == "dmg":
        assert config.options.mask_learning_rate == 0.05
        assert config.options.siou_weight == 0.5
    if method == "metareg":
        assert config.options.meta_steps == 2
        flat = json.loads((runs / "metareg-2" / "config.json").read_text())
        other = RunConfig.from_json({**flat, "mask_sites": ["body"]})
        assert other.options.mask_sites == ("body",)


@pytest.mark.parametrize("method", METHODS)
def test_model_predicts_as_it_did(runs, method):
    folder = runs / f"{method}-3"
    model = load_run_model(folder)
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3))
    ids = np.array([0, 1, 1, 0], np.int32)
    with np.load(f"{folder}-predicted.npz") as expected:
        rules = {name.replace(":", "/") for name in expected}
        assert rules == {rule.name for rule in model.rules()}
        for rule in rules:
            np.testing.assert_array_equal(
                model.logits(images, rule, ids),
                expected[rule.replace("/", ":")],
            )


@pytest.mark.parametrize("method", METHODS)
def test_resumed_to_the_same_weights(runs, tiny_folder, method, tmp_path):
    folder = runs / f"{method}-2"
    argv = new_flags(tiny_folder, folder, "--epochs", "3", "--resume")
    assert train.main(argv) == 0
    whole, resumed = last_weights(runs / f"{method}-3"), last_weights(folder)
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name], name)
    columns = []
    for run_dir in (runs / f"{method}-3", folder):
        with open(run_dir / "history.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            del row["seconds"], row["images_per_second"]
        columns.append(rows)
    assert columns[0] == columns[1]


def test_other_settings_are_still_refused(runs, tiny_folder, capsys):
    folder = runs / "dmg-3"
    argv = flags(tiny_folder, folder, "--epochs", "3", "--resume")
    assert train.main(argv) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--siou-weight was 0.5, is 0.1" in line


@pytest.mark.parametrize("method", METHODS)
def test_evaluated_and_reported(runs, method, capsys):
    folder = runs / f"{method}-3"
    before = json.loads((folder / "results.json").read_text())
    assert "rules" not in before
    assert evaluate.main([str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for part in ("in_domain", "out_of_domain", "mask_iou", "mask_density"):
        assert found[part] == before[part]
    assert report.main([str(folder)]) == 0
    assert "Pred-Ens" in (folder / "report.html").read_text("utf-8")


# What is exported is the model, which predicts as it did, of each method.
@pytest.mark.parametrize("method", ["dmg", "metareg"])
def test_exported(runs, method, tmp_path):
    folder, saved = runs / f"{method}-3", tmp_path / "saved"
    before = json.loads((folder / "results.json").read_text())
    assert export.main([str(folder), str(saved)]) == 0
    table = tmp_path / "table.csv"
    images = [*map(str, pathlib.Path(before["config"]["data"]).glob("c/*/*"))]
    for model in (folder, saved):
        assert predict.main([str(model), *images, "--csv", str(table)]) == 0
        rows = list(csv.DictReader(table.open()))
        assert len(rows) == len(images) and not any(r["error"] for r in rows)


def test_an_export_of_version_0_1_predicts(runs, tmp_path, capsys):
    saved, table = runs / "exported", tmp_path / "table.csv"
    data = json.loads((runs / "dmg-3" / "results.json").read_text())
    images = pathlib.Path(data["config"]["data"]) / "c"
    assert predict.main([str(saved), str(images), "--csv", str(table)]) == 0
    header = table.read_text().splitlines()[0]
    assert "mask/a/class" in header and "agreement" in header


def test_a_cache_of_decoded_images_is_no_obstacle(runs, tiny_folder, tmp_path):
    cache = runs / "cache"
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}
    assert before
    argv = flags(tiny_folder, tmp_path / "new", *cached(runs))
    assert train.main(argv) == 0
    # It is left alone: pixels have another meaning now, and a checksum.
    after = {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}
    assert before.items() <= after.items() and len(after) == 2 * len(before)
    results = [
        json.loads((folder / "results.json").read_text())
        for folder in (runs / "cached", tmp_path / "new")
    ]
    assert results[0]["out_of_domain"] == results[1]["out_of_domain"]


def test_a_search_goes_on(runs, tiny_folder):
    folder = runs / "search"
    trials = sorted(folder.rglob("results.json"))
    before = {p: p.read_text() for p in trials if "trial" in str(p)}
    assert len(before) >= 2
    assert search.main([*searched(tiny_folder, runs), "3"]) == 0
    for path, text in before.items():
        assert path.read_text() == text
    found = json.loads((folder / "results.json").read_text())
    assert len(found["trials"]) == 3


def test_a_sweep_keeps_what_is_finished(runs, tiny_folder, tmp_path):
    folder = tmp_path / "sweep"
    argv = [
        *("--data", str(tiny_folder), "--targets", "c", "--weights", "none"),
        *("--backbones", "resnet18", "--methods", "dmg", "aggregate"),
        *("--output", str(folder)),
    ]
    for method in ("dmg", "aggregate"):
        results = json.loads(
            (runs / f"{method}-3" / "results.json").read_text()
        )
        name = f"folder-c-{method}-resnet18-seed0"
        config = RunConfig(
            target="c", data=str(tiny_folder), method=method, weights="none"
        ).resolve("folder")
        config = config.replace(output=str(folder / name))
        # As version 0.1 had it: the options of all methods.
        flat = {**results["config"], **config.to_json()}
        shutil.copytree(runs / f"{method}-3", folder / name)
        (folder / name / "config.json").write_text(json.dumps(flat))
        (folder / name / "results.json").write_text(
            json.dumps({**results, "config": flat})
        )
    assert sweep.main(argv) == 0
    tables = "".join(p.read_text() for p in folder.glob("*.md"))
    assert "DMG" in tables and "Aggregate" in tables


def test_old_optimizer_settings_are_kept(runs):
    model = load_run_model(runs / "dmg-3")
    rates = model.optimizer.rates
    masks = {id(m.mask_logits) for m in model.domain_masks.values()}
    for rate, variable in zip(rates, model.trainable_variables, strict=True):
        assert rate == pytest.approx(5.0 if id(variable) in masks else 1.0)
    assert isinstance(model.optimizer, keras.optimizers.Adam)
