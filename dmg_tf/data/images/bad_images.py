"""Finding the images that can't be decoded, and saying why."""

import os

import tensorflow as tf

from dmg_tf.console.parser import offers
from dmg_tf.data.images.decoding import decode, encoded
from dmg_tf.data.images.formats import MAX_BYTES
from dmg_tf.data.images.pillow import read_rgb
from dmg_tf.errors import UserError


def find_bad_images(paths, on_progress=None, stop_at_first=False):
    """Decodes files and returns those that can't be.

    Args:
        paths: Files, as text.
        on_progress: Called with the number of files just done.
        stop_at_first: Whether one bad file is enough.

    Returns:
        {path: reason}.
    """

    def probe(path):
        # The reason is worked out for bad ones only, outside the graph.
        return path, tf.py_function(_is_readable, [path], tf.bool)

    bad = {}
    dataset = tf.data.Dataset.from_tensor_slices(encoded(paths)).map(
        probe, num_parallel_calls=tf.data.AUTOTUNE
    )
    for path, readable in dataset:
        if not readable:
            name = path.numpy().decode("utf-8", "surrogateescape")
            bad[name] = why_unreadable(name)
            if stop_at_first:
                break
        if on_progress:
            on_progress(1)
    return bad


def bad_image_error(bad: dict[str, str]) -> UserError:
    """Returns the error that names an unreadable image."""
    path, reason = next(iter(bad.items()))
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    flag = "--on-bad-image skip"
    advice = f", or pass {flag}" if offers(flag.split()[0]) else ""
    return UserError(
        f"cannot read the image {path}: {reason}{more}; mend or remove it"
        + advice
    )


def _is_readable(path) -> bool:
    try:
        if os.path.getsize(path.numpy()) > MAX_BYTES:
            return False
        decode(tf.io.read_file(path))
    except (tf.errors.OpError, ValueError, OSError):
        return False
    return True


def why_unreadable(path: str) -> str:
    """Returns in a few words why a file can't be decoded."""
    try:
        if os.path.getsize(path) > MAX_BYTES:
            return f"it is larger than {MAX_BYTES / 2**30:g} GiB"
        with open(path, "rb") as file:
            read_rgb(file.read())
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return "it is damaged"
