"""RandAugment (Cubuk et al., 2020) on TensorFlow Addons' image operations.

Operations and strengths are torchvision's: two out of fourteen, each at
strength 9 of 30, nearest-neighbour geometry, grey 0 where nothing was.
"""

import importlib
import importlib.util
import math
import warnings

import tensorflow as tf

from dmg_tf.data.images.colour import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
)
from dmg_tf.errors import missing_extra

_OPERATIONS = 2
_STRENGTH = 9 / 30
_SHEAR = 0.3 * _STRENGTH
_SHIFT = 150 / 331 * _STRENGTH  # of the side
_ANGLE = math.radians(30 * _STRENGTH)
_COLOUR = 0.9 * _STRENGTH
_POSTERIZE_BITS = 8 - round(4 * _STRENGTH)
_SOLARIZE_FROM = 255 * (1 - _STRENGTH)


def addons():
    """Returns the module `tensorflow_addons.image`.

    Raises:
        UserError: If the package can't be imported; it has wheels for Python
            3.9 to 3.11 only.
    """
    try:
        with warnings.catch_warnings():
            # It warns of newer TensorFlows, with which its image operations
            # are tested here.
            warnings.simplefilter("ignore")
            return importlib.import_module("tensorflow_addons").image
    except ImportError as error:
        raise missing_extra(
            "--augment randaugment needs TensorFlow Addons, which can't be "
            f"imported ({error}); use --augment paper, or, with Python 3.11",
            "randaugment",
        ) from error


def rand_augment(image, numbers):
    """Applies two drawn operations, one after the other.

    Args:
        image: float32 [S, S, 3] in [0, 255].
        numbers: float32 [4 or more] in [0, 1): which and which sign, twice.

    Returns:
        float32 [S, S, 3] in [0, 255].
    """
    operations = list(OPERATIONS.values())
    for turn in range(_OPERATIONS):
        which, sign = numbers[2 * turn], numbers[2 * turn + 1]
        sign = tf.where(sign < 0.5, -1.0, 1.0)
        image = tf.switch_case(
            tf.cast(which * len(operations), tf.int32),
            [
                lambda op=operation, image=image, sign=sign: op(image, sign)
                for operation in operations
            ],
        )
    return image


def _shear(image, horizontal, vertical):
    # Output pixel (x, y) is taken from (x + horizontal * y, y + vertical * x),
    # measured from the upper left corner, as torchvision's shears are.
    zero, one = tf.zeros([]), tf.ones([])
    rows = [one, horizontal + zero, zero, vertical + zero, one, zero]
    return addons().transform(image, tf.stack([*rows, zero, zero]))


def _shift(image, horizontal, vertical):
    side = tf.cast(tf.shape(image)[0], tf.float32)
    moves = tf.stack([horizontal * side, vertical * side])
    # Whole pixels, towards zero, as torchvision's.
    return addons().translate(
        image, tf.cast(tf.cast(moves, tf.int32), tf.float32)
    )


def _as_bytes(operation):
    """Wraps an operation that works on uint8 images."""

    def wrapped(image):
        changed = operation(tf.cast(image + 0.5, tf.uint8))
        return tf.cast(changed, tf.float32)

    return wrapped


def auto_contrast(image):
    """Stretches each channel of an image in [0, 255] to the whole range."""
    low = tf.reduce_min(image, axis=(0, 1))
    high = tf.reduce_max(image, axis=(0, 1))
    spread = tf.where(high > low, high - low, 255.0)
    low = tf.where(high > low, low, 0.0)
    return (image - low) * (255.0 / spread)


def posterize(image):
    """Keeps the upper 7 bits of each value in [0, 255]."""
    step = 2.0 ** (8 - _POSTERIZE_BITS)
    return tf.floor(image / step) * step


def solarize(image):
    """Inverts the values of an image in [0, 255] above the threshold."""
    return tf.where(image >= _SOLARIZE_FROM, 255.0 - image, image)


def equalize(image):
    """Equalises the histogram of each channel of an image in [0, 255]."""
    return _as_bytes(addons().equalize)(image)


def sharpen(image, sign):
    """Sharpens an image in [0, 255] where the sign is 1, else blurs it."""

    def by(factor):
        return _as_bytes(lambda pixels: addons().sharpness(pixels, factor))

    # The function takes no tensor for its factor.
    return tf.cond(
        sign > 0,
        lambda: by(1.0 + _COLOUR)(image),
        lambda: by(1.0 - _COLOUR)(image),
    )


# {name: (image, sign) -> image}; the sign is -1 or 1.
OPERATIONS = {
    "identity": lambda image, sign: image,
    "shear_x": lambda image, sign: _shear(image, sign * _SHEAR, 0.0),
    "shear_y": lambda image, sign: _shear(image, 0.0, sign * _SHEAR),
    "translate_x": lambda image, sign: _shift(image, sign * _SHIFT, 0.0),
    "translate_y": lambda image, sign: _shift(image, 0.0, sign * _SHIFT),
    "rotate": lambda image, sign: addons().rotate(image, sign * _ANGLE),
    "brightness": lambda image, sign: adjust_brightness(
        image, 1.0 + sign * _COLOUR
    ),
    "color": lambda image, sign: adjust_saturation(image, 1.0 + sign * _COLOUR),
    "contrast": lambda image, sign: adjust_contrast(
        image, 1.0 + sign * _COLOUR
    ),
    "sharpness": sharpen,
    "posterize": lambda image, sign: posterize(image),
    "solarize": lambda image, sign: solarize(image),
    "auto_contrast": lambda image, sign: auto_contrast(image),
    "equalize": lambda image, sign: equalize(image),
}
