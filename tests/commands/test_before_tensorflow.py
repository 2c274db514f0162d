"""Mistakes are told before TensorFlow is loaded, which takes seconds."""

import os
import pty
import subprocess
import sys

import pytest

from dmg_tf.commands.main import COMMANDS
from tests.conftest import ROOT


@pytest.fixture
def run(tmp_path):
    """Runs `dmg-tf` where TensorFlow and Keras can't be loaded."""
    for name in ("tensorflow", "keras"):
        text = f"raise SystemExit('{name} was loaded')"
        (tmp_path / f"{name}.py").write_text(text)

    def run(*argv, stderr=subprocess.PIPE):
        return subprocess.run(
            [sys.executable, "-m", "dmg_tf", *map(str, argv)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "data"])
def test_a_mistyped_flag(run, command):
    done = run(command, "--no-such-flag")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: unrecognized arguments: --no-such-flag"
    )
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "flags, message",
    [
        (
            [],
            "--target is the domain to hold out; the built-in data has "
            "art_painting, cartoon, photo, sketch; --target none learns from "
            "all of them",
        ),
        (
            ["--data", "DATA"],
            "--target is the domain to hold out; DATA has a, b, c; --target "
            "none learns from all of them",
        ),
        (
            ["--target", "sketh"],
            "unknown domain in the built-in data 'sketh'; known: art_painting, "
            "cartoon, photo, sketch. Did you mean 'sketch'?",
        ),
        (
            ["--data", "DATA", "--target", "d"],
            "unknown domain in DATA 'd'; known: a, b, c.",
        ),
        (
            ["--data", "DATA", "--target", "c", "--sources", "a", "e"],
            "unknown domain in DATA 'e'; known: a, b, c.",
        ),
        (
            ["--data", "DATA/no", "--target", "c"],
            "--data DATA/no does not exist; expected a folder of domains, "
            "DIR/<domain>/<class>/<image>, or a table (.csv, .tsv, .parquet) "
            "with path, label and domain",
        ),
        (
            ["--target", "sketch", "--backbone", "resnet19"],
            "unknown --backbone 'resnet19'; known: alexnet, resnet18, "
            "resnet50, efficientnet_lite0, conv4, keras:NAME, keras_hub:NAME. "
            "Did you mean 'resnet18'?",
        ),
    ],
)
def test_wrong_names(run, tiny_folder, flags, message):
    def real(text):
        return text.replace("DATA", str(tiny_folder))

    done = run("train", *map(real, flags))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {real(message)}\n"


def test_who_watches_is_told_of_the_wait(run):
    ours, theirs = pty.openpty()
    done = run("train", "--target", "sketch", stderr=theirs)
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 1 and done.stdout == ""
    assert said.split("\r\n")[:2] == [
        "loading TensorFlow ...",
        "tensorflow was loaded",
    ]


def test_a_log_is_not(run):
    done = run("train", "--target", "sketch")
    assert done.stderr == "tensorflow was loaded\n"
