import base64
import io
import re

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.data.images.decoding import decode
from dmg_tf.report.pictures import SIDE, shades, thumbnail


def decoded(markup):
    data = re.search(r'src="data:image/\w+;base64,([^"]+)"', markup)[1]
    return PIL.Image.open(io.BytesIO(base64.b64decode(data)))


def gradient(mode):
    y, x = np.mgrid[0:90, 0:200]
    rgb = np.stack([x, 2 * y, 255 - x], axis=-1).astype(np.uint8)
    if mode == "I;16":
        return PIL.Image.fromarray((x * 300).astype(np.uint16))
    image = PIL.Image.fromarray(rgb)
    if mode == "RGBA":
        image.putalpha(PIL.Image.fromarray(y.astype(np.uint8)))
    return image.convert(mode)


@pytest.mark.parametrize(
    "mode,suffix",
    [("RGB", "jpg"), ("L", "jpg"), ("CMYK", "jpg"), ("RGBA", "png")]
    + [("P", "gif"), ("I;16", "png"), ("RGB", "webp"), ("RGB", "bmp")],
)
def test_thumbnail_shows_what_the_model_sees(tmp_path, mode, suffix):
    path = tmp_path / f"x.{suffix}"
    gradient(mode).save(path)
    image = decoded(thumbnail(str(path), "x"))
    assert image.mode == "RGB" and image.size == (SIDE, 58)
    if mode != "CMYK":  # which TensorFlow does not read
        seen = decode(tf.constant(path.read_bytes())).numpy()
        seen = PIL.Image.fromarray(seen).resize(image.size)
        off = np.abs(np.asarray(seen, float) - np.asarray(image, float))
        assert off.mean() < 4


def test_small_images_stay_as_they_are(tmp_path):
    gradient("RGB").crop((0, 0, 32, 20)).save(tmp_path / "x.png")
    found = thumbnail(str(tmp_path / "x.png"), '"><script>')
    assert decoded(found).size == (32, 20) and 'class="tiny"' in found
    assert "<script>" not in found


@pytest.mark.parametrize(
    "contents", [None, b"", b"\xff\xd8\xff\xe0", b"GIF89a"]
)
def test_no_picture(tmp_path, contents):
    if contents is not None:
        (tmp_path / "x").write_bytes(contents)
    assert thumbnail(str(tmp_path / "x"), "x") is None


def test_shades_grow_with_the_share():
    shares = np.array([[0.0, 0.25], [1.0, 1.0]])
    image = np.asarray(decoded(shades(shares, "x")).convert("RGBA"))
    assert image.shape == (2, 2, 4)
    alpha = image[..., 3].astype(int)
    assert alpha[0, 0] == 0 and alpha[1, 1] == alpha[1, 0] == 254
    assert abs(alpha[0, 1] - 127) <= 2
    assert image[1, 1, 2] > image[1, 1, 0]  # right is blue
    assert image[1, 0, 0] > image[1, 0, 2]  # wrong is red
