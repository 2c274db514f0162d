"""Pixels as Pillow reads them; loads no TensorFlow."""

import io

import numpy as np
import PIL.Image

from dmg_tf.data.images.formats import (
    FORMAT_NAMES,
    NotRead,
    foreign_format,
    open_image,
)

_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC, _SAMPLES = 258, 262, 339
_WHITE_IS_ZERO = 0
_UNSIGNED, _UNDEFINED = 1, 4
# By EXIF orientation.
_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


def read_rgb(contents: bytes) -> np.ndarray:
    """Decodes a file's bytes; see `as_rgb`.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: If they are no image that is read, in a few words why.
    """
    if not contents:
        raise ValueError("the file is empty")
    try:
        with open_image(io.BytesIO(contents)) as image:
            return np.asarray(as_rgb(image))
    except NotRead:
        raise
    except PIL.UnidentifiedImageError as error:
        raise NotRead(_unknown(contents)) from error
    except Exception as error:
        # Pillow raises many kinds, from OSError to struct.error, and names its
        # buffer, which says nothing to the user.
        text = str(error).partition(" <_io")[0]
        raise ValueError(text or type(error).__name__) from error


def as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns an opened image in RGB, upright, by the rule of all images.

    Grey and palette become RGB, white may be zero; of more than 8 bits the
    upper 8 are kept; alpha is dropped, profiles are not applied; the EXIF
    orientation is.

    Raises:
        NotRead: If black and white of its pixels are not known: they are
            signed, of 32 bits, or floating-point numbers.
    """
    tags = tiff_tags(image)  # Pillow changes them as it decodes
    image.load()
    turn = _TURNS.get(exif_orientation(image))
    samples = tags.get(_SAMPLES, (_UNSIGNED,))
    if image.mode == "F":
        low, high = image.getextrema()
        raise NotRead(
            f"its pixels are floating-point numbers, from {low:g} to {high:g}, "
            "and nothing says which are black and white; store 8 or 16 bits"
        )
    if not {_UNSIGNED, _UNDEFINED}.issuperset(samples):
        raise NotRead(
            "its pixels are signed numbers, and nothing says which are black "
            "and white; store 8 or 16 unsigned bits"
        )
    if image.mode == "I":
        raise NotRead("it has 32 bits a pixel; store 8 or 16 bits")
    if image.mode.startswith("I;16"):
        # Pillow would clip them at 255 instead of scaling them.
        bits = max(tags.get(_BITS, (16,)))
        grey = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            grey = 255 - grey  # Pillow does it for up to 8 bits
        image = PIL.Image.fromarray(grey)
    image = image.convert("RGB")
    return image if turn is None else image.transpose(turn)


def tiff_tags(image: PIL.Image.Image) -> dict:
    """Returns the tags of a TIFF image, {} of another."""
    return dict(image.tag_v2) if image.format == "TIFF" else {}


def exif_orientation(image: PIL.Image.Image) -> int:
    """Returns what is left to do to turn a decoded image upright, 1 to 8.

    What a camera wrote counts, not what a program noted beside it (XMP). Of
    TIFF, Pillow does it by itself. PNG may have it behind the pixels.
    """
    data = image.info.get("exif")
    if not data or image.format == "TIFF":
        return 1
    exif = PIL.Image.Exif()
    try:
        exif.load(data)
        value = exif.get(_ORIENTATION)
    except Exception:  # a damaged one, of as many kinds as there are bytes
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _unknown(contents: bytes) -> str:
    name = foreign_format(contents)
    if name:
        return f"it is {name}, which is not read; {FORMAT_NAMES} are"
    if contents[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return (
            "it is damaged, or a kind of TIFF that is not read; 8 or 16 "
            "unsigned bits a sample are"
        )
    return f"it is no image that is read; {FORMAT_NAMES} are"
