"""The image operations that RandAugment and AugMix are made of.

Each has Pillow's definition. Geometry and convolution are Keras' own. Not so
two layers that compute something else: `keras.layers.Equalization` has another
table, far from Pillow's where a channel has few pixels, and
`keras.layers.RandomSharpness` takes what is around the image for black.
"""

import keras
import numpy as np
import tensorflow as tf

# Pillow's ImageFilter.SMOOTH.
_SMOOTH = np.asarray([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


def shear(image, horizontal, vertical, interpolation="nearest"):
    """Moves rows or columns, each by its distance from the first.

    Args:
        image: float32 [S, S, 3].
        horizontal: Output pixel (x, y) is taken from (x + horizontal * y,
            y + vertical * x).
        vertical: Likewise.
        interpolation: "nearest" or "bilinear". Where nothing was is 0.

    Returns:
        float32 [S, S, 3].
    """
    return _transform(image, (1, horizontal, 0, vertical, 1, 0), interpolation)


def shift(image, right, down, interpolation="nearest"):
    """Moves an image by some pixels; arguments as for `shear`."""
    return _transform(image, (1, 0, -right, 0, 1, -down), interpolation)


def rotate(image, angle, interpolation="nearest"):
    """Turns an image counterclockwise by an angle in radians."""
    last = tf.cast(tf.shape(image)[0] - 1, tf.float32)
    cos, sin = tf.cos(angle), tf.sin(angle)
    right = (last - (cos * last - sin * last)) / 2.0
    down = (last - (sin * last + cos * last)) / 2.0
    return _transform(image, (cos, -sin, right, sin, cos, down), interpolation)


def _transform(image, rows, interpolation):
    """Output pixel (x, y) is taken from (a x + b y + c, d x + e y + f)."""
    rows = [tf.cast(number, tf.float32) for number in (*rows, 0, 0)]
    return keras.ops.image.affine_transform(
        image, tf.stack(rows), interpolation, data_format="channels_last"
    )


def auto_contrast(image):
    """Stretches each channel of an image in [0, 255] to the whole range."""
    low = tf.reduce_min(image, axis=(0, 1))
    high = tf.reduce_max(image, axis=(0, 1))
    spread = tf.where(high > low, high - low, 255.0)
    low = tf.where(high > low, low, 0.0)
    return (image - low) * (255.0 / spread)


def posterize(image, bits):
    """Keeps the upper bits of each value in [0, 255].

    Args:
        image: float32 [S, S, 3].
        bits: int scalar, how many.
    """
    step = tf.cast(tf.bitwise.left_shift(1, 8 - bits), tf.float32)
    return tf.floor(image / step) * step


def solarize(image, threshold):
    """Inverts the values of an image in [0, 255] from the threshold on."""
    return tf.where(image >= threshold, 255.0 - image, image)


def equalize(image):
    """Equalises the histogram of each channel of an image in [0, 255].

    Returns:
        float32 [S, S, 3] of whole numbers.
    """
    pixels = _whole(image)
    # One histogram of three times 256 places.
    places = pixels + 256 * tf.range(3)
    counts = tf.math.bincount(
        tf.reshape(places, [-1]), minlength=768, maxlength=768
    )
    counts = tf.reshape(counts, [3, 256])
    brightest = tf.gather(
        counts, tf.reduce_max(pixels, axis=(0, 1)), batch_dims=1
    )
    # The brightest grey that occurs becomes white.
    steps = (tf.reduce_sum(counts, axis=1) - brightest) // 255
    steps = steps[:, tf.newaxis]
    below = tf.cumsum(counts, axis=1, exclusive=True)
    table = (below + steps // 2) // tf.maximum(steps, 1)
    # Fewer than 255 pixels below it: as it is.
    table = tf.where(steps > 0, tf.minimum(table, 255), tf.range(256))
    return tf.cast(tf.gather(tf.reshape(table, [-1]), places), tf.float32)


def sharpen(image, factor):
    """Moves an image in [0, 255] away from its smoothed one.

    The outermost pixels stay as they are.

    Args:
        image: float32 [S, S, 3].
        factor: float scalar; 1 changes nothing, less blurs.

    Returns:
        float32 [S, S, 3] of whole numbers.
    """
    pixels = tf.cast(_whole(image), tf.float32)
    kernel = np.tile(_SMOOTH[..., np.newaxis, np.newaxis], [1, 1, 3, 1])
    smooth = keras.ops.depthwise_conv(
        pixels[tf.newaxis],
        kernel,
        padding="valid",
        data_format="channels_last",
    )
    change = tf.floor(smooth[0]) - pixels[1:-1, 1:-1]
    smooth = pixels + tf.pad(change, [[1, 1], [1, 1], [0, 0]])
    changed = smooth + factor * (pixels - smooth)
    return tf.round(tf.clip_by_value(changed, 0.0, 255.0))


def _whole(image):
    """Returns the nearest of 256 greys, int32."""
    return tf.cast(tf.cast(image + 0.5, tf.uint8), tf.int32)
