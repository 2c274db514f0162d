"""What the files of a folder were when they were written: `checksums.json`.

A folder's list names each file and its SHA-256. It is written before the file
takes its place and knows what was there too, so a process may be killed between
any two steps. A file that is read is compared with it. A folder without a list,
or a file that it does not name, is read unchecked: version 0.1 wrote none.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from dmg_tf.errors import DamagedFile
from dmg_tf.files import whole_file, write_json, writing

FILE_NAME = "checksums.json"
# Where a finished run's next state is made. As soon as the folder's own list
# is the next one's, files that were not moved yet are read there.
NEXT = "going_on"

_SEAL = "sha256"
# A reader may come between the steps of a writer.
_TRIES = 3
_TRY_SECONDS = 0.05


class Checksums:
    """Writes files of a folder, and what they are, for the lock's holder.

    Args:
        folder: The folder, which is there.

    Raises:
        DamagedFile: If its list is damaged.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self._known = known_checksums(folder)

    @contextlib.contextmanager
    def replacing(self, name: str) -> Iterator[pathlib.Path]:
        """As `files.replacing`, for a file of the folder.

        Args:
            name: The file's name.
        """
        path = self.folder / name
        with writing(path), whole_file(path) as temporary:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
                digest = _digest_of(file)
            before = self._known.get(name, [])
            self._write({**self._known, name: [*before, digest]})
        # What was there before is dropped when the list is written next.
        self._known[name] = [digest]

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file in one step."""
        with self.replacing(name) as temporary:
            temporary.write_text(text, "utf-8")

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file in one step."""
        self.write_text(name, json.dumps(value, indent=2) + "\n")

    def update(self, add: Iterable[str] = (), drop: Iterable[str] = ()):
        """Takes files into the list that others wrote, and out of it.

        Args:
            add: Names of whole files of the folder, "/" between folders.
            drop: Names of files that may be gone.
        """
        new = {name: [digest(self.folder / name)] for name in add}
        gone = set(drop)
        kept = {n: v for n, v in self._known.items() if n not in gone}
        self._known = {**kept, **new}
        self._write(self._known)

    def take(self, other: "Checksums", names: Iterable[str]) -> None:
        """Takes files into the list that were copied from another folder.

        Args:
            other: Of that folder; says what they are, as a copy may be damaged.
            names: The names of the files.
        """
        names = list(names)
        self.update(name for name in names if name not in other._known)
        listed = {n: other._known[n] for n in names if n in other._known}
        self._known.update(listed)
        self._write(self._known)

    @property
    def names(self) -> list[str]:
        """The names of the files in the list."""
        return list(self._known)

    def _write(self, known) -> None:
        write_sealed(self.folder / FILE_NAME, {"files": known})


def known_checksums(folder: pathlib.Path) -> dict[str, list[str]]:
    """Returns {name: SHA-256 of what the file may be}; {} without a list.

    Raises:
        DamagedFile: If the list is damaged.
    """
    path = folder / FILE_NAME
    try:
        files = read_sealed(path, sealed=True)["files"]
    except FileNotFoundError:
        return {}
    except DamagedFile as error:
        raise DamagedFile(
            f"{error}; remove it to have the folder's files read unchecked"
        ) from error
    return dict(files)


def checked_path(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Returns where a file of a folder is to be read.

    Args:
        folder: The folder.
        name: The file's name in it, "/" between folders.

    Raises:
        FileNotFoundError: If it is not there.
        DamagedFile: If it is not as it was written.
    """
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_TRY_SECONDS)
        right = known_checksums(folder).get(name)
        if right is None:
            return folder / name
        for place in (folder / name, folder / NEXT / name):
            with contextlib.suppress(FileNotFoundError):
                if digest(place) in right:
                    return place
    if not (folder / name).exists():
        text = os.strerror(errno.ENOENT)
        raise FileNotFoundError(errno.ENOENT, text, str(folder / name))
    raise DamagedFile(
        f"{folder / name} is not as it was written ({FILE_NAME} has another "
        "SHA-256): it was damaged or edited since; put it back from a copy, or "
        f"remove {FILE_NAME} to have the folder's files read unchecked"
    )


def check_all(folder: pathlib.Path) -> None:
    """Raises DamagedFile unless all files of a folder's list are as written."""
    for name in known_checksums(folder):
        try:
            checked_path(folder, name)
        except FileNotFoundError as error:
            raise DamagedFile(f"{error.filename} is gone") from error


def checked_bytes(path: pathlib.Path) -> bytes:
    """Returns the contents of a file; see `checked_path`."""
    return checked_path(path.parent, path.name).read_bytes()


def read_json(
    path: pathlib.Path, folder: pathlib.Path | None = None
) -> dict[str, Any]:
    """Reads a JSON object of a folder, checked as `checked_path` does.

    Args:
        path: The file.
        folder: Whose list names it; None for the folder that it is in.

    Raises:
        OSError: If it can't be read.
        DamagedFile: If it is no JSON object, or not as it was written.
    """
    folder = folder or path.parent
    name = path.relative_to(folder).as_posix()
    return _object(path, checked_path(folder, name).read_bytes())


def write_sealed(path: pathlib.Path, value: dict[str, Any]) -> None:
    """Writes a JSON object with its own checksum, in one step."""
    plain = json.loads(json.dumps(value))
    write_json(path, {**plain, _SEAL: _seal_of(plain)})


def read_sealed(path: pathlib.Path, sealed: bool = False) -> dict[str, Any]:
    """Reads what `write_sealed` wrote.

    Args:
        path: The file.
        sealed: Whether it must have a checksum; version 0.1 wrote none.

    Raises:
        OSError: If it can't be read.
        DamagedFile: If it is no JSON object, or not as it was written.
    """
    value = _object(path, path.read_bytes())
    seal = value.pop(_SEAL, None)
    if (sealed or seal is not None) and seal != _seal_of(value):
        raise DamagedFile(f"{path} is not as it was written: it is damaged")
    return value


def _object(path, contents: bytes) -> dict[str, Any]:
    try:
        value = json.loads(contents)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise DamagedFile(f"{path} is damaged: {reason}") from error
    if not isinstance(value, dict):
        raise DamagedFile(f"{path} is damaged: it holds no JSON object")
    return value


def _seal_of(value) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file."""
    with open(path, "rb") as file:
        return _digest_of(file)


def _digest_of(file: BinaryIO) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
