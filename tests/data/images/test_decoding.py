import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.data.images.decoding import decode, or_else
from dmg_tf.data.images.transforms import random_resized_crop, resize
from tests.data.images.pictures import encoded, numbers, picture

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
    decoded = decode(tf.constant(contents))
    assert decoded.dtype == tf.uint8
    np.testing.assert_array_equal(decoded, expected)


def test_a_file_may_end_in_zeros():
    whole = encoded(RGB, "WEBP", lossless=True)
    # Chunks have even lengths; an unknown one is skipped, padding included.
    chunk = b"none" + (5).to_bytes(4, "little") + b"\0" * 6
    length = int.from_bytes(whole[4:8], "little") + len(chunk)
    contents = b"RIFF" + length.to_bytes(4, "little") + whole[8:] + chunk
    assert contents.endswith(b"\0")
    for given in (contents, tf.constant(contents)):
        for function in (decode, tf.function(decode, autograph=False)):
            np.testing.assert_array_equal(function(given), np.asarray(RGB))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_agrees_with_pillow(mode):
    contents = encoded(RGB.convert(mode), "JPEG", quality=90)
    expected = np.asarray(PIL.Image.open(io.BytesIO(contents)).convert("RGB"))
    decoded = decode(tf.constant(contents)).numpy()
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
    decoded = decode(tf.constant(contents))
    np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_upper_eight(file_format):
    contents = encoded(SIXTEEN, file_format)
    decoded = decode(tf.constant(contents)).numpy()
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
        decode(tf.constant(contents))


def large(height, width):
    """A photograph's like: shapes, a gradient, and noise of a sensor."""
    rng = np.random.default_rng(0)
    image = PIL.Image.fromarray(picture(97, 131)).resize((width, height))
    grain = rng.normal(0, 8, (height, width, 3))
    return PIL.Image.fromarray(
        np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
    )


@pytest.mark.parametrize(
    "height,width,ratio",
    [
        (184, 400, 1),
        (192, 226, 2),
        (192, 225, 1),  # an odd width would be stretched
        (400, 432, 4),
        (402, 432, 2),
        (840, 800, 8),
        (1600, 2000, 8),
    ],
)
def test_large_jpegs_are_decoded_at_a_fraction(height, width, ratio):
    contents = encoded(large(height, width), "JPEG", quality=92)
    whole, small = decode(contents), decode(contents, size=32)
    assert small.shape[:2] == (height // ratio, width // ratio)
    difference = np.abs(resize(whole, 32) - resize(small, 32))
    assert difference.mean() < 0.5
    if ratio == 1:
        np.testing.assert_array_equal(whole, small)


@pytest.mark.parametrize(
    "file_format,mode",
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("BMP", "RGB"),
    ],
)
@pytest.mark.parametrize("size", [None, 32])
def test_a_window_is_cut_out_of_what_is_decoded(file_format, mode, size):
    contents = encoded(large(201, 233).convert(mode), file_format)
    seen = []

    def window(shape):
        seen.append(shape.numpy())
        return random_resized_crop(shape, numbers(40, 3))

    whole = decode(contents, size).numpy()
    part = decode(contents, size, window).numpy()
    np.testing.assert_array_equal(seen, [whole.shape[:2]])
    top, left, height, width = random_resized_crop(
        tf.constant(whole.shape[:2]), numbers(40, 3)
    ).numpy()
    assert part.shape == (height, width, 3) and part.size < whole.size
    np.testing.assert_array_equal(
        part, whole[top : top + height, left : left + width]
    )


def test_a_blank_stands_in_for_what_cannot_be_read():
    read = or_else(
        lambda contents: (decode(contents)[:2, :2], True),
        (tf.zeros([2, 2, 3], tf.uint8), False),
    )
    files = [encoded(RGB, "PNG"), b"no image", encoded(RGB, "PNG")[:99]]
    rows = list(tf.data.Dataset.from_tensor_slices(files).map(read))
    assert [bool(decoded) for _, decoded in rows] == [True, False, False]
    np.testing.assert_array_equal(rows[0][0], np.asarray(RGB)[:2, :2])
    for image, _ in rows[1:]:
        np.testing.assert_array_equal(image, np.zeros((2, 2, 3)))
