"""From an image file's bytes to the pixels that are needed of it."""

import functools
import io
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from dmg_tf.data.images.formats import MAX_PIXELS, open_image, too_many_pixels
from dmg_tf.data.images.orientation import (
    jpeg_exif,
    orientation_at,
    png_exif,
    upright,
)
from dmg_tf.data.images.pillow import read_rgb
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
    WebP, TIFF) by Pillow. The pixels are those that docs/data.md describes.

    Args:
        contents: The file's bytes: `bytes` or a string scalar.
        size: Side of the square that the pixels will be resized to. A JPEG
            that is far larger is decoded at a fraction of its size. None
            decodes at full size.
        window: (shape int32 [2]) -> int32 [4]; given height and width of the
            upright image, returns top, left, height and width of the part that
            is needed. It is cut out of the whole, so that the pixels, and
            whether a damaged file is one, do not depend on it.
        pillow: Whether Pillow may be asked; without it a graph takes JPEG and
            PNG alone.

    Returns:
        uint8 [H, W, 3].

    Raises:
        tf.errors.InvalidArgumentError: If the bytes are no complete image, or
            one of more than `MAX_PIXELS`. Outside a graph it is a ValueError
            where Pillow was asked.
    """
    # Of plain bytes, NumPy would drop the NULs at the end on the way to Pillow.
    contents = tf.convert_to_tensor(contents, tf.string)

    if tf.executing_eagerly():
        return crop(_decode_whole(contents, size, pillow), window)
    return crop(_traced(size, pillow)(contents), window)


@functools.cache
def _traced(size, pillow):
    """Returns `_decode_whole` as a graph, traced once for all streams."""
    return tf.function(
        lambda contents: _decode_whole(contents, size, pillow),
        input_signature=[tf.TensorSpec([], tf.string)],
        # Nothing below is written as Python's `if`; looking takes a second.
        autograph=False,
    )


def _decode_whole(contents, size, pillow):
    def jpeg():
        return _decode_jpeg(contents, size), jpeg_exif(contents)

    def png():
        image = tf.io.decode_png(_checked(contents, _png_sides), channels=3)
        return image, png_exif(contents)

    def other():
        if not pillow:
            # TensorFlow's decoder of PNG takes some other formats too.
            known = tf.debugging.Assert(False, ["neither JPEG nor PNG"])
            with tf.control_dependencies([known]):
                return tf.zeros([0, 0, 3], tf.uint8), tf.constant(0)
        # Upright already.
        image = tf.numpy_function(_read_rgb, [contents], tf.uint8)
        return tf.ensure_shape(image, [None, None, 3]), tf.constant(0)

    image, exif = tf.case(
        [(is_jpeg(contents), jpeg), (is_png(contents), png)], default=other
    )
    image = tf.ensure_shape(image, [None, None, 3])
    # Once for both formats: every stream that begins prepares the graph anew.
    image = upright(image, orientation_at(contents, exif))
    return tf.ensure_shape(image, [None, None, 3])


def count_pixels(contents):
    """Reads height x width from a file's header; decodes nothing.

    Args:
        contents: string scalar, the file's bytes.

    Returns:
        int64 scalar; 0 of what Pillow can't open.

    Raises:
        tf.errors.InvalidArgumentError: If a JPEG or a PNG has no header.
    """

    def product(sides):
        return tf.reduce_prod(tf.cast(sides(contents), tf.int64))

    def other():
        count = tf.numpy_function(_count_pixels, [contents], tf.int64)
        return tf.ensure_shape(count, [])

    return tf.case(
        [
            (is_jpeg(contents), lambda: product(_jpeg_sides)),
            (is_png(contents), lambda: product(_png_sides)),
        ],
        default=other,
    )


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


def _decode_jpeg(contents, size):
    contents = _checked(contents, _jpeg_sides)
    # The slower transform: the faster one is off by several grey levels.
    options = {"channels": 3, "dct_method": "INTEGER_ACCURATE"}
    if size is None:
        return tf.io.decode_jpeg(contents, **options)

    def at(ratio):
        return tf.io.decode_jpeg(contents, ratio=ratio, **options)

    shape = _jpeg_sides(contents)
    ratios = tf.constant(_RATIOS)
    enough = tf.reduce_min(shape) >= _SPARE * size * ratios
    whole = tf.reduce_all(shape[:, tf.newaxis] % ratios == 0, axis=0)
    # A smaller ratio fits wherever a larger one does.
    fitting = tf.reduce_sum(tf.cast(enough & whole, tf.int32))
    return tf.switch_case(
        fitting, [lambda ratio=ratio: at(ratio) for ratio in (1, *_RATIOS)]
    )


def _jpeg_sides(contents):
    return tf.io.extract_jpeg_shape(contents)[:2]


def _png_sides(contents):
    width_height = tf.strings.substr(contents, 16, 8)
    return tf.io.decode_raw(width_height, tf.int32, little_endian=False)[::-1]


def _checked(contents, sides):
    """Returns a file's bytes, or fails where they hold too many pixels."""
    sides = tf.cast(sides(contents), tf.int64)
    # Each side on its own first: their product may overflow.
    fits = tf.reduce_all((sides > 0) & (sides <= MAX_PIXELS))
    fits &= tf.reduce_prod(sides) <= MAX_PIXELS
    check = tf.debugging.Assert(fits, [too_many_pixels("too many pixels")])
    with tf.control_dependencies([check]):
        return tf.identity(contents)


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


def _read_rgb(contents) -> np.ndarray:
    return read_rgb(_plain(contents))


def _count_pixels(contents) -> np.int64:
    try:
        with open_image(io.BytesIO(_plain(contents))) as image:
            return np.int64(image.width * image.height)
    except Exception:  # decoding says what is wrong with it
        return np.int64(0)


def _plain(contents) -> bytes:
    # A graph hands over bytes, eager execution an array that holds them.
    return contents if isinstance(contents, bytes) else contents.item()
