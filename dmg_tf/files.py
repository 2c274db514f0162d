"""Writing whole files and folders or none, and clear words on a full disk."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from dmg_tf.errors import UserError


@contextlib.contextmanager
def writing(path: str | pathlib.Path) -> Iterator[None]:
    """Turns a failure to write into one line that says what and why.

    Raises:
        UserError: If the disk is full, the folder read-only, or the like.
    """
    try:
        yield
    except _write_errors() as error:
        raise UserError(f"cannot write {path}: {_reason(error)}") from error
    except RuntimeError as error:
        # HDF5 wraps what the system said in an exception of its own.
        if "write" not in str(error).lower():
            raise
        raise UserError(f"cannot write {path}: {_reason(error)}") from error


def _write_errors() -> tuple[type[Exception], ...]:
    # Where TensorFlow is not loaded, none of its errors can come.
    tf = sys.modules.get("tensorflow")
    return (OSError, tf.errors.OpError) if tf else (OSError,)


def _reason(error: Exception) -> str:
    text = str(error)
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC or "No space left" in text:
        return "the disk is full; free some space or write elsewhere"
    return getattr(error, "strerror", None) or text.splitlines()[0]


@contextlib.contextmanager
def whole_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a temporary name to write to, then moves it over `path`.

    The temporary file keeps the suffix, which some writers insist on. Errors
    are the system's; `replacing` puts them in words.
    """
    temporary = _aside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """As `whole_file`, for callers that have no words of their own.

    Raises:
        UserError: If the file can't be written.
    """
    with writing(path), whole_file(path) as temporary:
        yield temporary


@contextlib.contextmanager
def open_replacing(path: str | pathlib.Path) -> Iterator[BinaryIO]:
    """Gives a file to write bytes to, which then takes the place of `path`.

    What goes wrong meanwhile is passed on as it is, as it need not be the
    file's fault. A link stays one.

    Raises:
        UserError: If the file can't be opened or moved.
    """
    real = pathlib.Path(os.path.realpath(path))
    temporary = _aside(real)
    with writing(path):
        file = open(temporary, "wb")
    try:
        with file:
            yield file
        with writing(path):
            os.replace(temporary, real)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a temporary name for a folder, then moves it to `path`.

    Where another process did the same meanwhile, its folder stays. Errors are
    the system's.
    """
    temporary = _aside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        try:
            os.rename(temporary, path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        remove_folder(temporary)


@contextlib.contextmanager
def replacing_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """As `whole_folder`, but what is at `path` makes room.

    Raises:
        UserError: If the folder can't be written.
    """
    before = _aside(path)
    with writing(path), whole_folder(path) as temporary:
        yield temporary
        if path.exists():
            os.rename(path, before)  # removing it would take longer
    remove_folder(before)


@contextlib.contextmanager
def making_folder(path: pathlib.Path) -> Iterator[None]:
    """Makes a folder; removes what it made if it is empty in the end.

    Raises:
        UserError: If it can't be made.
    """
    missing, place = [], path
    while not place.exists():
        missing.append(place)
        place = place.parent
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()


# Folders' names are made of several parts, and end at 255 bytes.
_PART_BYTES = 100


def name_part(text: str) -> str:
    """Returns a text as a part of a file's name: cut, if it is very long.

    Texts that differ stay different.
    """
    encoded = os.fsencode(text)
    if len(encoded) <= _PART_BYTES:
        return text
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    short = encoded[: _PART_BYTES - len(digest) - 1]
    return f"{short.decode('utf-8', 'ignore')}-{digest}"


def _aside(path: pathlib.Path) -> pathlib.Path:
    # A sibling, as moving is atomic within one disk only. Its name is drawn:
    # machines that share a disk may have processes of the same number.
    return path.with_name(f".{os.urandom(6).hex()}-{path.name}")


def is_leftover(name: str, names: Collection[str]) -> bool:
    """Returns whether a file is what is left of writing one of some files.

    Args:
        name: The file's name.
        names: Names of the files that were to be written.
    """
    # Version 0.1 put the number of the process where a drawn one is now.
    found = re.fullmatch(r"\.[0-9a-f]+-(.+)", name)
    return found is not None and found[1] in names


def remove_leftovers(folder: pathlib.Path, names: Collection[str]) -> None:
    """Removes what killed processes left half-written.

    Nobody may be writing these files.

    Args:
        folder: The folder; may be missing.
        names: Names of the files and folders that were to be written.
    """
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if is_leftover(path.name, names):
            if path.is_dir():
                remove_folder(path)
            else:
                path.unlink(missing_ok=True)


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


def user_folder(variable: str, below_home: str, instead: str) -> pathlib.Path:
    """Returns a folder of the user's own.

    Args:
        variable: An environment variable that names it.
        below_home: Where it is in the home folder, if that is not set.
        instead: What to give where neither is there, for the error.

    Raises:
        UserError: If the user has no home folder.
    """
    named = os.environ.get(variable)
    try:
        if named:
            return pathlib.Path(named).expanduser()
        return pathlib.Path.home() / below_home
    except RuntimeError as error:
        raise UserError(
            f"this user has no home folder to keep files in; set {variable} to "
            f"a folder{instead}"
        ) from error
