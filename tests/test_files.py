import errno

import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.files import replacing, write_json, writing


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    assert path.read_text() == '{\n  "x": 1\n}\n'
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == '{\n  "x": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error,words",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
        (
            tf.errors.ResourceExhaustedError(None, None, "No space left on d"),
            "the disk is full",
        ),
        (RuntimeError("Unable to write: No space left"), "the disk is full"),
    ],
)
def test_failures_are_one_line(error, words):
    with pytest.raises(UserError) as caught, writing("runs/x"):
        raise error
    assert str(caught.value).startswith("cannot write runs/x: ")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_other_errors_are_not_hidden():
    with pytest.raises(RuntimeError, match="a bug"), writing("runs/x"):
        raise RuntimeError("a bug")
