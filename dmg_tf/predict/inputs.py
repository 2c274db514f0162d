"""Which images a prediction is asked for: files, folders, patterns, lists."""

import collections
import glob
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence

from dmg_tf.data.datasets.spec import encoding_of
from dmg_tf.data.datasets.walk import (
    IMAGE_SUFFIXES,
    in_words,
    is_hidden,
    is_image,
)
from dmg_tf.data.images.formats import MAX_BYTES
from dmg_tf.errors import UserError

STDIN = "-"


class ImagePaths:
    """Paths in a fixed order, kept on disk: memory does not grow with them.

    Counting them first is what makes a progress bar's time left possible.

    Attributes:
        left_out: {reason of `walk.REASONS`: how many files and folders} of
            what was found in folders and by patterns and is not taken.
    """

    def __init__(self):
        self.left_out = collections.Counter()
        self._count = 0
        self._file = tempfile.TemporaryFile("w+", encoding="ascii")

    def add(self, path: str) -> None:
        """Appends a path.

        Raises:
            UserError: If there is no room for it.
        """
        try:
            # A line of JSON holds any name, with line breaks and bytes that
            # are no text too.
            self._file.write(json.dumps(path) + "\n")
        except OSError as error:
            raise UserError(
                f"cannot keep the list of images in {tempfile.gettempdir()}: "
                f"{error.strerror}"
            ) from error
        self._count += 1

    def note(self) -> str:
        """Returns what is left out, in words; "" if it is nothing."""
        return in_words(self.left_out)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)


def collect_paths(
    names: Sequence[str], lists: Sequence[str] = ()
) -> ImagePaths:
    """Finds all images that are asked for, in the order of the arguments.

    A folder gives the images below it by suffix, sorted by path, hidden ones
    left out. So does a pattern with what it matches, `**` for any depth. A file
    is taken whatever its name. A list has a path a line and is not checked:
    each line is an image, in this order. Nothing is opened but the lists.

    Args:
        names: Files, folders, patterns; "-" for a list on standard input.
        lists: Files with a path a line.

    Returns:
        The paths. What is named twice is there twice.

    Raises:
        UserError: If a name does not exist, a pattern matches nothing, a list
            can't be read, or there is no image at all.
    """
    paths = ImagePaths()
    for name in names:
        if name == STDIN:
            _add_list(paths, name)
        elif os.path.isdir(name):
            _add_folder(paths, name)
        elif os.path.lexists(name):
            paths.add(name)
        elif glob.has_magic(name):
            _add_matches(paths, name)
        else:
            raise UserError(
                f"there is no {name}; give image files, folders of images, or "
                "patterns in quotes"
            )
    for name in lists:
        _add_list(paths, name)
    if not len(paths):
        raise UserError(
            f"no images found in {', '.join([*names, *lists])}; expected "
            f"files that end in {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return paths


def why_not_a_file(path: str) -> str:
    """Returns why a path can't be read as an image file, or "".

    Only its kind and size are looked at. Reading a pipe would wait for ever.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            os.scandir(path).close()  # a folder that could not be entered
            return "it is a folder"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_size > MAX_BYTES:
        return f"it is larger than {MAX_BYTES / 2**30:g} GiB"
    return ""


def _add_folder(paths, folder, above=()):
    """Adds a folder's images as if all paths were sorted at once."""
    try:
        status = os.stat(folder)
        with os.scandir(folder) as scan:
            # "/" counts in the order: "a-b/x" comes before "a/x".
            entries = sorted(
                e.name + "/" if os.path.isdir(e.path) else e.name for e in scan
            )
    except OSError:
        paths.add(folder)  # a row with the reason
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        paths.left_out["link_above"] += 1  # it would have no end
        return
    for name in entries:
        if is_hidden(name.rstrip("/"), folder=name.endswith("/")):
            paths.left_out["hidden"] += 1
            continue
        path = os.path.join(folder, name)
        if name.endswith("/"):
            _add_folder(paths, path.rstrip("/"), (*above, here))
        else:
            _add_image(paths, path)


def _add_matches(paths, pattern):
    matches = sorted(
        path.rstrip("/") + "/" if os.path.isdir(path) else path
        for path in glob.iglob(_literal_first(pattern), recursive=True)
    )
    if not matches:
        brackets = (
            "; [ab] stands for one of these letters, [[] for a bracket"
            if "[" in pattern
            else ""
        )
        raise UserError(
            f"nothing matches {pattern}; ** stands for folders of any depth"
            f"{brackets}"
        )
    entered = None
    for path in matches:
        if entered and path.startswith(entered):
            continue  # the folder has given it already
        if path.endswith("/"):
            entered = path
            _add_folder(paths, path.rstrip("/") or "/")
        else:
            _add_image(paths, path)


def _literal_first(pattern: str) -> str:
    """Returns a pattern in which folders that are there stand for themselves.

    `photos [2020]/*.png` means the folder of that name, if there is one.
    """
    parts = pattern.split("/")
    there = 0
    for count in range(1, len(parts)):
        before = "/".join(parts[:count])
        if before and not os.path.isdir(before):
            break
        there = count
    return "/".join([*map(glob.escape, parts[:there]), *parts[there:]])


def _add_image(paths, path):
    if is_image(path):
        paths.add(path)
    else:
        paths.left_out["not_images"] += 1


def _add_list(paths, name):
    try:
        file = sys.stdin.buffer if name == STDIN else open(name, "rb")
        with file:
            for number, line in enumerate(file):
                if number == 0:
                    line = _without_mark(line, name)
                path = os.fsdecode(line).rstrip("\r\n")
                if path:
                    paths.add(_as_meant(path))
    except OSError as error:
        raise UserError(
            f"cannot read the list {name}: {error.strerror}; expected a file "
            "with the path of an image a line"
        ) from error


def _without_mark(line: bytes, name: str) -> bytes:
    encoding, mark = encoding_of(line)
    if encoding != "utf-8":
        raise UserError(
            f"cannot read the list {name}: it is {encoding.upper()}; save it "
            "as UTF-8"
        )
    return line[mark:]


def _as_meant(path: str) -> str:
    """Returns a path without what stands around it, if that alone is there."""
    bare = path.strip().strip("\"'")
    if bare != path and not os.path.lexists(path) and os.path.lexists(bare):
        return bare
    return path
