"""Pictures from strangers: all formats, and what is refused."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest

from dmg_tf.data.images import decoding
from dmg_tf.demo.picture import MAX_PIXELS, BadPicture, read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)


def encoded(kind, pixels=PIXELS, **options):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_every_format_is_read_as_in_training(kind):
    contents = encoded(kind)
    found, sides = read_picture(contents)
    assert sides == (20, 30)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, decoding.decode(contents))
    if kind in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(found, PIXELS)


def test_a_large_picture_is_read_at_a_fraction_and_keeps_its_size():
    contents = encoded("JPEG", np.tile(PIXELS, (8, 12, 1)))
    found, sides = read_picture(contents, 8)
    assert sides == (240, 240) and found.shape == (30, 30, 3)
    np.testing.assert_array_equal(found, decoding.decode(contents, 8))


def png_header(width, height):
    """A PNG of which the size is all that is there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + name
        + body
        + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


@pytest.mark.parametrize(
    "contents, status, message",
    [
        (b"", 400, "the file is empty"),
        (b"hello " * 100, 415, "this is no picture; JPEG, PNG, BMP, GIF,"),
        (b"%PDF-1.4 ...", 415, "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "no picture"),
        # Pillow would let Ghostscript run it.
        (encoded("EPS"), 415, "no picture"),
        (encoded("PNG")[:-900], 400, "damaged or incomplete"),
        (encoded("JPEG")[:300], 400, "damaged or incomplete"),
        (encoded("TIFF")[:300], 400, "damaged or incomplete"),
        (encoded("WEBP")[:40], 400, "damaged or incomplete"),
        (b"\xff\xd8\xff\xe0 no more", 400, "damaged or incomplete"),
        (png_header(9000, 9000), 413, "has 9000 x 9000 pixels; at most 51 me"),
        (png_header(60000, 60000), 413, "too many pixels"),
    ],
)
def test_what_is_refused(contents, status, message):
    with pytest.raises(BadPicture, match=message) as caught:
        read_picture(contents)
    assert caught.value.status == status
    assert "\n" not in str(caught.value)


def test_a_bomb_is_not_unpacked(monkeypatch):
    side = int(MAX_PIXELS**0.5) + 100
    black = np.zeros((side, side), np.uint8)
    bomb = encoded("TIFF", black, compression="tiff_adobe_deflate")
    assert len(bomb) < 1e6
    unpacked = []
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", unpacked.append)
    monkeypatch.setattr(decoding, "decode", unpacked.append)
    with pytest.raises(BadPicture, match="at most 51 megapixels"):
        read_picture(bomb)
    assert not unpacked
