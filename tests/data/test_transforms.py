import io

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest
import tensorflow as tf

from dmg_tf.data import transforms


def picture(height=61, width=83, seed=0):
    """A smooth picture with edges, as photographs have."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 11, 3), np.uint8)
    image = PIL.Image.fromarray(small).resize((width, height))
    array = np.asarray(image).copy()
    array[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 60)
    return array


def encoded(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


RGB = PIL.Image.fromarray(picture())
SIXTEEN = PIL.Image.fromarray(
    (np.arange(60 * 70).reshape(60, 70) * 15).astype(np.uint16)
)


@pytest.mark.parametrize(
    "name,image,file_format,options",
    [
        ("rgb", RGB, "PNG", {}),
        ("grey", RGB.convert("L"), "PNG", {}),
        ("palette", RGB.convert("P"), "PNG", {}),
        ("one bit", RGB.convert("1"), "PNG", {}),
        ("bmp", RGB, "BMP", {}),
        ("bmp palette", RGB.convert("P"), "BMP", {}),
        ("gif", RGB.convert("P"), "GIF", {}),
        (
            "gif of two",
            RGB.convert("P"),
            "GIF",
            {
                "save_all": True,
                "append_images": [RGB.convert("L").convert("P")],
            },
        ),
        ("webp", RGB, "WEBP", {"lossless": True}),
        ("tiff", RGB, "TIFF", {}),
        ("cmyk tiff", RGB.convert("CMYK"), "TIFF", {}),
    ],
)
def test_decoding_agrees_with_pillow(name, image, file_format, options):
    contents = encoded(image, file_format, **options)
    expected = np.asarray(PIL.Image.open(io.BytesIO(contents)).convert("RGB"))
    decoded = transforms.decode(tf.constant(contents))
    assert decoded.dtype == tf.uint8
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_agrees_with_pillow(mode):
    contents = encoded(RGB.convert(mode), "JPEG", quality=90)
    expected = np.asarray(PIL.Image.open(io.BytesIO(contents)).convert("RGB"))
    decoded = transforms.decode(tf.constant(contents)).numpy()
    difference = np.abs(decoded.astype(int) - expected.astype(int))
    # Two ways to upsample colour; CMYK is rounded twice.
    assert difference.mean() < (3 if mode == "CMYK" else 1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_dropped(mode):
    if mode == "PA":
        image = RGB.convert("P")
        contents = encoded(image, "PNG", transparency=3)
    else:
        image = RGB.convert(mode)
        image.putalpha(PIL.Image.fromarray(picture()[..., 0]))
        contents = encoded(image, "PNG")
    decoded = transforms.decode(tf.constant(contents))
    np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_upper_eight(file_format):
    contents = encoded(SIXTEEN, file_format)
    decoded = transforms.decode(tf.constant(contents)).numpy()
    expected = (np.asarray(SIXTEEN) >> 8).astype(int)
    assert np.abs(decoded[..., 0] - expected).max() <= 1
    assert np.ptp(decoded) > 200


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"no image at all",
        encoded(RGB, "JPEG")[:-400],
        encoded(RGB, "PNG")[:-400],
        encoded(RGB, "WEBP")[:100],
        b"\xff\xd8\xff" + b"x" * 50,
    ],
)
def test_damaged_images_are_refused(contents):
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        transforms.decode(tf.constant(contents))


@pytest.mark.parametrize("size", [32, 64, 128])
def test_resize_agrees_with_pillow(size):
    image = picture()
    expected = PIL.Image.fromarray(image).resize(
        (size, size), PIL.Image.BILINEAR
    )
    found = transforms.resize(image, size).numpy()
    difference = np.abs(found - np.asarray(expected, np.float32))
    assert difference.mean() < 1


@pytest.mark.parametrize(
    "ours,enhancer",
    [
        (transforms.adjust_brightness, PIL.ImageEnhance.Brightness),
        (transforms.adjust_contrast, PIL.ImageEnhance.Contrast),
        (transforms.adjust_saturation, PIL.ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.4])
def test_colours_agree_with_pillow(ours, enhancer, factor):
    image = picture()
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
    found = transforms.adjust_hue(image.astype(np.float32), shift).numpy()
    # Pillow keeps the hue in 8 bits: up to 6 levels off in a colour.
    difference = np.abs(found - np.asarray(expected, np.float32))
    assert difference.mean() < 3


def numbers(count, seed):
    return np.random.default_rng(seed).uniform(size=count).astype(np.float32)


def test_random_crops_keep_area_and_ratio():
    height, width = 90, 120
    y, x = np.mgrid[:height, :width]
    image = np.stack([y, x, np.zeros_like(x)], axis=-1).astype(np.uint8)
    areas, ratios = [], []
    for seed in range(200):
        crop = transforms.random_resized_crop(
            image, 60, numbers(40, seed)
        ).numpy()
        # edges of the crop, read off the coordinates painted in
        top, bottom = crop[0, 0, 0], crop[-1, 0, 0]
        left, right = crop[0, 0, 1], crop[0, -1, 1]
        h, w = (bottom - top) * 60 / 59, (right - left) * 60 / 59
        areas.append(h * w / height / width)
        ratios.append(w / h)
    assert 0.74 < min(areas) < 0.85 and 0.93 < max(areas) <= 1.03
    assert 0.99 < min(ratios) and max(ratios) < 1.4
    assert np.std(areas) > 0.03


def test_crop_of_an_extreme_shape_falls_back_to_the_middle():
    image = np.zeros((10, 400, 3), np.uint8)
    image[:, 193:207] = 255  # the middle 10 * 4 / 3 pixels
    crop = transforms.random_resized_crop(image, 16, numbers(40, 0)).numpy()
    assert crop.min() > 250


def test_flip():
    image = picture()
    np.testing.assert_array_equal(
        transforms.random_flip(image, 0.4), image[:, ::-1]
    )
    np.testing.assert_array_equal(transforms.random_flip(image, 0.6), image)


def test_jitter_takes_every_order():
    image = picture(8, 8).astype(np.float32)
    orders = set()
    for seed in range(120):
        values = numbers(8, seed)
        orders.add(tuple(np.argsort(values[4:8])))
        found = transforms.color_jitter(image, values).numpy()
        assert found.shape == image.shape
        assert found.min() >= -1e-3 and found.max() <= 255.001
    assert len(orders) == 24


def test_jitter_applies_the_order_it_draws():
    image = picture().astype(np.float32)
    values = np.array([0.9, 0.1, 0.8, 0.5, 0.3, 0.2, 0.1, 0.0], np.float32)
    expected = transforms.adjust_hue(image, 0.0)
    expected = transforms.adjust_saturation(expected, 0.6 + 0.8 * 0.8)
    expected = transforms.adjust_contrast(expected, 0.6 + 0.8 * 0.1)
    expected = transforms.adjust_brightness(expected, 0.6 + 0.8 * 0.9)
    found = transforms.color_jitter(image, values)
    np.testing.assert_allclose(found, expected, atol=1e-2)


@pytest.mark.parametrize(
    "augment", [transforms.augment_pacs, transforms.augment_domainnet]
)
def test_augmentations_run_in_a_dataset_as_they_do_eagerly(augment):
    image, values = picture(), numbers(transforms.NUM_RANDOM, 0)
    eager = augment(tf.constant(image), 32, tf.constant(values))
    dataset = tf.data.Dataset.from_tensors((image, values)).map(
        lambda image, values: augment(image, 32, values)
    )
    assert dataset.element_spec.shape == (32, 32, 3)
    np.testing.assert_allclose(next(iter(dataset)), eager, atol=1e-2)


def test_normalize():
    image = np.full((1, 1, 3), 255, np.uint8)
    found = transforms.normalize(image, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    np.testing.assert_allclose(found[0, 0], [1, 3, 1], rtol=1e-6)
