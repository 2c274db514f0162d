import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.data.images.augment import AUGMENTATIONS, NUM_RANDOM
from dmg_tf.data.images.decoding import crop
from tests.data.images.pictures import numbers, picture


def augmented(name, image, values, size=32):
    augmentation = AUGMENTATIONS[name](size)
    part = crop(tf.convert_to_tensor(image), augmentation.window(values))
    return augmentation.finish(part, values)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_run_in_a_dataset_as_they_do_eagerly(name):
    image, values = picture(), numbers(NUM_RANDOM, 0)
    eager = augmented(name, image, tf.constant(values))
    dataset = tf.data.Dataset.from_tensors((image, values)).map(
        lambda image, values: augmented(name, image, values)
    )
    assert dataset.element_spec.shape == (32, 32, 3)
    np.testing.assert_allclose(next(iter(dataset)), eager, atol=1e-2)


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - {"none"}))
def test_augmentations_differ_by_their_numbers_alone(name):
    image = picture()
    first, again, other = (
        augmented(name, image, tf.constant(numbers(NUM_RANDOM, seed))).numpy()
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 1
    assert first.min() >= 0 and first.max() <= 255.01


def test_domainnet_crops_a_part_of_the_resized_image():
    values = np.zeros(NUM_RANDOM, np.float32)
    values[2] = 0.9  # not mirrored
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 48:] = 255
    left = augmented("resize_and_crop", image, tf.constant(values), 56)
    values[:2] = 0.999
    right = augmented("resize_and_crop", image, tf.constant(values), 56)
    # of 64 pixels in a row the first or the last 56 are kept
    assert np.sum(left[0, :, 0] > 128) == 8
    assert np.sum(right[0, :, 0] > 128) == 16
