"""The search from its flags to its table, figure and best run."""

import csv
import gc
import importlib.util
import json
import os
import shlex
import time

import keras
import numpy as np
import pytest
from tensorflow.python.framework.ops import gradient_registry

from dmg_tf.commands import search, train
from dmg_tf.data.images import decoding
from dmg_tf.errors import UserError
from dmg_tf.folders.lock import alone_in
from dmg_tf.studies.search import trials
from tests.commands.programs import answer_of
from tests.conftest import ROOT
from tests.devices.workers import cluster, last_weights
from tests.forked import Forked
from tests.studies.search.fakes import fake_training
from tests.studies.search.search_process import searched
from tests.training.runs import can_go_on

pytestmark = pytest.mark.usefixtures("with_stub")


def flags(data, output, *more):
    return [
        *("--data", str(data), "--target", "c", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--batch-size", "16"),
        *("--cache", "memory"),
        *("--epochs", "2", "--output", str(output), *more),
    ]


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def error_of(capsys, argv):
    """Runs the program; returns its one line of error."""
    capsys.readouterr()
    assert search.main(argv) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    errors = [x for x in printed.err.splitlines() if x.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


def kept_in_memory():
    """What TensorFlow and Keras hold on to: graphs by name, and models."""
    # What decodes images is traced once a process, on purpose.
    decoding._traced.cache_clear()
    kept = ("jpeg_exif", "png_exif", "orientation_at")
    gc.collect()
    objects = gc.get_objects()
    graphs = [o.name for o in objects if type(o).__name__ == "FuncGraph"]
    graphs = [name for name in graphs if name not in kept]
    return (
        sorted(graphs),
        sum(isinstance(o, keras.Model) for o in objects),
        len(gradient_registry.list()),
    )


@pytest.fixture(scope="module")
def finished(with_stub, tiny_folder, tmp_path_factory):
    """A grid of two values of λ_O, really trained, and what it left."""
    folder = tmp_path_factory.mktemp("searches") / "grid"
    argv = flags(tiny_folder, folder, "--siou-weights", "0", "0.1", "--seed=3")
    before = kept_in_memory()
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda *a, **_: printed.append(a[0]))
        assert search.main(argv) == 0
    return folder, argv, "\n".join(printed), (before, kept_in_memory())


@pytest.fixture
def no_training(monkeypatch):
    """Runs end at once, with numbers that depend on the settings alone."""
    monkeypatch.setattr(trials, "run_training", fake_training)


@pytest.fixture
def two_seeds(tiny_folder, tmp_path, no_training, capsys):
    """A grid of two values of λ_O with two seeds, and what it printed."""
    argv = flags(tiny_folder, tmp_path / "two", "--siou-weights", "0", "0.1")
    argv += ["--executions-per-trial", "2", "--seed", "3"]
    assert search.main(argv) == 0
    return tmp_path / "two", argv, capsys.readouterr().out


# === What a search leaves ===


def test_every_trial_is_a_whole_run_folder(finished):
    folder = finished[0]
    for trial, weight in (("0", 0.0), ("1", 0.1)):
        run_dir = folder / f"trial_{trial}" / "seed3"
        config = json.loads((run_dir / "config.json").read_text())
        assert config["siou_weight"] == weight and config["seed"] == 3
        assert (run_dir / "model.keras").exists()
        assert results_of(run_dir)["config"] == config


def test_a_run_leaves_nothing_in_memory(finished):
    before, after = finished[3]
    assert after == before


def test_the_objective_is_the_sources_validation(two_seeds):
    folder = two_seeds[0]
    summary = results_of(folder)
    for trial in summary["trials"]:
        runs = [results_of(folder / run["folder"]) for run in trial["runs"]]
        assert [run["config"]["seed"] for run in runs] == [3, 4]
        first, second = (run["selection"]["value"] for run in runs)
        mean = trial["validation"]
        assert mean["value"] == pytest.approx((first + second) / 2)
        assert mean["count"] == 2
        half = abs(first - second) / 2
        assert mean["standard_error"] == pytest.approx(half)
        state = folder / f"trial_{trial['trial']}" / "trial.json"
        assert json.loads(state.read_text())["score"] == mean["value"]
        outside = [run["out_of_domain"]["pred_ens"]["overall"] for run in runs]
        assert trial["out_of_domain"]["value"] == pytest.approx(
            sum(outside) / 2
        )
    best = max(summary["trials"], key=lambda t: t["validation"]["value"])
    assert summary["best"]["trial"] == best["trial"]


def test_csv_has_a_row_a_run(two_seeds):
    folder = two_seeds[0]
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["siou_weight"], r["seed"]) for r in rows] == [
        (weight, seed) for weight in ("0.0", "0.1") for seed in ("3", "4")
    ]
    for row in rows:
        run = results_of(folder / row["folder"])
        assert float(row["validation"]) == run["selection"]["value"]
        assert row["error"] == ""


def test_table(two_seeds):
    folder, _, printed = two_seeds
    assert "Search (grid): dmg on stub, target c, 2 settings" in printed
    assert "λ_O" in printed and "target c *" in printed
    assert "The target had no part in any choice" in printed
    assert "n = 2 (seeds 3 to 4)" in printed
    best = next(x for x in printed.splitlines() if x.endswith(" best"))
    weight = results_of(folder)["best"]["values"]["siou_weight"]
    assert best.split()[0] == f"{weight:g}" and best.count("±") == 5
    for kind in ("png", "svg"):
        figure = folder / f"sensitivity-siou_weight.{kind}"
        assert figure.stat().st_size > 10_000


@pytest.mark.slow
def test_the_best_run_can_be_made_again(finished, tmp_path, capsys):
    folder, _, printed, _ = finished
    best = results_of(folder)["best"]
    assert shlex.join(best["command"]) in printed
    assert f"--siou-weight={best['values']['siou_weight']}" in best["command"]
    program, command, *argv = best["command"]
    assert (program, command) == ("dmg-tf", "train")
    argv.append(f"--output={tmp_path / 'again'}")  # the last one counts
    assert train.main(argv) == 0
    old, new = results_of(folder / best["run"]), results_of(tmp_path / "again")
    for part in ("selection", "in_domain", "out_of_domain", "mask_iou"):
        assert old[part] == new[part]
    different = {k for k, v in old["config"].items() if v != new["config"][k]}
    assert different == {"output"}


# === Several devices ===


@pytest.mark.slow
def test_two_devices_search_as_one(finished, tiny_folder, tmp_path, capsys):
    """All trials share one MirroredStrategy, and end where one device does."""
    one = finished[0]
    argv = flags(tiny_folder, tmp_path, "--siou-weights", "0", "0.1")
    argv += ["--seed=3", "--strategy", "mirrored"]
    before = kept_in_memory()
    assert search.main(argv) == 0
    assert (
        capsys.readouterr().err.count("2 devices share each batch of 16") == 2
    )
    assert kept_in_memory() == before
    two = results_of(tmp_path)["trials"]
    for old, new in zip(results_of(one)["trials"], two, strict=True):
        assert old["values"] == new["values"]
        run_dir = old["runs"][0]["folder"]
        first = last_weights(one / run_dir)
        second = last_weights(tmp_path / run_dir)
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_allclose(
                value, second[name], rtol=0, atol=1e-5, err_msg=name
            )


def test_several_machines_are_refused(
    tiny_folder, tmp_path, capsys, monkeypatch
):
    argv = flags(tiny_folder, tmp_path / "s")
    line = error_of(capsys, [*argv, "--strategy", "multi_worker"])
    assert "each run of a sweep is trained by one process" in line
    monkeypatch.setenv("TF_CONFIG", cluster(2)[0])
    assert "--strategy auto with TF_CONFIG" in error_of(capsys, argv)
    assert not (tmp_path / "s").exists()


# === Going on ===


def test_damaged_state_is_told(two_seeds, capsys):
    """A byte of a file; its checksum is in it."""
    folder, argv, _ = two_seeds
    names = ("search.json", "oracle.json", "trial_0/trial.json")
    for path in (folder / name for name in names):
        contents = path.read_bytes()
        place = contents.index(b": ") + 3
        for damaged in (
            contents[: len(contents) // 2],
            contents[:place]
            + bytes([contents[place] ^ 4])
            + contents[place + 1 :],
            b"[1]",
            b"",
        ):
            path.write_bytes(damaged)
            line = error_of(capsys, argv)
            assert str(path) in line and "damaged" in line
        path.write_bytes(contents)
    assert search.main(argv) == 0


@pytest.fixture
def never(monkeypatch):
    """Any training is an error."""

    def fail(config, resume):
        raise AssertionError(f"trains {config.output} again")

    monkeypatch.setattr(trials, "run_training", fail)


def test_a_finished_search_is_read(finished, never, capsys):
    _, argv, printed, _ = finished
    assert search.main(argv) == 0
    assert capsys.readouterr().out.strip() == printed.strip()


def test_finished_runs_are_recognised(two_seeds, request):
    """Even where all that KerasTuner knew is lost."""
    folder, argv, _ = two_seeds
    before = results_of(folder)
    (folder / "oracle.json").unlink()
    request.getfixturevalue("never")
    assert search.main(argv) == 0
    assert results_of(folder) == before


def test_other_settings_are_refused(two_seeds, capsys):
    argv = two_seeds[1]
    line = error_of(capsys, [*argv, "--epochs", "3"])
    assert "config.epochs was 2, is 3" in line
    line = error_of(capsys, [*argv, "--siou-weights", "0", "1"])
    assert "space was {'siou_weight': [0.0, 0.1]}, is" in line
    line = error_of(capsys, [*argv, "--tuner", "random"])
    assert "tuner was grid, is random" in line


def test_a_search_from_before_a_setting_goes_on(two_seeds, request):
    folder, argv, _ = two_seeds
    path = folder / "search.json"
    settings = json.loads(path.read_text())
    del settings["config"]["track_target"], settings["sha256"]
    path.write_text(json.dumps(settings))
    request.getfixturevalue("never")
    assert search.main(argv) == 0


def test_a_search_of_version_0_1_goes_on(two_seeds, request):
    """Its settings had the options of all methods."""
    folder, argv, _ = two_seeds
    further = {"meta_steps": 5, "meta_learning_rate": 0.01}
    path = folder / "search.json"
    settings = json.loads(path.read_text())
    settings["config"].update(further)
    del settings["sha256"]
    path.write_text(json.dumps(settings))
    for path in folder.glob("trial_*/seed*/*.json"):
        values = json.loads(path.read_text())
        values.get("config", values).update(further)
        path.write_text(json.dumps(values))
    request.getfixturevalue("never")
    assert search.main(argv) == 0


def test_a_grid_can_be_taken_further(
    tiny_folder, tmp_path, capsys, no_training
):
    folder = tmp_path / "s"
    argv = flags(tiny_folder, folder, "--siou-weights", "0", "0.1", "1")
    assert search.main([*argv, "--max-trials", "1"]) == 0
    assert len(results_of(folder)["trials"]) == 1
    assert search.main([*argv, "--max-trials", "2"]) == 0
    rows = results_of(folder)["trials"]
    assert [row["values"]["siou_weight"] for row in rows] == [0.0, 0.1]
    assert "1 of 2 trials are done" in capsys.readouterr().err


def test_a_run_that_was_killed_at_once_is_begun_again(
    tiny_folder, tmp_path, no_training
):
    """Before its first file was whole."""
    half = tmp_path / "s" / "trial_0" / "seed0"
    argv = flags(tiny_folder, tmp_path / "s", "--siou-weights", "0", "1")
    assert search.main([*argv, "--max-trials", "1"]) == 0
    (tmp_path / "s" / "oracle.json").unlink()
    for path in half.iterdir():
        path.unlink()
    (half / ".12-config.json").write_text("{")
    assert search.main(argv) == 0
    assert not any(row["error"] for row in results_of(tmp_path / "s")["trials"])


@pytest.mark.slow
def test_a_killed_search_goes_on(tiny_folder, tmp_path, capsys):
    """Killed in its second trial, after the first of four epochs."""
    folder, log = tmp_path / "search", tmp_path / "log"
    argv = flags(tiny_folder, folder, "--siou-weights", "0", "0.1")
    argv += ["--epochs", "4"]
    process = Forked(searched, argv, RUN_LOG=str(log), EPOCH_SECONDS="0.5")
    deadline = time.monotonic() + 120
    while not can_go_on(folder / "trial_1/seed0"):
        assert process.alive and time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    assert log.read_text().count("begin") == 2
    assert search.main(argv) == 0
    printed = capsys.readouterr().err
    assert "1 of 2 trials are done" in printed
    assert "trial_0" not in printed  # not started again
    assert "resumed after epoch" in printed
    rows = results_of(folder)["trials"]
    assert [row["trial"] for row in rows] == ["0", "1"]
    assert all(len(row["runs"]) == 1 for row in rows)
    history = folder / "trial_1" / "seed0" / "history.csv"
    assert len(history.read_text().splitlines()) == 5


# === Other tuners ===


def test_random(tiny_folder, tmp_path, capsys, no_training):
    folder = tmp_path / "s"
    argv = flags(
        tiny_folder,
        folder,
        *("--tuner", "random", "--max-trials", "3"),
        *("--siou-weights", "1e-5..1", "--mask-sites-choices", "fc", "body,fc"),
    )
    assert search.main(argv) == 0
    summary = results_of(folder)
    drawn = [row["values"]["siou_weight"] for row in summary["trials"]]
    assert len(set(drawn)) == 3 and drawn == sorted(drawn)
    for row in summary["trials"]:
        (run,) = row["runs"]
        config = results_of(folder / run["folder"])["config"]
        assert 1e-5 <= config["siou_weight"] <= 1
        assert config["siou_weight"] == row["values"]["siou_weight"]
        assert ",".join(config["mask_sites"]) == row["values"]["mask_sites"]
    best = summary["best"]
    assert f"--siou-weight={best['values']['siou_weight']}" in best["command"]
    assert (folder / "sensitivity-siou_weight.png").exists()


def test_hyperband_prolongs_runs(tiny_folder, tmp_path, capsys, no_training):
    """Three epochs: a bracket of 1 and then 3 epochs, and one of 3 alone."""
    folder = tmp_path / "s"
    argv = flags(
        tiny_folder,
        folder,
        *("--tuner", "hyperband", "--siou-weights", "1e-5..1"),
        *("--epochs", "3"),
    )
    assert search.main(argv) == 0
    assert "epochs" in capsys.readouterr().out
    rows = results_of(folder)["trials"]
    runs = [run for row in rows for run in row["runs"]]
    assert {run["epochs"] for run in runs} == {1, 3}
    for run in runs:
        history = folder / run["folder"] / "history.csv"
        assert len(history.read_text().splitlines()) == run["epochs"]
    # a trial that goes on with another has no folder of its own
    assert len(list(folder.glob("trial_*"))) > len(runs)
    assert len(list(folder.glob("trial_*/seed0"))) == len(runs)
    best = results_of(folder)["best"]["run"]
    epochs = results_of(folder / best)["config"]["epochs"]
    command = results_of(folder)["best"]["command"]
    assert f"--epochs={epochs}" in command


def test_bayesian(tiny_folder, tmp_path, capsys, no_training):
    pytest.importorskip("sklearn")
    argv = flags(tiny_folder, tmp_path / "s", "--tuner", "bayesian")
    argv += ["--siou-weights", "1e-5..1", "--max-trials", "4"]
    assert search.main(argv) == 0
    rows = results_of(tmp_path / "s")["trials"]
    assert len({row["values"]["siou_weight"] for row in rows}) == 4


# === Failures ===


def failing(monkeypatch, bad):
    """Runs whose λ_O is in `bad` diverge."""

    def run(config, resume):
        if config.options.siou_weight in bad:
            raise UserError("the loss is nan at step 8: training has diverged")
        return fake_training(config, resume)

    monkeypatch.setattr(trials, "run_training", run)


def test_a_failing_trial_does_not_stop_the_rest(
    tiny_folder, tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "s"
    values = ("0", "0.1", "0.2", "0.3", "1")
    argv = flags(tiny_folder, folder, "--siou-weights", *values)
    failing(monkeypatch, {0.0, 0.1, 0.2, 0.3})
    assert search.main(argv) == 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and "Warning" not in printed.err
    assert "1 setting\n" in printed.out and "4 failed:" in printed.out
    assert "trial 1, siou_weight 0.1: the loss is nan" in printed.out
    rows = results_of(folder)["trials"]
    assert [bool(row["error"]) for row in rows] == [True] * 4 + [False]
    # once more, and they are tried again
    failing(monkeypatch, {0.0})
    assert search.main(argv) == 0
    assert "1 failed:" in capsys.readouterr().out
    rows = results_of(folder)["trials"]
    assert [bool(row["error"]) for row in rows] == [True] + [False] * 4


def test_when_all_fail(tiny_folder, tmp_path, capsys, monkeypatch):
    failing(monkeypatch, {0.0, 0.1})
    argv = flags(tiny_folder, tmp_path / "s", "--siou-weights", "0", "0.1")
    line = error_of(capsys, argv)
    assert line.startswith("error: all 2 trials failed; one: the loss is nan")


def test_a_mistake_of_ours_is_shown(tiny_folder, tmp_path, capsys, monkeypatch):
    def broken(config, resume):
        raise ZeroDivisionError("by 0")

    monkeypatch.setattr(trials, "run_training", broken)
    argv = flags(tiny_folder, tmp_path / "s", "--siou-weights", "0", "1")
    assert search.main(argv) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "all 2 trials failed; one: ZeroDivisionError: by 0" in printed


def test_interrupted(tiny_folder, tmp_path, capsys, monkeypatch):
    def interrupt(config, resume):
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "run_training", interrupt)
    argv = flags(tiny_folder, tmp_path / "s", "--siou-weights", "0")
    assert search.main(argv) == 130
    assert "the same command goes on with it" in capsys.readouterr().err


def test_full_disk(tiny_folder, tmp_path, capsys, monkeypatch, no_training):
    """The state of the search cannot be written; nothing is lost by it."""
    argv = flags(tiny_folder, tmp_path / "s", "--siou-weights", "0", "1")
    assert search.main([*argv, "--max-trials", "1"]) == 0

    def full(path, state):
        raise UserError(f"cannot write {path}: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("dmg_tf.studies.search.oracles.write_sealed", full)
        assert "the disk is full" in error_of(capsys, argv)
    assert search.main(argv) == 0
    assert len(results_of(tmp_path / "s")["trials"]) == 2


# === Mistakes ===


@pytest.mark.parametrize(
    "more,words",
    [
        (["--target", "d"], "unknown domain in"),
        (["--data", "/no/such"], "does not exist"),
        (["--siou-weights", "-1"], "--siou-weights must be at least 0"),
        (["--output", "/dev/null/s"], "cannot write /dev/null/s"),
        (["--tuner", "hyperband"], "begins with 2 different settings"),
        (
            ["--tuner", "hyperband", "--max-trials", "3"],
            "--max-trials does not go with --tuner hyperband",
        ),
    ],
)
def test_mistakes_leave_nothing(tiny_folder, tmp_path, capsys, more, words):
    argv = flags(tiny_folder, tmp_path / "s", "--siou-weights", "0", *more)
    assert words in error_of(capsys, argv)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("keras_tuner", "a search needs keras-tuner"),
        ("sklearn", "needs scikit-learn"),
    ],
)
def test_without_its_packages(
    package, words, tiny_folder, tmp_path, capsys, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name == package else find(name),
    )
    argv = flags(tiny_folder, tmp_path / "s", "--tuner", "bayesian")
    line = error_of(capsys, argv)
    assert words in line and 'pip install "dmg-tf[search]"' in line
    assert not (tmp_path / "s").exists()


def test_another_method_s_options_cannot_be_searched(
    tiny_folder, tmp_path, capsys
):
    argv = flags(tiny_folder, tmp_path / "s", "--method", "aggregate")
    with pytest.raises(SystemExit) as ended:
        search.main([*argv, "--siou-weights", "0", "1"])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1
    assert "--siou-weights is an option of dmg, not of aggregate" in error
    line = error_of(capsys, argv)
    assert "aggregate has no values that a search tries by itself" in line
    assert not (tmp_path / "s").exists()


def test_a_method_without_masks(tiny_folder, tmp_path, capsys, no_training):
    argv = flags(tiny_folder, tmp_path / "s", "--method", "aggregate")
    assert search.main([*argv, "--learning-rates", "1e-3", "1e-4"]) == 0
    assert "learning" in capsys.readouterr().out
    rows = results_of(tmp_path / "s")["trials"]
    assert [row["values"]["learning_rate"] for row in rows] == [1e-4, 1e-3]


def test_arguments_are_checked_without_keras_tuner():
    code = (
        "import sys, dmg_tf_command\n"
        "from dmg_tf.commands import search\n"
        "args = search.make_parser().parse_args(['--target', 'sketch'])\n"
        "search.search_from_args(args)\n"
        "import dmg_tf.studies.search.text\n"
        "sys.exit('keras_tuner' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert answer_of("-c", code, within=5) == (0, "", "")


def test_folders_that_hold_something(tiny_folder, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    line = error_of(capsys, flags(tiny_folder, tmp_path))
    assert "is not empty and holds no search" in line
    line = error_of(capsys, flags(tiny_folder, tmp_path / "thesis.tex"))
    assert "is a file; give a folder" in line
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_two_searches_in_one_folder(two_seeds, capsys):
    folder, argv, _ = two_seeds
    with alone_in(folder, ""):
        line = error_of(capsys, argv)
    assert f"{folder} is in use: process {os.getpid()} on " in line
    assert "docs/tuning.md" in line


def test_names_beyond_ascii(tiny_folder, tmp_path, capsys, no_training):
    folder = tmp_path / "Zürich λ"
    argv = flags(tiny_folder, folder, "--siou-weights", "0", "1")
    assert search.main(argv) == 0
    assert shlex.quote(f"--output={folder / 'best'}") in capsys.readouterr().out


@pytest.mark.parametrize(
    "start, called",
    [
        (["tuning/search.py"], "python tuning/search.py"),
        (["-m", "dmg_tf", "search"], "python -m dmg_tf search"),
    ],
)
def test_wrong_flags_do_not_wait_for_tensorflow(start, called):
    flags = ["--target", "a", "--siou-weights", "x"]
    assert answer_of(*start, *flags, within=2) == (
        2,
        "",
        "error: argument --siou-weights: 'x' is not a number (see "
        f"{called} --help)\n",
    )


def test_help_is_quick_from_anywhere(tmp_path):
    program = ROOT / "tuning" / "search.py"
    code, printed, _ = answer_of(program, "--help", within=2, cwd=tmp_path)
    assert code == 0 and "--siou-weights" in printed
