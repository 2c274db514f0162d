"""oneDNN is on wherever TensorFlow is loaded by the package."""

import os
import platform
import subprocess
import sys

import pytest

from dmg_tf.devices.onednn import VARIABLE
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="TensorFlow has oneDNN's kernels for x86 only",
)
ASK = "from dmg_tf.devices import onednn; print(onednn.is_on())"


def answer(code, value=None):
    """Returns what a new process prints, and its errors."""
    environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
    if value is not None:
        environment[VARIABLE] = value
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_the_package_turns_it_on():
    said, errors = answer(f"import dmg_tf; {ASK}")
    assert said == ["True"]
    assert "UserWarning" not in errors


def test_a_program_turns_it_on_before_tensorflow_is_loaded():
    code = (
        "import os, sys, dmg_tf_command, dmg_tf;"
        f"print(os.environ['{VARIABLE}'], 'tensorflow' in sys.modules);"
        f"from dmg_tf.console.quiet import load_tensorflow; load_tensorflow();"
    )
    said, _ = answer(code + ASK)
    assert said == ["1", "False", "True"]


@pytest.mark.parametrize("first", ["dmg_tf", "tensorflow"])
def test_the_users_choice_is_kept_without_a_word(first):
    said, errors = answer(f"import {first}, dmg_tf; {ASK}", "0")
    assert said == ["False"]
    assert "UserWarning" not in errors


def test_tensorflow_imported_first_without_it_is_told_once():
    code = (
        "import tensorflow; from tensorflow.python.framework import test_util;"
        "print(test_util.IsMklEnabled()); import dmg_tf;"
    )
    said, errors = answer(code + ASK)
    before, after = said
    assert before == after  # too late to change it
    warned = errors.count("TensorFlow was imported before dmg_tf")
    # On a processor where TensorFlow turns it on by itself, all is well.
    assert warned == (0 if before == "True" else 1)
    if warned:
        assert "import dmg_tf first" in errors and f"{VARIABLE}=1" in errors
