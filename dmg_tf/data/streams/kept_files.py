"""A folder of small files that runs share, each whole or not there."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from dmg_tf.errors import InUse, UserError
from dmg_tf.files import remove_folder
from dmg_tf.folders.lock import alone_in

# What TensorFlow's error begins with where a kept file is not as it was.
DAMAGED = "damaged in the image cache:"
# Bytes at the end of a kept file that say what the others were.
TAIL = 8
# Folders in which processes write, and how old what version 0.1 left
# half-written must be to be nobody's.
_FILLING = ".filling-"
_DAY_SECONDS = 86_400


class KeptFiles:
    """A folder of files whose names follow from what they were made of.

    Runs side by side share it. A file ends in a fingerprint of the rest.

    Args:
        folder: Where.
        instead: What a user can do where it can't be written.
    """

    def __init__(self, folder: str | pathlib.Path, instead: str):
        self.folder = pathlib.Path(folder)
        self._instead = instead
        self._work: pathlib.Path | None = None

    def path_of(self, key: str) -> str:
        """Returns the path of the file made of what a key says."""
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape"))
        name = name.hexdigest()
        return str(self.folder / name[:2] / name[2:32])

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """Lets this process `keep` files; what killed ones left is removed.

        Raises:
            UserError: If the folder can't be made.
        """
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(self.folder)
            # Whoever finds it unlocked knows that this process is gone.
            self._work = self.folder / f"{_FILLING}{os.urandom(6).hex()}"
            self._work.mkdir()
        try:
            with alone_in(self._work, "try again"):
                yield
        finally:
            remove_folder(self._work)

    def keep(self, path: str, contents: bytes) -> None:
        """Writes a file as a whole.

        Args:
            path: Of `path_of`.
            contents: What it holds, but for the fingerprint.

        Raises:
            UserError: If it can't be written.
        """
        kept = pathlib.Path(path)
        tail = np.asarray(fingerprint(contents), "<i8").tobytes()
        with self._writing():
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._work / kept.name
            temporary.write_bytes(contents + tail)
            os.replace(temporary, kept)

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write the image cache {self.folder}: "
                f"{error.strerror}; {self._instead}"
            ) from error

    def free(self) -> float:
        """Returns the free bytes of the folder's disk."""
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self.folder).free


def file_key(path: str) -> str:
    """Returns what says of an image file which one it is, and of when.

    Raises:
        UserError: If it is not there.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise UserError(
            f"cannot read the image {path}: {error.strerror}"
        ) from error
    return f"{os.path.abspath(path)}\0{status.st_size}\0{status.st_mtime_ns}"


def fingerprint(contents):
    """Returns a number of some bytes, int64 scalar; FarmHash, always the same.

    It guards against accidents, not against someone who wants it to be equal.
    """
    return tf.strings.to_hash_bucket_fast(contents, 2**63 - 1)


def ends_well(contents, end):
    """Returns whether a kept file's fingerprint is of its first bytes.

    Args:
        contents: All of the file, a string tensor of `end` + TAIL bytes.
        end: Where the fingerprint begins.
    """
    split = tf.cast(end, tf.int32)
    tail = tf.strings.substr(contents, split, TAIL)
    before = tf.strings.substr(contents, 0, split)
    return tf.io.decode_raw(tail, tf.int64)[0] == fingerprint(before)


def damaged_path(error: Exception) -> str | None:
    """Returns the kept file that a graph found damaged, if it was that."""
    _, found, rest = str(error).partition(DAMAGED)
    return rest.splitlines()[0].strip("[] \"'") if found else None


def _remove_leftovers(folder: pathlib.Path) -> None:
    """Removes what killed processes left half-written."""
    for path in folder.glob(f"{_FILLING}*"):
        with contextlib.suppress(InUse, FileNotFoundError):
            with alone_in(path, "", watch=False):
                remove_folder(path)
    for path in folder.glob("??/.*"):  # of version 0.1
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _DAY_SECONDS:
                path.unlink()
