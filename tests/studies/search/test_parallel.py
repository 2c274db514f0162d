"""KerasTuner's chief and workers, each a process, on loopback."""

import contextlib
import json
import os
import socket
import time

import pytest

from dmg_tf.commands import search
from tests.forked import Forked
from tests.studies.search.search_process import searched
from tests.training.runs import can_go_on

# For all of it; a search that waits for a dead worker would wait for ever.
SECONDS = 150
WEIGHTS = ("0", "0.1", "1")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def flags(data, output):
    return [
        *("--data", str(data), "--target", "c", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--batch-size", "16"),
        *("--cache", "memory"),
        *("--epochs", "4", "--siou-weights", *WEIGHTS),
        *("--worker-timeout", "4", "--output", str(output)),
    ]


@pytest.fixture
def start(tiny_folder, tmp_path):
    """Starts a process of the search; all of them end with the test."""
    argv = flags(tiny_folder, tmp_path / "search")
    port = free_port()
    with contextlib.ExitStack() as stack:

        def start_one(name):
            process = Forked(
                searched,
                argv,
                KERASTUNER_TUNER_ID=name,
                KERASTUNER_ORACLE_IP="127.0.0.1",
                KERASTUNER_ORACLE_PORT=port,
                RUN_LOG=str(tmp_path / "log"),
                EPOCH_SECONDS="0.4",
            )
            stack.callback(process.kill)
            return process

        yield start_one


def wait_for(condition, deadline):
    while not condition():
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_worker_s_trial_is_run_by_another(start, tmp_path):
    """Every setting ends once, though a worker is killed in mid-trial."""
    deadline = time.monotonic() + SECONDS
    folder, log = tmp_path / "search", tmp_path / "log"
    chief = start("chief")
    workers = {name: start(name) for name in ("worker1", "worker2")}

    def lines():
        words = log.read_text().splitlines() if log.exists() else []
        return [tuple(line.split(" ", 2)) for line in words]

    def in_mid_trial():
        """A worker that has an epoch behind it, while the other works too."""
        for kind, name, run_dir in lines():
            begun = can_go_on(run_dir)
            ended = os.path.exists(f"{run_dir}/results.json")
            if kind == "begin" and begun and not ended:
                return name, run_dir
        return None

    wait_for(lambda: len({x[1] for x in lines()}) == 2, deadline)
    wait_for(in_mid_trial, deadline)
    victim, lost = in_mid_trial()
    workers[victim].kill()
    (survivor,) = set(workers) - {victim}
    code, table, said = chief.finish()
    assert code == 0, said
    code, printed, errors = workers[survivor].finish()
    assert (code, printed) == (0, "")

    assert f"nothing was heard from {victim}" in said
    ends = [run_dir for kind, _, run_dir in lines() if kind == "end"]
    assert sorted(ends) == sorted(
        str(folder / f"trial_{i}" / "seed0") for i in range(len(WEIGHTS))
    )
    begins = [(n, run_dir) for kind, n, run_dir in lines() if kind == "begin"]
    assert len(begins) == len(WEIGHTS) + 1
    assert (victim, lost) in begins and (survivor, lost) in begins
    assert "resumed after epoch" in errors

    rows = json.loads((folder / "results.json").read_text())["trials"]
    assert [row["values"]["siou_weight"] for row in rows] == [0, 0.1, 1]
    assert all(len(row["runs"]) == 1 and not row["error"] for row in rows)
    assert "3 settings" in table and "The same again" in table


@pytest.fixture
def as_chief(with_stub, monkeypatch):
    """This process is the chief, at an address that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", port)
        yield port


def test_a_taken_port(as_chief, tiny_folder, tmp_path, capsys):
    assert search.main(flags(tiny_folder, tmp_path / "search")) == 2
    printed = capsys.readouterr().err
    assert f"cannot listen at 127.0.0.1:{as_chief}" in printed
    assert "Traceback" not in printed


def test_missing_variables(monkeypatch, tiny_folder, tmp_path, capsys):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    assert search.main(flags(tiny_folder, tmp_path / "search")) == 2
    assert "missing: KERASTUNER_TUNER_ID" in capsys.readouterr().err
    assert not (tmp_path / "search").exists()
