"""What tests of the command lines share."""

import subprocess
import sys
import time

from tests.conftest import ROOT

# In the folder of a finished run.
RUN_FILES = {
    "config.json",
    "environment.json",
    "data.json",
    "images.csv.gz",
    "checksums.json",
    "history.csv",
    "results.json",
    "predictions.csv",
    "metrics.csv",
    "maps.json",
    "report.html",
    "model.keras",
    "checkpoint",
    "logs",
}


def answer_of(*argv, within, cwd=ROOT):
    """Runs Python on something that must answer before TensorFlow could load.

    Args:
        *argv: What Python is started with.
        within: Seconds.
        cwd: Where it is started.

    Returns:
        Its exit code, output and errors.
    """
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, *map(str, argv)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert time.monotonic() - begin < within
    return done.returncode, done.stdout, done.stderr
