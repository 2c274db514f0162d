"""A folder that one process at a time writes to."""

import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from dmg_tf.console.bar import print_error
from dmg_tf.errors import InUse, UserError
from dmg_tf.files import writing

try:
    import fcntl
except ImportError:  # Windows: signs of life have to do
    fcntl = None

LOCK_NAME = ".lock"

# A holder touches its lock so often; where nothing else tells whether it is
# alive, it is watched for so long.
_BEAT_SECONDS = 5.0
_PATIENCE_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class Lock:
    """A lock that this process holds.

    Attributes:
        path: The file that stands for it.
        what: What it keeps others away from.
        owner: What the file says: host, process id, since when.
    """

    path: pathlib.Path
    what: pathlib.Path
    owner: dict[str, Any]

    @property
    def held(self) -> bool:
        """Whether it still is this process'."""
        try:
            return _read(self.path) == self.owner
        except OSError:
            return False

    def check(self) -> None:
        """Raises UserError if the folder was taken away meanwhile."""
        if not self.held:
            raise UserError(
                f"{self.what} was removed, renamed or taken over while this "
                "process wrote to it; nothing more is written"
            )


@contextlib.contextmanager
def alone_in(
    folder: pathlib.Path, instead: str, watch: bool = True
) -> Iterator[Lock]:
    """Keeps all other processes from writing to a folder that is there.

    See `alone`.
    """
    with alone(folder / LOCK_NAME, folder, instead, watch) as lock:
        yield lock


@contextlib.contextmanager
def alone_beside(
    path: pathlib.Path, instead: str, watch: bool = True
) -> Iterator[Lock]:
    """Keeps all other processes from writing what appears as a whole.

    See `alone`; the lock lies beside the path, in a folder that is there.
    """
    beside = path.with_name(f".{path.name}{LOCK_NAME}")
    with alone(beside, path, instead, watch) as lock:
        yield lock


@contextlib.contextmanager
def alone(
    path: pathlib.Path, what: pathlib.Path, instead: str, watch: bool = True
) -> Iterator[Lock]:
    """Holds a lock.

    The system lets go of it when the process ends, however that was. It can't
    be asked about other machines, nor on file systems without locks: there a
    holder is taken for alive as long as it touches the file.

    Args:
        path: The file that stands for the lock; removed in the end.
        what: What others are kept away from.
        instead: What a process that comes second could do otherwise.
        watch: Whether to watch a holder of another machine for signs of life;
            it is taken for alive otherwise.

    Raises:
        InUse: If another process holds it.
        UserError: If the file can't be written.
    """
    with writing(path):
        file, certain = _open(path)
    if file is None:
        raise _in_use(path, what, instead)
    over = threading.Event()
    try:
        before = _read(path)
        doubtful = before and not (certain and before.get("host") == _host())
        if doubtful and (not watch or _is_alive(path, what, before)):
            raise _in_use(path, what, instead)
        owner = {
            "host": _host(),
            "process": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "token": os.urandom(8).hex(),
        }
        with writing(path):
            _write(file, owner)
        threading.Thread(target=_beat, args=(path, over), daemon=True).start()
        lock = Lock(path, what, owner)
        try:
            yield lock
        finally:
            over.set()
            if lock.held:
                _remove(path, file)
                file = None
    finally:
        if file is not None:
            os.close(file)


def _open(path) -> tuple[int | None, bool]:
    """Opens the file and locks it.

    Returns:
        The file, or None where another process has locked it; and whether the
        system can lock it.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        certain = fcntl is not None
        try:
            if certain:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None, True
        except OSError:  # this file system has no locks
            certain = False
        # Whoever held it may have removed it before it let go.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file, certain
        os.close(file)


def _remove(path, file) -> None:
    # Removed while it is held, so that none takes what is about to go; Windows
    # removes no open file.
    if fcntl is None:
        os.close(file)
    with contextlib.suppress(OSError):
        path.unlink()
    if fcntl is not None:
        os.close(file)


def _read(path) -> dict[str, Any]:
    try:
        owner = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}  # it is being written
    return owner if isinstance(owner, dict) else {}


def _write(file, owner) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, json.dumps(owner).encode())


def _beat(path, over) -> None:
    while not over.wait(_BEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(path)


def _is_alive(path, what, owner) -> bool:
    """Watches for signs of life of a holder."""
    print_error(
        f"{what} was in use by {_words(owner)}; looking for "
        f"{_PATIENCE_SECONDS:g} s whether it still is"
    )
    first = _touched(path)
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        time.sleep(min(0.5, _PATIENCE_SECONDS / 4))
        if _touched(path) != first:
            return True
    return False


def _touched(path) -> int | None:
    # Opening makes a network's file system ask its server.
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def _in_use(path, what, instead) -> InUse:
    try:
        owner = _read(path)
    except OSError:
        owner = {}
    since = f" since {owner['since']}" if "since" in owner else ""
    return InUse(
        f"{what} is in use: {_words(owner)} has been writing to it{since}; "
        f"wait for it, or {instead}"
    )


def _words(owner) -> str:
    if not {"process", "host"} <= owner.keys():
        return "another process"
    return f"process {owner['process']} on {owner['host']}"


def _host() -> str:
    return socket.gethostname()
