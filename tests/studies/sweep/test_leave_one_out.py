import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dmg_tf.commands import leave_one_out
from dmg_tf.registry import METHODS
from dmg_tf.studies.sweep import runner
from dmg_tf.studies.sweep.variants import written_out
from tests.conftest import ROOT

FAKE = ROOT / "tests" / "studies" / "fake_runs.py"


@pytest.fixture
def fake(monkeypatch):
    """Runs take no time."""
    monkeypatch.setattr(runner, "TRAIN", (sys.executable, str(FAKE)))


@pytest.fixture
def sweep(tiny_folder, tmp_path, fake):
    """Runs a sweep into tmp_path / "sweep"."""
    folder = tmp_path / "sweep"

    def run(*flags):
        data = ["--data", str(tiny_folder), "--output", str(folder)]
        return leave_one_out.main([*data, "--weights", "none", *flags])

    run.folder = folder
    return run


def names(folder):
    return {p.name for p in folder.iterdir() if p.is_dir()} - {"logs"}


def test_several_machines_are_refused(sweep, capsys):
    assert sweep("--strategy", "multi_worker") == 2
    assert "trained by one process" in capsys.readouterr().err
    assert not sweep.folder.exists()


# === What is run ===


def test_every_combination_is_a_run_folder(sweep, capsys):
    flags = ["--methods", "aggregate-sgd", "dmg:siou-weight=0.01,epochs=2"]
    assert sweep("--targets", "a", "c", "--seeds", "0", "5", *flags) == 0
    assert names(sweep.folder) == {
        f"folder-{target}-{method}-resnet18-seed{seed}"
        for target in "ac"
        for method in ("aggregate-sgd", "dmg-siou-weight=0.01,epochs=2")
        for seed in (0, 5)
    }
    configs = [
        json.loads((path / "config.json").read_text())
        for path in sorted(sweep.folder.glob("*seed5"))
    ]
    shown = [
        [c.get(k) for k in ("target", "method", "optimizer", "siou_weight")]
        for c in configs
    ]
    assert shown == [
        ["a", "aggregate", "sgd", None],
        ["a", "dmg", "adam", 0.01],
        ["c", "aggregate", "sgd", None],
        ["c", "dmg", "adam", 0.01],
    ]
    assert [c["epochs"] for c in configs] == [50, 2, 50, 2]
    assert {c["weights"] for c in configs} == {"none"}
    printed = capsys.readouterr()
    assert "8 runs, 0 of them finished" in printed.err
    assert "Aggregate-SGD" in printed.out and "DMG-KD" in printed.out


def test_what_a_killed_sweep_left_half_written_is_removed(sweep):
    sweep.folder.mkdir()
    for name in ("0123abcdef01-report.html", "4711-tables.csv", "mine"):
        (sweep.folder / f".{name}").write_text("half")
    assert sweep("--targets", "a", "--methods", "aggregate") == 0
    assert {p.name for p in sweep.folder.glob(".*")} == {".mine"}


def configs_of(folder):
    """{method: config} of a sweep with one run a method."""
    configs = [
        json.loads(path.read_text()) for path in folder.glob("*/config.json")
    ]
    return {config["method"]: config for config in configs}


def test_options_for_all_runs_go_to_the_methods_that_have_them(sweep):
    """`mask_sites` is DMG's and MetaReg's, `siou_weight` DMG's alone."""
    flags = ["--methods", "aggregate", "metareg", "dmg:siou-weight=0.5"]
    flags += ["--mask-sites", "layer4", "fc", "--siou-weight", "0.2"]
    assert sweep("--targets", "a", *flags) == 0
    configs = configs_of(sweep.folder)
    assert "mask_sites" not in configs["aggregate"]
    assert configs["metareg"]["mask_sites"] == ["layer4", "fc"]
    assert configs["dmg"]["mask_sites"] == ["layer4", "fc"]
    assert configs["dmg"]["siou_weight"] == 0.5  # its own flag wins


def test_options_of_methods_that_are_not_swept_are_refused(sweep, capsys):
    with pytest.raises(SystemExit) as ended:
        sweep("--methods", "aggregate", "metareg", "--siou-weight", "1")
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: --siou-weight is an option of dmg, not of aggregate or metareg"
    )
    assert error.count("\n") == 1 and not sweep.folder.exists()


def test_the_default_methods_are_the_paper_s(sweep):
    assert sweep("--targets", "a") == 0
    methods = {name.split("-")[2] for name in names(sweep.folder)}
    assert methods == {"aggregate", "multi_headed", "dmg"}


def test_short_names_of_a_method_are_its_own(sweep):
    assert sweep("--targets", "a", "--methods", "dmg-sparsity") == 0
    config = configs_of(sweep.folder)["dmg"]
    assert (config["siou_weight"], config["sparsity_weight"]) == (0, 1e-5)
    assert names(sweep.folder) == {"folder-a-dmg-sparsity-resnet18-seed0"}


def test_all_domains_are_held_out_by_default(sweep):
    assert sweep("--methods", "aggregate") == 0
    targets = {name.split("-")[1] for name in names(sweep.folder)}
    assert targets == {"a", "b", "c"}


def test_finished_runs_are_kept(sweep, capsys):
    assert sweep("--methods", "aggregate", "--targets", "a") == 0
    path = next(sweep.folder.glob("folder-a-*")) / "results.json"
    before = path.stat().st_mtime_ns
    capsys.readouterr()
    assert sweep("--methods", "aggregate", "dmg", "--targets", "a") == 0
    assert path.stat().st_mtime_ns == before
    printed = capsys.readouterr()
    assert "2 runs, 1 of them finished" in printed.err
    assert "Aggregate" in printed.out and "DMG" in printed.out


def test_jobs_share_the_cores(sweep, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    assert sweep("--methods", "aggregate", "--jobs", "3") == 0
    each = max(1, len(os.sched_getaffinity(0)) // 3)
    logs = [p.read_text() for p in (sweep.folder / "logs").iterdir()]
    assert logs == [f"threads {each}\n"] * 3


def test_gpus_are_shared_out(sweep, monkeypatch):
    """Two at a time, each with a GPU that the other has not."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert sweep("--methods", "aggregate", "--gpus", "4", "7") == 0
    logs = [p.read_text() for p in (sweep.folder / "logs").iterdir()]
    found = {text.strip().rpartition(" ")[2] for text in logs}
    assert found == {"4", "7"} and len(logs) == 3
    each = max(1, len(os.sched_getaffinity(0)) // 2)
    assert all(text.startswith(f"threads {each}, GPU ") for text in logs)


# === What goes wrong ===


def test_failures_do_not_stop_the_rest(sweep, capsys, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "folder-a-")
    monkeypatch.setenv("FAKE_KILL", "folder-b-")
    assert sweep("--methods", "aggregate") == 1
    assert names(sweep.folder) == {"folder-c-aggregate-resnet18-seed0"}
    printed = capsys.readouterr()
    *_, first, second = printed.err.splitlines()
    assert first.startswith("failed: folder-a-") and "on fire (see" in first
    assert "killed by SIGKILL" in second
    assert "Out-of-domain" in printed.out  # of what is there
    monkeypatch.delenv("FAKE_FAIL")
    monkeypatch.delenv("FAKE_KILL")
    assert sweep("--methods", "aggregate") == 0
    assert len(names(sweep.folder)) == 3


def test_no_table_when_all_fail(sweep, capsys, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "folder")
    assert sweep("--methods", "aggregate") == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("failed: ") == 3


def test_all_is_every_method_once():
    words = leave_one_out.methods_of(["--methods", "dmg-sgd", "all"])
    assert words[0] == "dmg" and sorted(words) == sorted(METHODS.names())
    written = written_out(["dmg-sgd", "all", "aggregate"])
    assert written == ["dmg-sgd", *METHODS.names()]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--targets", "d"], "unknown domain"),
        (["--methods", "dgm"], "Did you mean 'dmg'"),
        (["--methods", "dmg:siou=1"], "unknown setting of dmg:siou=1"),
        (["--methods", "dmg:seed=1"], "unknown setting"),
        (
            ["--methods", "dmg:meta-steps=3"],
            "--meta-steps is an option of metareg, not of dmg",
        ),
        (["--methods", "dmg:jit", "dmg-jit"], "unknown method"),
        (["--backbones", "vgg"], "unknown --backbone"),
        (["--seeds", "-1"], "--seed must be"),
        (["--jobs", "0"], "--jobs must be"),
        (["--epochs", "0"], "--epochs must be"),
    ],
)
def test_mistakes_are_found_before_anything_runs(sweep, capsys, flags, message):
    assert sweep(*flags) == 2
    printed = capsys.readouterr()
    error = printed.err.splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert not sweep.folder.exists()


def test_other_settings_are_refused(sweep, capsys):
    assert sweep("--methods", "aggregate") == 0
    assert sweep("--methods", "aggregate", "--image-size", "64") == 2
    assert "--image-size was 224, is 64" in capsys.readouterr().err


def test_folder_that_cannot_be_made(tiny_folder, tmp_path, capsys, fake):
    (tmp_path / "file").write_text("")
    place = str(tmp_path / "file" / "sweep")
    flags = ["--data", str(tiny_folder), "--output", place]
    assert leave_one_out.main(flags) == 2
    assert "error: cannot write" in capsys.readouterr().err


def test_runs_end_with_a_killed_sweep(tiny_folder, tmp_path):
    code = (
        "import dmg_tf_command, pathlib, sys;"
        "from dmg_tf.commands import leave_one_out;"
        "from dmg_tf.studies.sweep import runner;"
        f"runner.TRAIN = (sys.executable, {str(FAKE)!r});"
        "leave_one_out.main(sys.argv[1:])"
    )
    sweep = subprocess.Popen(
        [sys.executable, "-c", code, "--data", str(tiny_folder)]
        + ["--output", str(tmp_path), "--methods", "aggregate", "--jobs", "3"],
        cwd=ROOT,
        env={**os.environ, "FAKE_WAIT": "2"},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("logs/*"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    time.sleep(3)
    assert not names(tmp_path)


# === Really ===


@pytest.mark.slow
def test_a_real_sweep(stub_installed, tiny_folder, tmp_path):
    flags = [
        *("--data", str(tiny_folder), "--targets", "c", "--methods", "dmg"),
        *("--weights", "none", "--image-size", "32", "--batch-size", "16"),
        *("--backbones", "stub", "--epochs", "1", "--cache", "memory"),
        *("--output", str(tmp_path / "säulen")),
    ]
    program = [sys.executable, "tuning/leave_one_out.py", *flags]
    done = subprocess.run(
        program, cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    run_dir = tmp_path / "säulen" / "folder-c-dmg-stub-seed0"
    results = json.loads((run_dir / "results.json").read_text())
    assert (run_dir / "model.keras").exists()
    for name in ("txt", "csv", "md", "tex"):
        assert (tmp_path / "säulen" / f"tables.{name}").exists()
    with open(tmp_path / "säulen" / "tables.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {
        (row["table"], row["row"], row["column"]): float(row["mean"])
        for row in rows
    }
    outside = results["out_of_domain"]["pred_ens"]["c"]
    assert found["out_of_domain", "DMG", "c"] == outside
    known = results["in_domain"]["known_domain"]["overall"]
    assert found["in_domain", "DMG-KD", "c"] == known
    again = subprocess.run(
        program, cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    assert "1 runs, 1 of them finished" in again.stderr
    assert again.stdout == done.stdout
