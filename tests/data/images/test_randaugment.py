import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
import pytest
import tensorflow as tf

from dmg_tf.data.images.randaugment import OPERATIONS, rand_augment
from tests.data.images.pictures import numbers, picture

SIDE = 96
SHEAR, ANGLE = 0.3 * 0.3, 30 * 0.3
SHIFT = int(150 / 331 * 0.3 * SIDE)


def affine(image, *matrix):
    return image.transform(image.size, PIL.Image.AFFINE, matrix)


# What torchvision asks of Pillow at strength 9 of 30 and a positive sign.
PILLOW = {
    "identity": lambda image: image,
    "shear_x": lambda image: affine(image, 1, SHEAR, 0, 0, 1, 0),
    "shear_y": lambda image: affine(image, 1, 0, 0, SHEAR, 1, 0),
    "translate_x": lambda image: affine(image, 1, 0, -SHIFT, 0, 1, 0),
    "translate_y": lambda image: affine(image, 1, 0, 0, 0, 1, -SHIFT),
    "rotate": lambda image: image.rotate(ANGLE),
    "brightness": lambda i: PIL.ImageEnhance.Brightness(i).enhance(1.27),
    "color": lambda i: PIL.ImageEnhance.Color(i).enhance(1.27),
    "contrast": lambda i: PIL.ImageEnhance.Contrast(i).enhance(1.27),
    "sharpness": lambda i: PIL.ImageEnhance.Sharpness(i).enhance(1.27),
    "posterize": lambda image: PIL.ImageOps.posterize(image, 7),
    "solarize": lambda image: PIL.ImageOps.solarize(image, 179),
    "auto_contrast": PIL.ImageOps.autocontrast,
    "equalize": PIL.ImageOps.equalize,
}


def test_every_operation_is_compared():
    assert list(PILLOW) == list(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_agree_with_pillow(name):
    image = picture(SIDE, SIDE)
    expected = np.asarray(PILLOW[name](PIL.Image.fromarray(image)))
    found = OPERATIONS[name](tf.constant(image, tf.float32), tf.ones([]))
    difference = np.abs(found.numpy() - expected.astype(np.float32))
    # Where geometry rounds a source pixel the other way, an edge moves by one
    # pixel: few pixels, large differences.
    assert np.median(difference) <= 1
    assert difference.mean() < (4 if name in GEOMETRY else 1)


GEOMETRY = {"shear_x", "shear_y", "rotate"}


def test_two_operations_are_drawn():
    image = tf.constant(picture(24, 24), tf.float32)
    inverted = tf.constant(
        [(list(OPERATIONS).index("solarize") + 0.5) / 14, 0.9, 0.0, 0.9]
    )
    np.testing.assert_array_equal(
        rand_augment(image, inverted), OPERATIONS["solarize"](image, None)
    )
    results = [rand_augment(image, numbers(4, seed)) for seed in range(60)]
    different = {np.asarray(result).tobytes() for result in results}
    assert len(different) > 40
