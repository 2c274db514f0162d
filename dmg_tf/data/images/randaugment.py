"""RandAugment (Cubuk et al., 2020).

Operations and strengths are torchvision's: two out of fourteen, each at
strength 9 of 30, nearest-neighbour geometry, grey 0 where nothing was.

`keras.layers.RandAugment` is not used: it computes all of its operations for
each image, and draws from a state, not from numbers of the image's own.
"""

import math

import tensorflow as tf

from dmg_tf.data.images import operations as of
from dmg_tf.data.images.colour import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
)

_OPERATIONS = 2
_STRENGTH = 9 / 30
SHEAR = 0.3 * _STRENGTH
SHIFT = 150 / 331 * _STRENGTH  # of the side
ANGLE = math.radians(30 * _STRENGTH)
COLOUR = 0.9 * _STRENGTH
_POSTERIZE_BITS = 8 - round(4 * _STRENGTH)
_SOLARIZE_FROM = 255 * (1 - _STRENGTH)


def pixels_of_shift(image, sign):
    """Returns by how many pixels an image is moved: whole, towards zero."""
    side = tf.cast(tf.shape(image)[0], tf.float32)
    return tf.cast(tf.cast(sign * SHIFT * side, tf.int32), tf.float32)


# {name: (image, sign) -> image}; the sign is -1 or 1.
OPERATIONS = {
    "identity": lambda image, sign: image,
    "shear_x": lambda image, sign: of.shear(image, sign * SHEAR, 0),
    "shear_y": lambda image, sign: of.shear(image, 0, sign * SHEAR),
    "translate_x": lambda image, sign: of.shift(
        image, pixels_of_shift(image, sign), 0
    ),
    "translate_y": lambda image, sign: of.shift(
        image, 0, pixels_of_shift(image, sign)
    ),
    "rotate": lambda image, sign: of.rotate(image, sign * ANGLE),
    "brightness": lambda image, sign: adjust_brightness(
        image, 1.0 + sign * COLOUR
    ),
    "color": lambda image, sign: adjust_saturation(image, 1.0 + sign * COLOUR),
    "contrast": lambda image, sign: adjust_contrast(image, 1.0 + sign * COLOUR),
    "sharpness": lambda image, sign: of.sharpen(
        image, tf.where(sign > 0, 1.0 + COLOUR, 1.0 - COLOUR)
    ),
    "posterize": lambda image, sign: of.posterize(image, _POSTERIZE_BITS),
    "solarize": lambda image, sign: of.solarize(image, _SOLARIZE_FROM),
    "auto_contrast": lambda image, sign: of.auto_contrast(image),
    "equalize": lambda image, sign: of.equalize(image),
}


def rand_augment(image, numbers, operations=OPERATIONS):
    """Applies two drawn operations, one after the other.

    Args:
        image: float32 [S, S, 3] in [0, 255].
        numbers: float32 [4 or more] in [0, 1): which and which sign, twice.
        operations: {name: (image, sign) -> image} to draw from.

    Returns:
        float32 [S, S, 3] in [0, 255].
    """
    for turn in range(_OPERATIONS):
        which, sign = numbers[2 * turn], numbers[2 * turn + 1]
        sign = tf.where(sign < 0.5, -1.0, 1.0)
        image = tf.switch_case(
            tf.cast(which * len(operations), tf.int32),
            [
                lambda op=operation, image=image, sign=sign: op(image, sign)
                for operation in operations.values()
            ],
        )
    return image
