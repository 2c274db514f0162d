import errno

import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.files import (
    open_replacing,
    replacing,
    replacing_folder,
    whole_folder,
    write_json,
    writing,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    assert path.read_text() == '{\n  "x": 1\n}\n'
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == '{\n  "x": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_an_open_file_appears_when_all_is_written(tmp_path):
    path, link = tmp_path / "a.bin", tmp_path / "link"
    link.symlink_to(path)
    with open_replacing(link) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole" and link.is_symlink()
    # What fails meanwhile is no failure to write.
    with pytest.raises(RuntimeError, match="write"), open_replacing(path):
        raise RuntimeError("cannot write, says another")
    assert path.read_bytes() == b"whole"
    assert sorted(tmp_path.iterdir()) == [path, link]
    missing = tmp_path / "none" / "a.bin"
    with pytest.raises(UserError, match="cannot write .*none/a.bin: No such"):
        with open_replacing(missing):
            pass


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "folder"

    def write(make, text):
        with make(path) as temporary:
            temporary.mkdir()
            (temporary / text).touch()
            if text == "fails":
                raise OSError(errno.ENOSPC, "No space left on device")

    def names():
        assert list(path.parent.iterdir()) == [path]
        return [child.name for child in path.iterdir()]

    write(whole_folder, "first")
    assert names() == ["first"]
    write(whole_folder, "second")  # as if another process had been faster
    assert names() == ["first"]
    write(replacing_folder, "third")
    assert names() == ["third"]
    with pytest.raises(UserError, match="cannot write .*the disk is full"):
        write(replacing_folder, "fails")
    with pytest.raises(OSError, match="No space left"):
        write(whole_folder, "fails")
    assert names() == ["third"]


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
