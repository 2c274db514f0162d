"""A search in a process of its own.

Its runs are written down in RUN_LOG, a line when one begins and when it ends;
EPOCH_SECONDS makes epochs long enough to be killed in.
"""

import os
import time

from dmg_tf.commands.search import main
from dmg_tf.studies.search import trials
from dmg_tf.training.callbacks import Timer


def searched(argv):
    """Searches; returns the exit code."""
    _watch_runs()
    return main(argv)


def _watch_runs():
    """Wraps what trains a run."""

    def log(*words):
        with open(os.environ["RUN_LOG"], "a", encoding="utf-8") as file:
            file.write(" ".join(words) + "\n")

    run_training, name = (
        trials.run_training,
        os.environ.get("KERASTUNER_TUNER_ID", "alone"),
    )

    def logged(config, resume):
        log("begin", name, config.output)
        result = run_training(config, resume)
        log("end", name, config.output)
        return result

    trials.run_training = logged
    on_epoch_end = Timer.on_epoch_end

    def slow(self, epoch, logs=None):
        time.sleep(float(os.environ["EPOCH_SECONDS"]))
        on_epoch_end(self, epoch, logs)

    Timer.on_epoch_end = slow
