"""What `environment.json` says of the code and the machine."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from dmg_tf.devices.onednn import VARIABLE
from dmg_tf.runs import environment
from dmg_tf.runs.environment import describe
from tests.conftest import ROOT


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit; the module lies in it, not yet added."""
    file = tmp_path / "lib" / "environment.py"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(environment, "__file__", str(file))
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "empty")
    return tmp_path


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True)


def test_an_installed_package_has_no_commit(repository):
    # As in a virtual environment inside of somebody's own repository.
    assert environment._commit() is None


def test_the_commit_of_a_checkout(repository):
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "one")
    commit = environment._commit()
    assert len(commit) == 40
    pathlib.Path(environment.__file__).write_text("changed")
    assert environment._commit() == commit + "+"


def test_it_can_be_written_as_json():
    found = json.loads(json.dumps(describe("weights.pth", "ab12")))
    assert found["weights"] == {"file": "weights.pth", "sha256": "ab12"}
    assert found["packages"].keys() >= {"tensorflow", "keras", "numpy"}
    assert found["devices"]
    assert isinstance(found["onednn"], bool)
    assert found["processor"].keys() == {"name", "avx512"}


def test_the_processor_is_the_kernel_s_word(monkeypatch):
    text = "processor : 0\nmodel name : Ryzen\nflags : fpu avx512f\n"
    monkeypatch.setattr(pathlib.Path, "read_text", lambda *_: text + text)
    assert environment._processor() == {"name": "Ryzen", "avx512": True}
    text = text.replace("avx512f", "avx2")
    assert environment._processor()["avx512"] is False


@pytest.mark.parametrize("value", ["0", "1"])
def test_it_says_whether_onednn_computes(value):
    # TensorFlow decides once a process.
    code = (
        "import json, dmg_tf_command;"
        "from dmg_tf.runs.environment import describe;"
        "print(json.dumps(describe(None, None)['onednn']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, VARIABLE: value},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is (value == "1")
