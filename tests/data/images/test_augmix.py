import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf

from dmg_tf.data.images.augmix import OPERATIONS, aug_mix, draw
from tests.data.images.pictures import numbers, picture

SIDE = 96
LEVEL = 0.29  # of 1
SHEAR, SHIFT = 0.3 * LEVEL, int(LEVEL * SIDE / 3)


def affine(image, *matrix):
    return image.transform(
        image.size, PIL.Image.AFFINE, matrix, PIL.Image.BILINEAR
    )


# What the authors ask of Pillow at this level and a positive sign.
PILLOW = {
    "auto_contrast": PIL.ImageOps.autocontrast,
    "equalize": PIL.ImageOps.equalize,
    "posterize": lambda image: PIL.ImageOps.posterize(image, 3),
    "rotate": lambda image: image.rotate(8, PIL.Image.BILINEAR),
    "solarize": lambda image: PIL.ImageOps.solarize(image, 182),
    "shear_x": lambda image: affine(image, 1, SHEAR, 0, 0, 1, 0),
    "shear_y": lambda image: affine(image, 1, 0, 0, SHEAR, 1, 0),
    "translate_x": lambda image: affine(image, 1, 0, -SHIFT, 0, 1, 0),
    "translate_y": lambda image: affine(image, 1, 0, 0, 0, 1, -SHIFT),
}


def test_every_operation_is_compared():
    assert list(PILLOW) == list(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_agree_with_pillow(name):
    image = np.uint8(picture(SIDE, SIDE) * 0.8 + 20)  # not all greys
    expected = np.asarray(PILLOW[name](PIL.Image.fromarray(image)))
    found = OPERATIONS[name](
        tf.constant(image, tf.float32), tf.constant(LEVEL), tf.ones([])
    )
    difference = np.abs(found.numpy() - expected.astype(np.float32))
    if name in ROUNDED:
        assert difference.mean() < 1.5 and np.median(difference) < 1
    else:
        assert not difference.any()
    assert np.mean(expected != image) > 0.1


# Pillow rounds, and lets the edge of what was there end otherwise.
ROUNDED = {"auto_contrast", "rotate", "shear_x", "shear_y"}


def test_the_result_is_the_mixture_of_its_chains():
    image, values = tf.constant(picture(24, 24), tf.float32), numbers(2, 7)
    drawn = draw(tf.constant(values))
    mixed, applied = np.zeros([24, 24, 3], np.float32), 0
    for weight, depth, steps in zip(
        drawn.weights.numpy(),
        drawn.depths.numpy(),
        drawn.steps.numpy(),
        strict=True,
    ):
        x = image
        for which, strength, sign in steps[:depth]:
            level = (0.1 + 2.9 * strength) / 10
            name = list(OPERATIONS)[int(which * len(OPERATIONS))]
            x = OPERATIONS[name](x, tf.constant(level), 1 if sign > 0.5 else -1)
            applied += 1
        mixed += weight * x.numpy()
    assert applied >= 3
    share = float(drawn.share)
    np.testing.assert_allclose(
        aug_mix(image, tf.constant(values)),
        (1 - share) * image.numpy() + share * mixed,
        atol=1e-3,
    )


def test_draws_are_the_papers():
    count = 600
    quick = tf.function(draw)
    draws = [quick(tf.constant(numbers(2, seed))) for seed in range(count)]
    weights = np.stack([each.weights for each in draws])
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    # Of Dirichlet(1, 1, 1): means 1/3, variances 1/18. 4 standard errors.
    error = 4 * np.sqrt(1 / 18 / count)
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 3, atol=error)
    np.testing.assert_allclose(weights.var(axis=0), 1 / 18, rtol=0.25)
    shares = np.array([each.share for each in draws])
    assert abs(shares.mean() - 1 / 2) < 4 * np.sqrt(1 / 12 / count)
    depths = np.concatenate([each.depths for each in draws])
    shown = np.bincount(depths, minlength=4)
    assert shown[0] == 0 and len(shown) == 4
    assert shown[1:].min() > 3 * count / 3 - 4 * np.sqrt(3 * count * 2 / 9)
    # Chains, and operations in one, are drawn apart.
    steps = np.stack([each.steps for each in draws]).reshape(count, -1)
    apart = np.abs(np.corrcoef(steps.T) - np.eye(27))
    assert apart.max() < 5 / np.sqrt(count)
