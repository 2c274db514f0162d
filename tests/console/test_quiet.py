import os
import subprocess
import sys

from tests.conftest import ROOT


def run(code, **environment):
    """Runs code in a process that has not loaded TensorFlow."""
    return subprocess.run(
        [sys.executable, "-c", "import dmg_tf_command\n" + code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


# Stands in for TensorFlow, which loads Keras.
TENSORFLOW = """
try:
    import sklearn
except ImportError:
    sklearn = None
from unittest import mock
config, get_logger = mock.Mock(), mock.Mock()
"""


def test_keras_loads_no_scikit_learn(tmp_path):
    (tmp_path / "tensorflow.py").write_text(TENSORFLOW)
    (tmp_path / "sklearn.py").touch()
    done = run(
        "from dmg_tf.console.quiet import load_tensorflow\n"
        "load_tensorflow()\n"
        "import tensorflow\n"
        "first = tensorflow.sklearn\n"
        "import sys, sklearn\n"
        "load_tensorflow()\n"
        "print(first, sys.modules['sklearn'] is sklearn)",
        PYTHONPATH=str(tmp_path),
    )
    assert done.stdout == "None True\n", done.stderr


def test_only_known_chatter_is_dropped():
    code = (
        "import os; from dmg_tf.console.quiet import quiet_start\n"
        "with quiet_start():\n"
        "    os.write(2, b'I0000] oneDNN custom operations are on\\n')\n"
        "    os.write(2, b'something is really wrong\\n')\n"
        "os.write(2, b'after\\n')\n"
    )
    done = run(code)
    lines = done.stderr.splitlines()
    assert lines[-2:] == ["something is really wrong", "after"]
    if not os.path.exists("/dev/nvidia0"):
        assert len(lines) == 2


def test_errors_inside_are_passed_on():
    code = (
        "from dmg_tf.console.quiet import quiet_start\n"
        "with quiet_start():\n"
        "    raise SystemExit('no such device')\n"
    )
    done = run(code)
    assert done.returncode == 1 and "no such device" in done.stderr


def test_converters_are_quiet_and_python_is_not():
    done = run(
        "import os, sys, warnings\n"
        "from dmg_tf.console.quiet import quiet_libraries\n"
        "with quiet_libraries():\n"
        "    os.write(1, b'compiled'); os.write(2, b'compiled')\n"
        "    warnings.warn('old')\n"
        "    print('a bar', file=sys.stderr)\n"
        "os.write(2, b'after')\n"
        "try:\n"
        "    with quiet_libraries(): raise ValueError('why')\n"
        "except ValueError as error: print(error)\n"
    )
    assert done.stdout == "why\n"
    assert done.stderr == "a bar\nafter"
