"""The command line of the demo, as a process of its own where it matters."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from dmg_tf.commands import demo
from tests.conftest import ROOT
from tests.demo.test_predictor import picture
from tests.export.helpers import CLASSES, make, write_run
from tests.forked import Forked


def start(*args):
    return subprocess.Popen(
        [sys.executable, "-m", "dmg_tf.demo", *map(str, args)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_serves_until_it_is_stopped(with_stub, stub_installed, tmp_path):
    run_dir = write_run(make("dmg", "stub"), tmp_path / "run ü")
    process = start(run_dir, "--port", "0")
    bound = threading.Timer(60, process.kill)
    bound.start()
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[0] == f"loading {run_dir}\n"
        assert lines[1].startswith("dmg on stub: 5 classes, learned from a")
        url = lines[2].removeprefix("serving on ").split()[0]
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}predict", picture(), 30) as reply:
            found = json.loads(reply.read())
        assert list(found["probabilities"]) == CLASSES
    finally:
        bound.cancel()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert rest == "\nstopped\n" and errors == ""
    assert process.returncode == 0


def test_serves_until_it_is_asked_to_end(with_stub, tmp_path):
    run_dir = write_run(make("dmg", "stub"), tmp_path / "run")
    process = Forked(demo.main, [str(run_dir), "--port", "0"])
    process.says("serving on ")
    process.signal(signal.SIGTERM)
    code, printed, errors = process.finish()
    assert code == 0 and errors == ""
    assert printed.endswith("\n\nstopped\n")


def test_mistakes(tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name, file in (("begun", "config.json"), ("run", "model.keras")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for args, message in [
            (["none"], "none does not exist; give a run folder"),
            (["file"], "is a file; give a run folder"),
            (["empty"], "there is no model in "),
            (["begun", "--port", port], "is not finished: it kept no model"),
            (["run", "--port", port], f"port {port} of 127.0.0.1 is taken"),
            (["run", "--port", "0"], "is not finished"),
        ]:
            assert demo.main([str(tmp_path / args[0]), *args[1:]]) == 2
            lines = capsys.readouterr().err.splitlines()
            assert len(lines) == 1 and lines[0].startswith("error: ")
            assert message in lines[0]
    for args in (
        ["--port", "65536"],
        ["--port", "x"],
        ["--max-megabytes", "0"],
        ["--max-megabytes", "nan"],
        [],
    ):
        with pytest.raises(SystemExit, match="2"):
            demo.main(["run", *args] if args else [])
        assert capsys.readouterr().err.startswith("error: ")


def test_mistakes_are_told_before_tensorflow_is_loaded(tmp_path):
    env = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dmg_tf.demo", str(tmp_path)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "dmg_tf.demo.server" in done.stderr
    assert "tensorflow" not in done.stderr and "| keras" not in done.stderr
