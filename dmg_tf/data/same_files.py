"""Which file a path stands for: links and spellings seen through."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dmg_tf.data.names import nfc
from dmg_tf.errors import UserError

# A link of links of ... is followed as far as Linux does.
_MAX_LINKS = 40
_LINK = -1


class _Folder(NamedTuple):
    """A folder as it lies on disk.

    Attributes:
        path: Its real path.
        device: Number of the device that it is on.
        entries: {name: inode; `_LINK` of a symbolic link}.
    """

    path: str
    device: int
    entries: dict[str, int]


class Found(NamedTuple):
    """The files of some paths, in their order.

    Attributes:
        folders: Real paths of the folders that they lie in; "" where there is
            no such file.
        devices: With the inodes their identities, which hard links share.
        inodes: 0 where there is no file, or the system has none.
    """

    folders: list[str]
    devices: list[int]
    inodes: list[int]

    def identities(self) -> set[tuple[int, int]]:
        """Returns {(device, inode)} of the files that have any."""
        pairs = zip(self.devices, self.inodes, strict=True)
        return {(device, inode) for device, inode in pairs if inode}


class RealFiles:
    """Finds the files that paths stand for.

    A folder is listed once and no file is asked for by itself but links: on
    600,000 files that is seconds instead of minutes.
    """

    def __init__(self):
        self._folders: dict[str, _Folder | None] = {}
        self._by_real_path: dict[str, _Folder] = {}
        self._places: dict[str, tuple[str, int]] = {}

    def find(self, paths: Iterable[str]) -> Found:
        """Finds files; what is there but is no file counts as one."""
        found = Found([], [], [])
        last, listing = None, None
        for path in paths:
            if os.sep != "/":
                path = path.replace(os.sep, "/")
            folder, slash, name = path.rpartition("/")
            if folder != last:  # most follow one of the same folder
                last, listing = folder, self._listing(folder or slash or ".")
            inode = None if listing is None else listing.entries.get(name)
            if inode is None:
                where = "", 0, 0
            elif inode == _LINK:
                where = self._target(os.path.join(listing.path, name))
            else:
                where = listing.path, listing.device, inode
            found.folders.append(where[0])
            found.devices.append(where[1])
            found.inodes.append(where[2])
        return found

    def is_there(self, path: str) -> bool:
        """Returns whether there is something at a path, a broken link too."""
        folder, slash, name = path.replace(os.sep, "/").rpartition("/")
        listing = self._listing(folder or slash or ".")
        return listing is not None and name in listing.entries

    def on_disk(self, path: str) -> str | None:
        """Returns a path as the disk spells it, in any Unicode form.

        Returns:
            The path of the file that is there, or None.
        """
        if self.is_there(path):
            return path
        if path.isascii():
            return None
        # From the first part on, each as it is or in another form.
        done = "" if path.startswith("/") else "."
        for part in filter(None, path.split("/")):
            listing = self._listing(done or "/")
            if listing is None:
                return None
            if part not in (".", "..") and part not in listing.entries:
                same = (n for n in listing.entries if nfc(n) == nfc(part))
                part = next(same, None)
                if part is None:
                    return None
            done = f"{done}/{part}"
        return done.removeprefix("./")

    def names_in(self, folder: str) -> Iterable[str]:
        """Returns the names of all that lies in a folder, () if none is."""
        listing = self._listing(folder)
        return () if listing is None else listing.entries

    def identities_in(self, folder: str) -> dict[tuple[int, int], str]:
        """Returns {(device, inode): path} of what lies in a folder, no links.

        It is empty where the system has no inodes.
        """
        listing = self._listing(folder)
        if listing is None:
            return {}
        return {
            (listing.device, inode): os.path.join(folder, name)
            for name, inode in listing.entries.items()
            if inode not in (0, _LINK)
        }

    def _listing(self, folder: str) -> _Folder | None:
        if folder not in self._folders:
            self._folders[folder] = self._listed(folder)
        return self._folders[folder]

    def _listed(self, folder: str) -> _Folder | None:
        try:
            path = os.path.realpath(folder)
            if path not in self._by_real_path:
                with os.scandir(path) as scan:
                    entries = {
                        e.name: _LINK if e.is_symlink() else e.inode()
                        for e in scan
                    }
                device = os.stat(path).st_dev
                self._by_real_path[path] = _Folder(path, device, entries)
            return self._by_real_path[path]
        except (OSError, ValueError):
            return None

    def _target(self, path: str) -> tuple[str, int, int]:
        """Returns where a symbolic link ends, as in `Found`; if nowhere, it."""
        first = path
        for _ in range(_MAX_LINKS):
            try:
                path = os.path.join(os.path.dirname(path), os.readlink(path))
                folder, name = os.path.split(path)
                if folder not in self._places:
                    real = os.path.realpath(folder)
                    self._places[folder] = real, os.stat(real).st_dev
                real, device = self._places[folder]
                path = os.path.join(real, name)
                status = os.lstat(path)
                if not stat.S_ISLNK(status.st_mode):
                    # The device of the folder, as of files that are listed.
                    return real, device, status.st_ino
            except OSError:
                break
        # A link to nothing is there, and no other path leads to it.
        return os.path.dirname(first), 0, 0


def same_files(found: Found) -> list[list[int]]:
    """Returns the sets of positions where one file is, if there are several.

    Args:
        found: Files.

    Returns:
        Positions in rising order; the sets by their second position.
    """
    inodes = np.asarray(found.inodes, np.uint64)
    order = np.argsort(inodes, kind="stable")
    ordered = inodes[order]
    equal = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] > 0))
    suspects = sorted({int(order[i + k]) for i in equal for k in (0, 1)})
    sets: dict[tuple[int, int], list[int]] = {}
    for i in suspects:
        identity = found.devices[i], found.inodes[i]
        sets.setdefault(identity, []).append(i)
    several = [positions for positions in sets.values() if len(positions) > 1]
    return sorted(several, key=lambda positions: positions[1])


def is_below(path: str, folder: str) -> bool:
    """Returns whether a real path is a folder's or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def strangers(
    found: Found, owners: Sequence[str], homes: Mapping[str, str]
) -> list[int]:
    """Returns the positions of files that lie in another domain's folder.

    Args:
        found: The files.
        owners: The domain that each is taken for.
        homes: {domain: real path of its folder}; one may lie in another.
    """
    judged: dict[tuple[str, str], bool] = {}
    wrong = []
    for i, key in enumerate(zip(found.folders, owners, strict=True)):
        if key not in judged:
            judged[key] = _is_stranger(*key, homes)
        if judged[key]:
            wrong.append(i)
    return wrong


def _is_stranger(folder: str, domain: str, homes: Mapping[str, str]) -> bool:
    own = homes.get(domain)
    if not folder or (own and is_below(folder, own)):
        return False
    return any(
        is_below(folder, home)
        for other, home in homes.items()
        if other != domain and not (own and is_below(own, home))
    )


def check_each_once(paths: Sequence[str], found: Found) -> None:
    """Raises UserError if a file is among the paths more than once.

    Args:
        paths: Files.
        found: What `RealFiles` finds of them.
    """
    sets = same_files(found)
    if not sets and len(set(paths)) < len(paths):
        # The same text is the same file where inodes say nothing, too.
        seen: dict[str, int] = {}
        for i, path in enumerate(paths):
            if seen.setdefault(path, i) != i:
                sets.append([seen[path], i])
    if sets:
        first, second = sets[0][:2]
        more = f" ({len(sets)} such)" if len(sets) > 1 else ""
        raise UserError(
            f"{paths[second]} and {paths[first]} are the same file{more}: an "
            "image may be there once, or training would see what it is scored "
            "on; remove one of them, or the link"
        )
