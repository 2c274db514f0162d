"""`make evidence` and `make reproduce-...`, without training."""

import importlib
import json
import sys

import pytest

from dmg_tf.studies.sweep import runner
from tests.conftest import ROOT

FAKE = ROOT / "tests" / "studies" / "fake_runs.py"
PROTOCOLS = """
images:
  folder: {a: 10, b: 10, c: 10}
protocols:
  small:
    title: Small
    about: Two methods.
    dataset: folder
    sweeps:
      - >-
        --methods aggregate dmg --targets a --seeds 0 1 --weights none
        --epochs 2
    labels: {aggregate: Aggregate, dmg: DMG}
    compare:
      - [dmg, aggregate]
    images_per_second: {resnet18: 10}
    seconds_beside: 0
"""


@pytest.fixture
def program(monkeypatch):
    """Imports a program as a script does, whose runs take no time."""
    monkeypatch.setattr(runner, "TRAIN", (sys.executable, str(FAKE)))
    monkeypatch.setattr("os.nice", lambda _: 0)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return lambda name: importlib.import_module(f"tuning.{name}")


@pytest.fixture
def evidence(program, tiny_folder, tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "protocols.yaml").write_text(PROTOCOLS)

    def run(*flags):
        places = ["--pages", str(pages), "--output", str(tmp_path / "runs")]
        data = ["--data", str(tiny_folder)]
        return program("evidence").main([*places, *data, *flags])

    run.pages, run.output = pages, tmp_path / "runs" / "small"
    run.files = pages / "runs" / "small"
    return run


def test_runs_land_a_few_at_a_time(evidence, capsys):
    assert evidence("--at-most", "1") == 0
    (first,) = evidence.files.iterdir()
    assert "(1 of 2 pairs)" not in (evidence.pages / "README.md").read_text()
    assert "4 runs to go" in capsys.readouterr().err
    # A run folder whose file is there is not needed any more.
    gone = evidence.output / first.stem
    gone.rename(evidence.output.parent / "elsewhere")
    before = first.stat().st_mtime_ns
    assert evidence("--jobs", "2") == 0
    assert "3 runs to go" in capsys.readouterr().err
    assert first.stat().st_mtime_ns == before and not gone.exists()
    names = {path.name for path in evidence.files.iterdir()}
    assert names == {
        f"folder-a-{method}-resnet18-seed{seed}.json"
        for method in ("aggregate", "dmg")
        for seed in (0, 1)
    }
    for name in names - {first.name}:
        check_file(evidence.files / name, evidence.output / name[:-5])
    text = (evidence.pages / "README.md").read_text("utf-8")
    assert "DMG minus Aggregate (2 of 2 pairs)" in text
    assert "What is missing" not in text


def check_file(path, run_dir):
    """It says what the run's results do, and no place of this machine."""
    assert path.stat().st_size < 4000
    text = path.read_text("utf-8")
    kept = json.loads(text)
    results = json.loads((run_dir / "results.json").read_text())
    assert kept["protocol"] == "small"
    assert kept["variant"] == kept["config"]["method"]
    assert kept["config"]["epochs"] == 2
    assert not {"data", "output"} & set(kept["config"])
    assert str(ROOT.parent) not in text
    for part in ("in_domain", "out_of_domain", "mask_iou"):
        assert kept[part].keys() == results[part].keys()
        for name, row in results[part].items():
            assert kept[part][name] == pytest.approx(row, rel=1e-4)
    assert kept["counts"] == results["counts"]


def test_failures_are_told_and_made_again(evidence, capsys, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "dmg")
    assert evidence("--at-most", "2", "--jobs", "2") == 1
    assert capsys.readouterr().err.count("failed: folder-a-dmg-") == 1
    assert len(list(evidence.files.iterdir())) == 1
    monkeypatch.delenv("FAKE_FAIL")
    assert evidence("--at-most", "1") == 0
    assert len(list(evidence.files.iterdir())) == 2


def test_a_plan_runs_nothing(evidence, capsys, tmp_path):
    assert evidence("--plan") == 0
    printed = capsys.readouterr().out
    assert "4 runs, 160 images, 0.0 device hours" in printed
    assert "Missing" not in printed and not evidence.output.exists()


def test_mistakes_are_told(evidence, capsys):
    for flags, words in (
        (["--only", "smal"], "Did you mean 'small'"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--data", "nowhere"], "nowhere does not exist"),
    ):
        assert evidence(*flags) == 2
        assert words in capsys.readouterr().err


# === The paper's tables ===


def test_a_plan_of_the_paper_s_tables(program, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--plan", "--gpus", "0", "1", "--flags=--seeds 0"]
    assert program("reproduce").main(["pacs", *flags]) == 0
    printed = capsys.readouterr().out
    assert printed.count(" h  dmg-tf train ") == 28 * 4
    assert "hours on 2 devices" in printed
    assert printed.count("\ndmg-tf sweep ") == 3
    assert "Missing: the images of PACS at data/pacs" in printed
    assert "a GPU" not in printed and not list(tmp_path.iterdir())


def test_the_paper_s_tables(program, capsys, tmp_path, monkeypatch):
    """From a folder of lists to tables, the runs shared out among two GPUs."""
    data = tmp_path / "pacs"
    for domain in ("art_painting", "cartoon", "photo", "sketch"):
        (data / domain / "dog").mkdir(parents=True)
        (data / "splits").mkdir(exist_ok=True)
        for split in ("train", "crossval", "test"):
            path = data / "splits" / f"{domain}_{split}_kfold.txt"
            path.write_text(f"{domain}/dog/{split}.png 1\n")
    reproduce, fetched = program("reproduce"), []
    monkeypatch.setattr(
        "dmg_tf.backbones.weights.download.fetch_imagenet", fetched.append
    )
    argv = ["pacs", "--data", str(data), "--gpus", "3", "5"]
    argv += ["--output", str(tmp_path / "out")]
    only = "--methods aggregate --targets sketch --seeds 0"
    assert reproduce.main([*argv, f"--flags={only}"]) == 0
    assert fetched == ["alexnet", "resnet18", "resnet50"]
    logs = [p.read_text() for p in (tmp_path / "out" / "logs").iterdir()]
    assert sorted(log.strip()[-1] for log in logs)[0] == "3"
    tables = (tmp_path / "out" / "paper" / "tables.md").read_text("utf-8")
    assert "Aggregate* [published]" in tables
