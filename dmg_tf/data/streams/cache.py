"""Keeps decoded images, so that each file is decoded once and not each epoch.

What is kept is what decoding gives, uint8 pixels at their own size: order and
augmentation stay as free as without, and batches are the same bit for bit.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from dmg_tf.data.images.decoding import (
    check_without_pillow,
    crop,
    decode,
    encoded,
)
from dmg_tf.errors import UserError
from dmg_tf.files import whole_file

# Of the free memory or disk space, this share may be used.
_SHARE = 0.9
_RULE = 2  # of pixels; another one decodes the files anew
_SAMPLE = 50  # images that the need is estimated from


class Files:
    """Decodes each file whenever it is asked for.

    Args:
        size: Side that images will be resized to; see `decoding.decode`.
        pillow: Whether graphs may call Pillow, which ties them to this
            process; without it they take JPEG and PNG alone.
    """

    def __init__(self, size: int, pillow: bool = True):
        self.size = size
        self.pillow = pillow

    def fill(self, paths, on_progress=None) -> None:
        """Prepares for these files; here there is nothing to prepare."""

    def missing(self, paths) -> list[str]:
        """Returns the files that `fill` would decode; here none."""
        del paths
        return []

    def reader(self, paths):
        """Returns how a graph reads images.

        Args:
            paths: Files, as text.

        Returns:
            Function of (index int64 scalar into `paths`, window or None; see
            `decoding.decode`) that returns uint8 [H, W, 3].
        """
        names = encoded(paths)

        def read(index, window=None):
            contents = tf.io.read_file(names[index])
            if not self.pillow:
                check_without_pillow(contents, names[index])
            return decode(contents, self.size, window, self.pillow)

        return read


class _Decoded(Files):
    """What the two caches share: they decode once, all cores at work."""

    def fill(self, paths, on_progress=None) -> None:
        """Decodes the files that are not kept yet.

        Args:
            paths: Files, as text.
            on_progress: Called with the number of files just done.

        Raises:
            UserError: If there is no room for them.
            tf.errors.InvalidArgumentError: If a file can't be decoded.
        """
        missing = self.missing(paths)
        read = tf.autograph.experimental.do_not_convert(
            Files(self.size).reader(missing)
        )
        images = (
            tf.data.Dataset.range(len(missing))
            .map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(tf.data.AUTOTUNE)
            .as_numpy_iterator()
        )
        used = 0
        for count, (path, image) in enumerate(
            zip(missing, images, strict=True), start=1
        ):
            used += image.nbytes
            if count == min(_SAMPLE, len(missing)):
                self._check_room(used / count * (len(missing) - count))
            self._keep(path, image)
            if on_progress:
                on_progress(1)

    def _check_room(self, needed: float) -> None:
        where, free, other = self._free()
        if needed > _SHARE * free:
            raise UserError(
                f"the decoded images would take {needed / 1e9:.1f} GB and "
                f"{where} has {free / 1e9:.1f} GB free; use --cache {other}"
            )


class MemoryCache(_Decoded):
    """Keeps decoded images in this process' memory.

    Args:
        size: Side that images will be resized to; see `decoding.decode`.
    """

    def __init__(self, size: int):
        super().__init__(size)
        self._images: dict[str, np.ndarray] = {}

    def missing(self, paths) -> list[str]:
        """Returns the files that are not kept yet."""
        return [p for p in dict.fromkeys(paths) if p not in self._images]

    def _keep(self, path, image) -> None:
        self._images[path] = image

    def _free(self):
        return "this machine's memory", _available_memory(), "disk"

    def reader(self, paths):
        """Returns how a graph reads images; see `Files.reader`."""
        images = [self._images[path] for path in paths]

        def read(index, window=None):
            image = tf.numpy_function(
                images.__getitem__, [index], tf.uint8, stateful=False
            )
            image.set_shape([None, None, 3])
            return crop(image, window)

        return read


class DiskCache(_Decoded):
    """Keeps decoded images in a folder, for this run and later ones.

    A file holds height and width (two int32) and the pixels. Its name follows
    from the image file's path, size and time of change, so a changed image is
    decoded anew, and runs side by side share the folder.

    Args:
        folder: Where to keep them.
        size: Side that images will be resized to; see `decoding.decode`.
    """

    def __init__(self, folder: str | pathlib.Path, size: int):
        super().__init__(size)
        self.folder = pathlib.Path(folder)
        self._kept_paths: dict[str, str] = {}

    def _kept_path(self, path: str) -> str:
        if path not in self._kept_paths:
            try:
                status = os.stat(path)
            except OSError as error:
                raise UserError(
                    f"cannot read the image {path}: {error.strerror}"
                ) from error
            key = (
                f"{os.path.abspath(path)}\0{status.st_size}\0"
                f"{status.st_mtime_ns}\0{self.size}\0{_RULE}"
            )
            name = hashlib.sha256(
                key.encode("utf-8", "surrogateescape")
            ).hexdigest()
            self._kept_paths[path] = str(self.folder / name[:2] / name[2:32])
        return self._kept_paths[path]

    def missing(self, paths) -> list[str]:
        """Returns the files that are not kept yet."""
        return [
            path
            for path in dict.fromkeys(paths)
            if not os.path.exists(self._kept_path(path))
        ]

    def _keep(self, path, image) -> None:
        kept = pathlib.Path(self._kept_path(path))
        with self._writing():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(kept) as temporary, open(temporary, "wb") as file:
                file.write(np.asarray(image.shape[:2], "<i4").tobytes())
                file.write(image.tobytes())

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write the image cache {self.folder}: "
                f"{error.strerror}; use another --cache-dir, or --cache none"
            ) from error

    def _free(self):
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        return (
            f"the disk of {self.folder}",
            free,
            "none, or another --cache-dir",
        )

    def reader(self, paths):
        """Returns how a graph reads images; see `Files.reader`."""
        kept = encoded([self._kept_path(path) for path in paths])

        def read(index, window=None):
            contents = tf.io.read_file(kept[index])
            sides = tf.io.decode_raw(
                tf.strings.substr(contents, 0, 8), tf.int32
            )
            pixels = tf.io.decode_raw(contents, tf.uint8)[8:]
            return crop(tf.reshape(pixels, [sides[0], sides[1], 3]), window)

        return read


def make_cache(kind: str, size: int, folder: str | None = None) -> Files:
    """Returns the cache of a kind.

    Args:
        kind: "none", "memory" or "disk".
        size: Side that images will be resized to; see `decoding.decode`.
        folder: Where a disk cache lives; None for the user's cache folder.
    """
    if kind == "memory":
        return MemoryCache(size)
    if kind == "disk":
        return DiskCache(folder or default_folder(), size)
    return Files(size)


def default_folder() -> pathlib.Path:
    """Returns `$XDG_CACHE_HOME/dmg_tf/images`, or the same in `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "dmg_tf" / "images"


def _available_memory() -> float:
    """Returns free bytes, with those that the system holds as file cache."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux: the system says when there is none left
    return float("inf")
