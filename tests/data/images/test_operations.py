import keras
import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
import pytest
import tensorflow as tf

from dmg_tf.data.images import operations
from tests.data.images.pictures import picture


def both(operation, pillow, image):
    """What an operation gives, and what Pillow's does."""
    found = operation(tf.constant(image, tf.float32)).numpy()
    expected = np.asarray(pillow(PIL.Image.fromarray(image)))
    return found, expected.astype(np.float32)


@pytest.mark.parametrize("side", [12, 32, 96])
def test_equalizing_is_pillows(side):
    image = picture(side, side)
    image[..., 2] = 7  # one grey alone
    found, expected = both(operations.equalize, PIL.ImageOps.equalize, image)
    np.testing.assert_array_equal(found, expected)
    if side < 16:  # too few pixels for 255 steps
        np.testing.assert_array_equal(found, image)


def test_why_keras_does_not_equalize():
    image = picture(32, 32)
    layer = keras.layers.Equalization()
    theirs, expected = both(layer, PIL.ImageOps.equalize, image)
    assert np.abs(theirs - expected).max() > 50


@pytest.mark.parametrize("factor", [0.73, 1.27])
def test_sharpening_is_pillows(factor):
    image = picture(96, 96)
    found, expected = both(
        lambda x: operations.sharpen(x, factor),
        lambda x: PIL.ImageEnhance.Sharpness(x).enhance(factor),
        image,
    )
    # Pillow cuts off where this rounds.
    assert np.abs(found - expected).max() <= 1
    assert np.mean(found != image) > 0.1
    np.testing.assert_array_equal(found[0], image[0])
    np.testing.assert_array_equal(found[:, -1], image[:, -1])


def test_why_keras_does_not_sharpen():
    image = picture(96, 96)
    layer = keras.layers.RandomSharpness(1.0)
    drawn = {"factor": tf.constant([1.27 / 2])}
    theirs, expected = both(
        lambda x: layer.transform_images(x[tf.newaxis], drawn)[0],
        lambda x: PIL.ImageEnhance.Sharpness(x).enhance(1.27),
        image,
    )
    off = np.abs(theirs - expected).max(axis=-1)
    assert off[1:-1, 1:-1].max() < 2 and off[0].max() > 10
