"""Pictures from strangers: checked before a byte of pixels is unpacked."""

import io

import numpy as np
import PIL.Image

from dmg_tf.data.images.formats import (
    FORMAT_NAMES,
    NotRead,
    open_image,
    too_many_pixels,
)
from dmg_tf.data.images.pillow import read_rgb

# Phones take 50 megapixels; as RGB these are 150 MB.
MAX_PIXELS = 51_000_000


class BadPicture(Exception):
    """A request's bytes that are no picture this program reads.

    Attributes:
        status: HTTP status code that says so.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def read_picture(
    contents: bytes, size: int | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decodes a picture as `decoding.decode` does, after checks.

    Args:
        contents: The file's bytes.
        size: Side that the pixels will be resized to; see `decode`.

    Returns:
        uint8 [H, W, 3], which may be a fraction of the picture's size, and the
        picture's width and height.

    Raises:
        BadPicture: If it is none (415), has too many pixels (413), or is
            damaged (400).
    """
    import tensorflow as tf

    from dmg_tf.data.images.decoding import decode

    sides = check(contents)
    try:
        return decode(contents, size).numpy(), sides
    except (tf.errors.OpError, ValueError) as error:
        _check_kind(contents)
        raise BadPicture(400, "the picture is damaged or incomplete") from error


def check(contents: bytes) -> tuple[int, int]:
    """Reads width and height from the header.

    Raises:
        BadPicture: For what should not be decoded.
    """
    if not contents:
        raise BadPicture(400, "the file is empty")
    width = height = None
    try:
        with open_image(io.BytesIO(contents)) as image:
            width, height = image.size
    except PIL.UnidentifiedImageError as error:
        raise BadPicture(
            415, f"this is no picture; {FORMAT_NAMES} are read"
        ) from error
    except NotRead as error:
        raise BadPicture(413, f"the picture is not read: {error}") from error
    except Exception as error:  # Pillow raises many kinds
        raise BadPicture(400, "the picture is damaged or incomplete") from error
    if width * height > MAX_PIXELS:
        what = too_many_pixels(f"{width} x {height} pixels", MAX_PIXELS)
        raise BadPicture(413, f"the picture is not read: {what}")
    return width, height


def _check_kind(contents):
    """Raises BadPicture if whole pictures of a kind are not read either."""
    try:
        read_rgb(contents)
    except NotRead as error:
        raise BadPicture(415, f"the picture is not read: {error}") from error
    except ValueError:
        return
