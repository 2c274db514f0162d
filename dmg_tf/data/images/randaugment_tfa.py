"""RandAugment on TensorFlow Addons' image operations.

What it computes is what `randaugment` computes without the package.
"""

import importlib
import warnings

import tensorflow as tf

from dmg_tf.data.images import randaugment
from dmg_tf.data.images.randaugment import (
    ANGLE,
    COLOUR,
    SHEAR,
    pixels_of_shift,
)
from dmg_tf.errors import missing_extra


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
            "--augment randaugment_tfa needs TensorFlow Addons, which can't be "
            f"imported ({error}); use --augment randaugment, which gives the "
            "same images, or, with Python 3.11",
            "randaugment-tfa",
        ) from error


def _shear(image, horizontal, vertical):
    zero, one = tf.zeros([]), tf.ones([])
    rows = [one, horizontal + zero, zero, vertical + zero, one, zero]
    return addons().transform(image, tf.stack([*rows, zero, zero]))


def _shift(image, right, down):
    return addons().translate(image, tf.stack([right, down]))


def _as_bytes(operation):
    """Wraps an operation that works on uint8 images."""

    def wrapped(image):
        changed = operation(tf.cast(image + 0.5, tf.uint8))
        return tf.cast(changed, tf.float32)

    return wrapped


def _sharpen(image, sign):
    def by(factor):
        return _as_bytes(lambda pixels: addons().sharpness(pixels, factor))

    # The function takes no tensor for its factor.
    return tf.cond(
        sign > 0,
        lambda: by(1.0 + COLOUR)(image),
        lambda: by(1.0 - COLOUR)(image),
    )


# As `randaugment.OPERATIONS`; those that are not here have no part of Addons.
OPERATIONS = {
    **randaugment.OPERATIONS,
    "shear_x": lambda image, sign: _shear(image, sign * SHEAR, 0.0),
    "shear_y": lambda image, sign: _shear(image, 0.0, sign * SHEAR),
    "translate_x": lambda image, sign: _shift(
        image, pixels_of_shift(image, sign), 0.0
    ),
    "translate_y": lambda image, sign: _shift(
        image, 0.0, pixels_of_shift(image, sign)
    ),
    "rotate": lambda image, sign: addons().rotate(image, sign * ANGLE),
    "sharpness": _sharpen,
    "equalize": lambda image, sign: _as_bytes(addons().equalize)(image),
}
