"""`tuning/search.py` in a process of its own, with a backbone quick to trace.

Its runs are written down in RUN_LOG, a line when one begins and when it ends;
EPOCH_SECONDS makes epochs long enough to be killed in.
"""

import os
import sys
import time

import dmg_tf_command  # noqa: F401
from dmg_tf.console.quiet import load_tensorflow  # noqa: E402
from dmg_tf.registry import BACKBONES  # noqa: E402

BACKBONES.register("stub", "tests.stubs:STUB_SPEC")


def watch_runs():
    """Wraps what trains a run."""
    load_tensorflow()
    from dmg_tf.studies.search import trials
    from dmg_tf.training.callbacks import Timer

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
        time.sleep(float(os.environ.get("EPOCH_SECONDS", "0")))
        on_epoch_end(self, epoch, logs)

    Timer.on_epoch_end = slow


if __name__ == "__main__":
    from dmg_tf.commands.search import main

    if "RUN_LOG" in os.environ:
        watch_runs()
    sys.exit(main())
