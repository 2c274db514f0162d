"""Keeps decoded images, so that each file is decoded once and not each epoch.

What is kept is what decoding gives, uint8 pixels at their own size: order and
augmentation stay as free as without, and batches are the same bit for bit.
"""

import os
import pathlib

import numpy as np
import tensorflow as tf

from dmg_tf.console.bar import print_error
from dmg_tf.data.images.decoding import (
    check_without_pillow,
    crop,
    decode,
    encoded,
)
from dmg_tf.data.streams.kept_files import (
    DAMAGED,
    TAIL,
    KeptFiles,
    ends_well,
    file_key,
)
from dmg_tf.errors import UserError
from dmg_tf.files import user_folder

# Of the free memory or disk space, this share may be used.
_SHARE = 0.9
_RULE = 2  # of pixels; another one decodes the files anew
_SAMPLE = 50  # images that the need is estimated from

# Bytes of a kept image before its pixels: its two sides.
_HEAD = 8


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

    A file holds height and width (two int32), the pixels, and a fingerprint of
    these (int64). Its name follows from the image file's path, size and time of
    change, so a changed image is decoded anew, and runs side by side share the
    folder. Files of version 0.1 have other names.

    Args:
        folder: Where to keep them.
        size: Side that images will be resized to; see `decoding.decode`.
    """

    def __init__(self, folder: str | pathlib.Path, size: int):
        super().__init__(size)
        self._files = KeptFiles(
            folder, "use another --cache-dir, or --cache none"
        )
        self._kept_paths: dict[str, str] = {}

    def _kept_path(self, path: str) -> str:
        if path not in self._kept_paths:
            key = f"{file_key(path)}\0{self.size}\0{_RULE}"
            self._kept_paths[path] = self._files.path_of(key)
        return self._kept_paths[path]

    def missing(self, paths) -> list[str]:
        """Returns the files that are not kept yet."""
        missing = []
        for path in dict.fromkeys(paths):
            kept = self._kept_path(path)
            try:
                whole = _may_be_whole(os.stat(kept).st_size)
            except OSError:
                missing.append(path)
                continue
            if not whole:
                missing.append(path)
                print_error(
                    f"note: {kept} in the image cache is damaged; {path} is "
                    "decoded anew"
                )
        return missing

    def fill(self, paths, on_progress=None) -> None:
        """Decodes the files that are not kept yet; see `Files.fill`.

        Raises:
            UserError: If there is no room for them, or no folder can be made.
            tf.errors.InvalidArgumentError: If a file can't be decoded.
        """
        with self._files.filling():
            super().fill(paths, on_progress)

    def _keep(self, path, image) -> None:
        sides = np.asarray(image.shape[:2], "<i4").tobytes()
        self._files.keep(self._kept_path(path), sides + image.tobytes())

    def _free(self):
        return (
            f"the disk of {self._files.folder}",
            self._files.free(),
            "none, or another --cache-dir",
        )

    def reader(self, paths):
        """Returns how a graph reads images; see `Files.reader`."""
        kept = encoded([self._kept_path(path) for path in paths])

        def read(index, window=None):
            contents = tf.io.read_file(kept[index])
            height, width, end = _sides(contents, kept[index])
            pixels = tf.io.decode_raw(contents, tf.uint8)[_HEAD:end]
            return crop(tf.reshape(pixels, [height, width, 3]), window)

        return read


def _sides(contents, path):
    """Returns height, width and where the pixels end of a kept image.

    The graph fails where the file is not as it was written, and names it.
    """
    length = tf.strings.length(contents)
    head = tf.strings.substr(contents, 0, tf.minimum(_HEAD, length))
    # Of what is too short, nothing is read but zeros.
    head = tf.strings.substr(tf.strings.join([head, b"\0" * _HEAD]), 0, _HEAD)
    sides = tf.cast(tf.io.decode_raw(head, tf.int32), tf.int64)
    end = tf.cast(_HEAD + 3 * sides[0] * sides[1], tf.int64)
    whole = tf.reduce_all(sides > 0) & (sides[0] < 2**20) & (sides[1] < 2**20)
    length = tf.cast(length, tf.int64)

    whole &= length == end + TAIL
    whole = tf.cond(whole, lambda: ends_well(contents, end), lambda: False)
    check = tf.debugging.Assert(whole, [DAMAGED, path])
    # Else a graph may fail on what the sides say before.
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(sides[0]), tf.identity(sides[1]), tf.identity(end)


def _may_be_whole(size: int) -> bool:
    """Returns whether a kept image may have so many bytes."""
    pixels = size - _HEAD - TAIL
    return pixels > 0 and pixels % 3 == 0


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
    root = user_folder("XDG_CACHE_HOME", ".cache", ", or give --cache-dir DIR")
    return root / "dmg_tf" / "images"


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
