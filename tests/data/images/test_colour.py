import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest
import tensorflow as tf

from dmg_tf.data.images import colour
from tests.data.images.pictures import numbers, picture


@pytest.mark.parametrize(
    "ours,enhancer",
    [
        (colour.adjust_brightness, PIL.ImageEnhance.Brightness),
        (colour.adjust_contrast, PIL.ImageEnhance.Contrast),
        (colour.adjust_saturation, PIL.ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.4])
@pytest.mark.parametrize("sides", [(61, 83), (64, 64)])
def test_colours_agree_with_pillow(ours, enhancer, factor, sides):
    image = picture(*sides)
    expected = np.asarray(enhancer(PIL.Image.fromarray(image)).enhance(factor))
    found = ours(image.astype(np.float32), factor).numpy()
    assert np.abs(found - expected.astype(np.float32)).mean() < 1


@pytest.mark.parametrize("shift", [-0.4, 0.1, 0.4])
def test_hue_agrees_with_pillow(shift):
    image = picture()
    hue, saturation, value = PIL.Image.fromarray(image).convert("HSV").split()
    turned = (np.asarray(hue).astype(int) + round(shift * 255)) % 256
    turned = PIL.Image.fromarray(turned.astype(np.uint8))
    expected = PIL.Image.merge("HSV", (turned, saturation, value)).convert(
        "RGB"
    )
    found = colour.adjust_hue(image.astype(np.float32), shift).numpy()
    # Pillow keeps the hue in 8 bits: up to 6 levels off in a colour.
    difference = np.abs(found - np.asarray(expected, np.float32))
    assert difference.mean() < 3


def test_colours_are_the_same_where_sides_are_unknown():
    image = picture().astype(np.float32)
    for change in (colour.adjust_contrast, colour.adjust_saturation):
        unknown = tf.function(
            change,
            input_signature=[
                tf.TensorSpec([None, None, 3]),
                tf.TensorSpec([]),
            ],
        )
        np.testing.assert_allclose(
            unknown(image, 1.3), change(image, 1.3), atol=1e-2
        )


def test_jitter_takes_every_order():
    image = picture(8, 8).astype(np.float32)
    orders = set()
    for seed in range(120):
        values = numbers(8, seed)
        orders.add(tuple(np.argsort(values[4:8])))
        found = colour.color_jitter(image, values).numpy()
        assert found.shape == image.shape
        assert found.min() >= -1e-3 and found.max() <= 255.001
    assert len(orders) == 24


def test_jitter_applies_the_order_it_draws():
    image = picture().astype(np.float32)
    values = np.array([0.9, 0.1, 0.8, 0.5, 0.3, 0.2, 0.1, 0.0], np.float32)
    expected = colour.adjust_hue(image, 0.0)
    expected = colour.adjust_saturation(expected, 0.6 + 0.8 * 0.8)
    expected = colour.adjust_contrast(expected, 0.6 + 0.8 * 0.1)
    expected = colour.adjust_brightness(expected, 0.6 + 0.8 * 0.9)
    found = colour.color_jitter(image, values)
    np.testing.assert_allclose(found, expected, atol=1e-2)
