"""Walks folders of images, and keeps what it leaves out, by reason."""

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff".split()
)
# Folders that systems and archives leave; some hold small copies of images.
_SYSTEM = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    }
)

# Why something is left out: {reason: (in words for one, for several)}.
REASONS: Mapping[str, tuple[str, str]] = {
    "no_domain": ("folder without images", "folders without images"),
    "empty_class": (
        "class folder without images",
        "class folders without images",
    ),
    "unreadable_folder": (
        "folder that cannot be read",
        "folders that cannot be read",
    ),
    "link_above": ("link to a folder above", "links to folders above"),
    "again": (
        "split that repeats others",
        "splits that repeat others",
    ),
    "special": (
        "pipe, socket or device",
        "pipes, sockets or devices",
    ),
    "misplaced": (
        "image outside of a class folder",
        "images outside of class folders",
    ),
    "unlisted": ("image in no list", "images in no list"),
    "no_list": (
        "text file that is no list of images",
        "text files that are no lists of images",
    ),
    "not_images": ("file that is no image", "files that are no images"),
    "hidden": ("hidden", "hidden"),
}


def in_words(counts: Mapping[str, int]) -> str:
    """Returns e.g. "2 hidden, 1 link to a folder above".

    Args:
        counts: {reason of `REASONS`: how many}.
    """
    return ", ".join(
        f"{counts[reason]:,} {one if counts[reason] == 1 else several}"
        for reason, (one, several) in REASONS.items()
        if counts.get(reason)
    )


class LeftOut:
    """What a walk leaves out: {reason of `REASONS`: relative paths}."""

    def __init__(self):
        self.names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Adds a file or, ending in "/", a folder."""
        self.names.setdefault(reason, []).append(name)

    def note(self) -> tuple[str, ...]:
        """Returns all of it in one line; () if there is nothing."""
        parts = [
            f"{in_words({reason: len(self.names[reason])})} "
            f"({min(self.names[reason])!r})"
            for reason in REASONS
            if reason in self.names
        ]
        if not parts:
            return ()
        several = any(len(names) > 1 for names in self.names.values())
        more = "; dmg-tf check names them all" if several else ""
        return (f"left out: {', '.join(parts)}{more}",)


class _Place(NamedTuple):
    """A folder that is walked: where it is, and the real paths above it."""

    path: str
    name: str
    real: str
    above: tuple[str, ...]


class Walk:
    """Lists what lies below a folder; links are followed but to folders above.

    Names are relative paths with "/" on every system.

    Args:
        root: The folder.

    Attributes:
        root: The folder.
        left_out: What was not used so far.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = os.fspath(root)
        self._real_root = os.path.realpath(root)
        self.left_out = LeftOut()

    def folders(self, name: str = "") -> list[str]:
        """Returns the sorted names of the folders directly in a folder.

        Images beside them are misplaced; other files are left out too.

        Args:
            name: The folder, relative; "" for the root.

        Raises:
            OSError: If it can't be read.
        """
        found = []
        for entry, place in self._entries(self._place(name)):
            if place:
                found.append(entry)
            elif is_image(entry):
                self.left_out.add("misplaced", _join(name, entry))
            else:
                self.left_out.add("not_images", _join(name, entry))
        return sorted(found)

    def images(self, name: str) -> list[str]:
        """Returns the images below a folder, sorted, relative to it."""
        found = []
        for file in self._files(self._place(name)):
            if is_image(file):
                found.append(file[len(name) + 1 :])
            else:
                self.left_out.add("not_images", file)
        return sorted(found)

    def files(self) -> Iterator[str]:
        """Yields all files, whatever they are."""
        return self._files(self._place(""))

    def has_image(self, name: str) -> bool:
        """Returns whether there is an image anywhere below a folder.

        A folder that can't be read may have some.
        """
        aside = Walk(self.root)
        for file in aside._files(aside._place(name)):
            if is_image(file):
                return True
        return "unreadable_folder" in aside.left_out.names

    def _place(self, name: str) -> _Place:
        path = os.path.join(self.root, name) if name else self.root
        parts = name.split("/") if name else []
        above = [self._real_root]
        for i in range(len(parts)):
            above.append(
                os.path.realpath(os.path.join(self.root, *parts[: i + 1]))
            )
        return _Place(path, name, above[-1], tuple(above))

    def _files(self, place: _Place) -> Iterator[str]:
        """Yields the relative paths of all files below a folder."""
        waiting = [place]
        while waiting:
            place = waiting.pop()
            try:
                for entry, inner in self._entries(place):
                    if inner:
                        waiting.append(inner)
                    else:
                        yield _join(place.name, entry)
            except OSError as error:
                self.left_out.add(
                    "unreadable_folder",
                    f"{place.name}: {error.strerror or error}",
                )

    def _entries(self, place: _Place) -> Iterator[tuple[str, _Place | None]]:
        """Yields (name, the place of a folder or None) of what is used."""
        with os.scandir(place.path) as scan:
            for entry in scan:
                name, folder = entry.name, _is_folder(entry)
                full = _join(place.name, name)
                if is_hidden(name, folder):
                    self.left_out.add("hidden", full + "/" * folder)
                elif not folder:
                    if _is_special(entry):
                        self.left_out.add("special", full)
                    else:
                        yield name, None
                else:
                    inner = _inner(place, entry, full)
                    if inner:
                        yield name, inner
                    else:
                        self.left_out.add("link_above", full)


def is_image(name: str) -> bool:
    """Says whether a file is an image by its suffix."""
    # `os.path.splitext` takes longer than the listing itself.
    return name[name.rfind(".") :].lower() in IMAGE_SUFFIXES


def is_hidden(name: str, folder: bool) -> bool:
    """Says whether a name is one that is left out."""
    return name.startswith(".") or (folder and name.casefold() in _SYSTEM)


def _inner(place: _Place, entry, name: str) -> _Place | None:
    """Returns the place of a folder; None of a link to one above it."""
    # A junction is what Windows has for links of folders; no link to Python.
    junction = getattr(entry, "is_junction", bool)
    if not (entry.is_symlink() or junction()):
        real = os.path.join(place.real, entry.name)
        return _Place(entry.path, name, real, place.above + (real,))
    real = os.path.realpath(entry.path)
    above = real in place.above or f"{place.real}{os.sep}".startswith(
        real.rstrip(os.sep) + os.sep
    )
    if above:
        return None
    return _Place(entry.path, name, real, place.above + (real,))


def _is_folder(entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or to where one may not look
        return False


def _is_special(entry) -> bool:
    """Says whether reading would wait for ever, or is no matter of files.

    A link to nothing is not: as an image it ends the run and is named.
    """
    try:
        return not entry.is_file() and os.path.exists(entry.path)
    except OSError:
        return False


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
