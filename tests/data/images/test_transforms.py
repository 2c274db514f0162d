import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.data.images import transforms
from tests.data.images.pictures import numbers, picture


@pytest.mark.parametrize("size", [32, 64, 82, 128])
def test_resize_agrees_with_pillow(size):
    image = picture()
    expected = PIL.Image.fromarray(image).resize(
        (size, size), PIL.Image.BILINEAR
    )
    found = transforms.resize(image, size).numpy()
    difference = np.abs(found - np.asarray(expected, np.float32))
    assert difference.mean() < 1


def windows(shape, count):
    return np.asarray(
        [
            transforms.random_resized_crop(
                tf.constant(shape), numbers(transforms.CROP_NUMBERS, seed)
            )
            for seed in range(count)
        ]
    )


def test_random_crops_keep_area_and_ratio():
    height, width = 90, 120
    top, left, h, w = windows((height, width), 200).T
    assert top.min() == 0 and left.min() == 0
    assert (top + h).max() == height and (left + w).max() == width
    areas, ratios = h * w / height / width, w / h
    assert 0.79 < areas.min() < 0.83 and 0.93 < areas.max() <= 1
    assert 0.99 < ratios.min() and ratios.max() < 1.34
    assert np.std(areas) > 0.03


def test_crop_of_an_extreme_shape_falls_back_to_the_middle():
    assert windows((10, 400), 3).tolist() == [[0, 193, 10, 13]] * 3
    assert windows((400, 10), 3).tolist() == [[193, 0, 13, 10]] * 3


def test_flip():
    image = picture()
    np.testing.assert_array_equal(transforms.flip(image, 0.4), image[:, ::-1])
    np.testing.assert_array_equal(transforms.flip(image, 0.6), image)


def test_normalize():
    image = np.full((1, 1, 3), 255, np.uint8)
    found = transforms.normalize(image, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    np.testing.assert_allclose(found[0, 0], [1, 3, 1], rtol=1e-6)


def test_normalize_takes_batches_and_unknown_widths():
    batch = np.stack([picture(), picture(seed=1)])
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = (batch / 255 - mean) / std
    np.testing.assert_allclose(
        transforms.normalize(batch, mean, std), expected, atol=1e-5
    )
    unknown = tf.function(
        lambda images: transforms.normalize(images, mean, std),
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
    )
    np.testing.assert_allclose(unknown(batch), expected, atol=1e-5)
