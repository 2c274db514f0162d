"""Writing the run folder: whole files or none, clear words on a full disk."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import sys
from typing import Any

from dmg_tf.errors import UserError


@contextlib.contextmanager
def writing(place: str | pathlib.Path):
    """Turns a failure to write into one line that says what and why.

    Raises:
        UserError: If the disk is full, the folder read-only, or the like.
    """
    try:
        yield
    except _write_errors() as error:
        raise UserError(f"cannot write {place}: {_reason(error)}") from error
    except RuntimeError as error:
        # HDF5 wraps what the system said in an exception of its own.
        if "write" not in str(error).lower():
            raise
        raise UserError(f"cannot write {place}: {_reason(error)}") from error


def _write_errors() -> tuple[type[Exception], ...]:
    # Who has not loaded TensorFlow meets none of its errors.
    tf = sys.modules.get("tensorflow")
    return (OSError, tf.errors.OpError) if tf else (OSError,)


def _reason(error: Exception) -> str:
    text = str(error)
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC or "No space left" in text:
        return "the disk is full; free some space or write elsewhere"
    return getattr(error, "strerror", None) or text.splitlines()[0]


@contextlib.contextmanager
def replacing(path: pathlib.Path):
    """Gives a temporary name to write to, then moves it over `path`.

    The temporary file keeps the suffix, which some writers insist on.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    with writing(path):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a JSON file in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def remove_folder(path: pathlib.Path) -> None:
    """Removes a folder and all in it, if it is there."""
    shutil.rmtree(path, ignore_errors=True)
