"""Which way is up: the EXIF orientation of JPEG and PNG, in TensorFlow alone.

Python reads it elsewhere (`pillow.exif_orientation`); a graph that is exported,
or that a data service computes, has no Python.
"""

import numpy as np
import tensorflow as tf

# Index 0 and all else that is no orientation stand for 1, upright as stored.
# What to do with the stored rows and columns, first mirror, then swap.
_ROWS_MIRRORED = (False, False, False, True, True, False, True, True, False)
_COLUMNS_MIRRORED = (False, False, True, True, False, False, False, True, True)
_FIRST_SWAPPED = 5
_TAG, _SHORT, _LONG = 0x0112, 3, 4
_EXIF_MARK = b"Exif\0\0"
_APP1, _SCAN, _END = 0xE1, 0xDA, 0xD9
# Traced once for all streams of a process: that takes a second each.
_once = tf.function(
    input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)
_once_with_place = tf.function(
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)],
    autograph=False,
)


def upright(image, orientation):
    """Turns and mirrors an image as its EXIF orientation asks.

    Args:
        image: uint8 [H, W, 3], as stored.
        orientation: int32 scalar, 1 to 8.

    Returns:
        uint8 [H, W, 3], or [W, H, 3] for 5 to 8.
    """

    def turned():
        rows = tf.gather(_ROWS_MIRRORED, orientation)
        columns = tf.gather(_COLUMNS_MIRRORED, orientation)
        axes = tf.stack([rows, columns, False])
        mirrored = tf.raw_ops.Reverse(tensor=image, dims=axes)
        return tf.cond(
            orientation >= _FIRST_SWAPPED,
            lambda: _transposed(mirrored),
            lambda: mirrored,
        )

    return tf.cond(orientation == 1, lambda: image, turned)


def _transposed(image):
    # Transposing bytes or ints, oneDNN says on most processors that it can't.
    height, width = tf.unstack(tf.shape(image)[:2])
    rows, columns = tf.range(height), tf.range(width)
    places = columns[:, tf.newaxis] + width * rows
    return tf.gather(tf.reshape(image, [height * width, 3]), places)


@_once
def jpeg_exif(contents):
    """Finds the EXIF block of a JPEG.

    Args:
        contents: string scalar, the file's bytes.

    Returns:
        int32 scalar, where it begins; 0 where there is none.
    """

    def step(place, found):  # of a marker
        head = _bytes(contents, place, 4)
        marker, length = head[1], head[2] * 256 + head[3]
        mark = _part(contents, place + 4, len(_EXIF_MARK))
        exif = (marker == _APP1) & (mark == _EXIF_MARK)
        ends = (head[0] != 0xFF) | (marker == _SCAN) | (marker == _END)
        # 0xFF may be repeated in front of a marker.
        following = place + tf.where(marker == 0xFF, 1, length + 2)
        return (
            tf.where(ends | exif, tf.int32.max, following),
            tf.where(exif & ~ends, place + 4 + len(_EXIF_MARK), found),
        )

    return _found_if(contents, r"Exif\x00\x00", 2, step)


@_once
def png_exif(contents):
    """Finds the EXIF block of a PNG; see `jpeg_exif`."""

    def step(place, found):  # of a chunk
        length = _number(_bytes(contents, place, 4), big_endian=True)
        exif = _part(contents, place + 4, 4) == b"eXIf"
        # A length that makes no sense is negative here, and ends the walk.
        ends = exif | (length < 0)
        return (
            tf.where(ends, tf.int32.max, place + 12 + length),
            tf.where(exif, place + 8, found),
        )

    return _found_if(contents, "eXIf", 8, step)


def _found_if(contents, mark, first, step):
    """Walks through a file that has a mark in it, if only by chance."""

    def walk():
        # The file's parts lie from `first` on, one behind the other.
        end = tf.strings.length(contents) - 12
        _, place = tf.while_loop(
            lambda place, found: place <= end,
            step,
            (tf.constant(first), tf.constant(0)),
        )
        return place

    # A walk takes longer than decoding a small image, and most files have no
    # EXIF. To replace is the fastest search that there is in a graph.
    less = tf.strings.regex_replace(contents, mark, "", replace_global=False)
    has_mark = tf.strings.length(less) < tf.strings.length(contents)
    return tf.cond(has_mark, walk, lambda: tf.constant(0))


@_once_with_place
def orientation_at(contents, place):
    """Reads the orientation of an EXIF block.

    Args:
        contents: string scalar, the file's bytes.
        place: int32 scalar, where the block begins; 0 for none.

    Returns:
        int32 scalar, 1 to 8; 1 where there is none, or it is damaged.
    """

    def read():
        order = _part(contents, place, 2)
        big = order == b"MM"
        known = big | (order == b"II")
        offset = _number(_bytes(contents, place + 4, 4), big)
        first = place + tf.where(offset < 0, tf.int32.max // 2, offset)
        count = _number(_bytes(contents, first, 2), big)
        entries = tf.io.decode_raw(
            _part(contents, first + 2, 12 * count), tf.uint8
        )
        whole = tf.size(entries) // 12
        entries = tf.reshape(entries[: 12 * whole], [whole, 12])
        entries = tf.cast(entries, tf.int32)

        def short(column):
            one, other = entries[:, column], entries[:, column + 1]
            return tf.where(big, one * 256 + other, one + 256 * other)

        is_long = short(2) == _LONG
        value = tf.where(is_long & big, short(10), short(8))
        wanted = (short(0) == _TAG) & (is_long | (short(2) == _SHORT)) & known
        values = tf.boolean_mask(value, wanted & (value <= 8))
        return tf.maximum(tf.reduce_sum(values[-1:]), 1)

    return tf.cond(place > 0, read, lambda: tf.constant(1))


def _part(contents, place, length):
    """Returns bytes of a string, fewer or none behind its end."""
    size = tf.strings.length(contents)
    place = tf.clip_by_value(place, 0, size)
    return tf.strings.substr(contents, place, length)


def _bytes(contents, place, count):
    """Returns `count` bytes as int32, zeros behind the end."""
    part = _part(contents, place, count)
    found = tf.cast(tf.io.decode_raw(part, tf.uint8), tf.int32)
    found = tf.pad(found, [[0, count - tf.size(found)]])
    return tf.ensure_shape(found, [count])


def _number(digits, big_endian):
    """Returns the number that bytes make; int32, may overflow to negative."""
    worth = 256 ** np.arange(digits.shape[0], dtype=np.int32)
    return tf.reduce_sum(
        digits * tf.where(big_endian, worth[::-1].copy(), worth)
    )
