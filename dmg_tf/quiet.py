"""Keeping TensorFlow's start-up chatter off the terminal."""

import contextlib
import os
import re
import sys
import tempfile

# What TensorFlow says on every machine without a GPU, and what nobody can act
# on: its build's CPU features, missing CUDA drivers, its logger's own set-up.
_CHATTER = re.compile(
    r"oneDNN custom operations|absl::InitializeLog|cpu_feature_guard|"
    r"rebuild TensorFlow with|[Cc]ould not find cuda drivers|cuInit|"
    r"computation_placer|Unable to register \w+ factory|"
    r"Cannot dlopen some GPU libraries|following the guide at|"
    r"Skipping registering GPU devices|TF-TRT Warning"
)


def load_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, without the chatter."""
    with quiet_start():
        import tensorflow as tf

        tf.config.list_physical_devices()
    # Advice on tracing, which a user of a command line cannot follow.
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def quiet_start():
    """Drops known chatter from the error stream while TensorFlow starts.

    Everything else is passed on when the block ends, and all of it where an
    NVIDIA device is present: there, a word about CUDA is news.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            caught.seek(0)
            show_all = os.path.exists("/dev/nvidia0")
            for line in caught.read().decode("utf-8", "replace").splitlines():
                if show_all or not _CHATTER.search(line):
                    print(line, file=sys.stderr)
