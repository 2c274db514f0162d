"""From an image file's bytes to the pixels that are needed of it."""

import io
from collections.abc import Callable, Iterable

import numpy as np
import PIL.Image
import tensorflow as tf

from dmg_tf.data.images.pillow import as_rgb
from dmg_tf.data.service.client import NOT_DECODABLE

# A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which skips most of the
# work, as long as what is left is this many times larger than asked for. The
# resized image then differs by about a third of a grey level on average. Sides
# must divide, or the picture would be stretched by a part of a pixel.
_SPARE = 3
_RATIOS = (2, 4, 8)


def decode(contents, size: int | None = None, window=None, pillow: bool = True):
    """Decodes an image file, or a part of it, to RGB.

    JPEG and PNG are decoded by TensorFlow, all else (BMP, GIF's first frame,
    WebP, TIFF) by Pillow. Grey and palette images become RGB, an alpha channel
    is dropped, and of 16 bits the upper 8 are kept.

    Args:
        contents: The file's bytes: `bytes` or a string scalar.
        size: Side of the square that the pixels will be resized to. A JPEG
            that is far larger is decoded at a fraction of its size. None
            decodes at full size.
        window: (shape int32 [2]) -> int32 [4]; given height and width, returns
            top, left, height and width of the part that is needed. Of a JPEG
            only that part is decoded.
        pillow: Whether Pillow may be asked; see `check_without_pillow`.

    Returns:
        uint8 [H, W, 3].

    Raises:
        tf.errors.InvalidArgumentError: If the bytes are no complete image.
            Outside a graph it is a ValueError where Pillow was asked.
    """
    # Of plain bytes, NumPy would drop the NULs at the end on the way to Pillow.
    contents = tf.convert_to_tensor(contents, tf.string)

    def jpeg():
        return decode_jpeg(contents, size, window)

    def png():
        return crop(tf.io.decode_png(contents, channels=3), window)

    def other():
        image = tf.numpy_function(_decode_with_pillow, [contents], tf.uint8)
        image.set_shape([None, None, 3])
        return crop(image, window)

    image = tf.case(
        [(is_jpeg(contents), jpeg), (is_png(contents), png)],
        default=other if pillow else png,
    )
    image.set_shape([None, None, 3])
    return image


def is_jpeg(contents):
    """Returns whether a file's bytes begin as a JPEG's do; bool scalar."""
    return tf.strings.substr(contents, 0, 3) == b"\xff\xd8\xff"


def is_png(contents):
    """Returns whether a file's bytes begin as a PNG's do; bool scalar."""
    return tf.strings.substr(contents, 0, 4) == b"\x89PNG"


def check_without_pillow(contents, path) -> None:
    """Makes a graph fail on what TensorFlow can't decode by itself.

    Args:
        contents: string scalar, the file's bytes.
        path: string scalar, the file's name for the error.
    """
    known = tf.logical_or(is_jpeg(contents), is_png(contents))
    tf.debugging.Assert(known, [NOT_DECODABLE, path])


def decode_jpeg(contents, size: int | None = None, window=None):
    """Decodes a JPEG, or a part of it; see `decode`."""
    # The slower transform: the faster one is off by several grey levels.
    options = {"channels": 3, "dct_method": "INTEGER_ACCURATE"}
    if size is None and window is None:
        return tf.io.decode_jpeg(contents, **options)

    def at(ratio):
        if window is None:
            return tf.io.decode_jpeg(contents, ratio=ratio, **options)
        part = window(shape // ratio)
        return tf.io.decode_and_crop_jpeg(
            contents, part, ratio=ratio, **options
        )

    shape = tf.io.extract_jpeg_shape(contents)[:2]
    if size is None:
        return at(1)
    ratios = tf.constant(_RATIOS)
    enough = tf.reduce_min(shape) >= _SPARE * size * ratios
    whole = tf.reduce_all(shape[:, tf.newaxis] % ratios == 0, axis=0)
    # A smaller ratio fits wherever a larger one does.
    fitting = tf.reduce_sum(tf.cast(enough & whole, tf.int32))
    return tf.switch_case(
        fitting, [lambda ratio=ratio: at(ratio) for ratio in (1, *_RATIOS)]
    )


def crop(image, window=None):
    """Cuts a part out of an image.

    Args:
        image: uint8 [H, W, 3].
        window: See `decode`; None keeps the whole image.

    Returns:
        uint8 [h, w, 3].
    """
    if window is None:
        return image
    top, left, height, width = tf.unstack(window(tf.shape(image)[:2]))
    return tf.slice(image, [top, left, 0], [height, width, 3])


def or_else(read: Callable, blank) -> Callable:
    """Returns how a graph reads what may be unreadable.

    Args:
        read: (value) -> tensors; fails on what is unreadable.
        blank: What stands in for those, of the same structure.

    Returns:
        (value) -> what `read` gives, or `blank`.
    """

    def read_or_blank(value):
        # A graph can't catch an error, but a stream can leave out what fails:
        # then the blank comes first.
        one = tf.data.Dataset.from_tensors(value).map(read).ignore_errors()
        other = tf.data.Dataset.from_tensors(blank)
        return one.concatenate(other).take(1).get_single_element()

    return read_or_blank


def encoded(paths: Iterable[str]) -> tf.Tensor:
    """Returns file names as TensorFlow takes them, string [N]."""
    return tf.constant(
        [path.encode("utf-8", "surrogateescape") for path in paths], tf.string
    )


def _decode_with_pillow(contents) -> np.ndarray:
    # A graph hands over bytes, eager execution an array that holds them.
    contents = contents if isinstance(contents, bytes) else contents.item()
    try:
        with PIL.Image.open(io.BytesIO(contents)) as image:
            return np.asarray(as_rgb(image))
    except Exception as error:
        # Pillow raises many kinds, from OSError to struct.error.
        raise ValueError(f"no complete image: {error}") from error
