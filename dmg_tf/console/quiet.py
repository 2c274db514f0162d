"""Keeping TensorFlow's start-up chatter off the terminal."""

import contextlib
import os
import re
import sys
import tempfile
import warnings

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
    """Imports TensorFlow and looks for devices, without the chatter.

    It takes seconds, which are announced to who watches.
    """
    if "tensorflow" not in sys.modules and sys.stderr.isatty():
        print("loading TensorFlow ...", file=sys.stderr, flush=True)
    with quiet_start(), _left_out("sklearn"):
        import tensorflow as tf

        tf.config.list_physical_devices()
    # Advice on tracing, which a user of a command line cannot follow.
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _left_out(name):
    """Lets the import of a package fail, as if it were not installed.

    Keras loads all of scikit-learn, where it is, for wrappers that no program
    uses: more than a second of a start.
    """
    loaded = name in sys.modules
    if not loaded:
        sys.modules[name] = None
    try:
        yield
    finally:
        if not loaded:
            del sys.modules[name]


@contextlib.contextmanager
def quiet_start():
    """Drops known chatter from the error stream while TensorFlow starts.

    Everything else is passed on when the block ends, and all of it where an
    NVIDIA device is present: there, a word about CUDA is news.
    """
    # Where there are several machines, a lost one is told in a line of ours.
    level = "3" if os.environ.get("TF_CONFIG") else "2"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
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


@contextlib.contextmanager
def quiet_libraries(streams: tuple[int, ...] = (1, 2)):
    """Drops what converters, interpreters and decoders say while they work.

    Compiled code writes dozens of lines to the process' own streams, none of
    which a user can act on (those on an image do not name it); a failure is an
    exception that says it all. What Python writes to `sys.stderr`, such as a
    progress bar, is still shown, its warnings are not.

    Args:
        streams: The numbers of the process' streams that are dropped.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    real = {number: os.dup(number) for number in streams}
    shown = sys.stderr
    try:
        if _is_stream_2(shown):
            sys.stderr = open(real[2], "w", buffering=1, closefd=False)
        with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for number in real:
                os.dup2(nowhere.fileno(), number)
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stderr = shown
        for number, copy in real.items():
            os.dup2(copy, number)
            os.close(copy)


def _is_stream_2(stream) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, ValueError, AttributeError):
        return False  # something in its place, as in a test or a notebook
