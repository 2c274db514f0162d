"""Finding the images that can't be decoded, and saying why."""

import io

import PIL.Image
import tensorflow as tf

from dmg_tf.data.images.decoding import decode, encoded
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
    return UserError(
        f"cannot read the image {path}: {reason}{more}; mend or remove it, or "
        "pass --on-bad-image skip"
    )


def _is_readable(path) -> bool:
    try:
        decode(tf.io.read_file(path))
    except (tf.errors.OpError, ValueError):
        return False
    return True


def why_unreadable(path: str) -> str:
    """Returns in a few words why a file can't be decoded."""
    try:
        with open(path, "rb") as file:
            contents = file.read()
    except OSError as error:
        return error.strerror or str(error)
    if not contents:
        return "the file is empty"
    try:
        with PIL.Image.open(io.BytesIO(contents)) as image:
            image.load()
    except Exception as error:  # Pillow raises many kinds
        # Pillow names its buffer, which says nothing to the user.
        return str(error).partition(" <_io")[0] or type(error).__name__
    return "it is damaged"
