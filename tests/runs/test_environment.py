"""What `environment.json` says of the code."""

import pathlib
import subprocess

import pytest

from dmg_tf.runs import environment


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
