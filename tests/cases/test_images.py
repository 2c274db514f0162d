"""One meaning of a pixel, and files from elsewhere that do no harm."""

import ast
import io
import os
import pathlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.data.images.bad_images import why_unreadable
from dmg_tf.data.images.decoding import decode
from dmg_tf.data.images.formats import FORMATS, MAX_PIXELS
from dmg_tf.data.images.orientation import (
    jpeg_exif,
    orientation_at,
    png_exif,
)
from dmg_tf.data.images.pillow import exif_orientation
from dmg_tf.demo.picture import BadPicture, read_picture
from dmg_tf.export.signatures import decode_batch
from dmg_tf.predict import stream as predict_stream
from dmg_tf.predict.stream import read_images
from tests.cases import pictures
from tests.conftest import ROOT

_graph = tf.function(
    lambda contents: decode(contents, pillow=False),
    input_signature=[tf.TensorSpec([], tf.string)],
    autograph=False,
)


def encoded(pixels, kind, **options):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def reason(contents, folder):
    """Returns why readers refuse a file, in the words of predict."""
    with pytest.raises((tf.errors.OpError, ValueError)):
        decode(contents)
    with pytest.raises(BadPicture):
        read_picture(contents)
    path = folder / "picture.jpg"
    path.write_bytes(contents)
    return why_unreadable(str(path))


# === Bits, signs, black and white ===


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_white_may_be_zero_at_all_depths(bits):
    levels = 2**bits - 1
    expected = np.round(np.round(pictures.RAMP / 255 * levels) / levels * 255)
    found = decode(pictures.white_is_zero(bits)).numpy()
    assert np.abs(found - expected[..., np.newaxis]).max() <= 1


def test_twelve_bits_fill_the_range():
    found = decode(pictures.twelve_bits()).numpy()[..., 0]
    assert np.abs(found.astype(int) - pictures.RAMP).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_upper_eight(kind):
    deep = pictures.RAMP.astype(np.uint16) * 257
    found = decode(encoded(deep, kind)).numpy()[..., 0]
    np.testing.assert_array_equal(found, pictures.RAMP)


@pytest.mark.parametrize(
    "dtype, samples, words",
    [
        ("<f4", 3, "floating-point numbers, from 0 to 252"),
        ("<i2", 2, "signed"),
        ("<i4", 2, "signed"),
        ("<i1", 2, "signed"),
        ("<u4", 1, "32 bits a pixel; store 8 or 16"),
        ("<f8", 3, "a kind of TIFF that is not read"),
    ],
)
def test_numbers_without_black_and_white_are_refused(
    tmp_path, dtype, samples, words
):
    stored = pictures.RAMP.astype(int)
    stored = stored - 128 * (dtype == "<i1")
    contents = pictures.tiff(stored.astype(dtype), samples=samples)
    assert words in reason(contents, tmp_path)


# === Which way is up ===

# Rows and columns that differ, so that no turn is taken for another.
SCENE = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
SCENE = SCENE.repeat(16, axis=0).repeat(16, axis=1)


def seen(orientation):
    """SCENE as a person should see it."""
    rows = np.flipud(SCENE)
    return {
        1: SCENE,
        2: np.fliplr(SCENE),
        3: np.rot90(SCENE, 2),
        4: rows,
        5: SCENE.swapaxes(0, 1),
        6: np.rot90(SCENE, -1),
        7: np.rot90(SCENE, 2).swapaxes(0, 1),
        8: np.rot90(SCENE),
    }[orientation]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_format_is_turned_upright(kind):
    options = {"JPEG": {"quality": 98, "subsampling": 0}}.get(kind, {})
    options = {"lossless": True} if kind == "WEBP" else options
    for orientation in range(1, 9):
        contents = pictures.turned(kind, orientation, SCENE, **options)
        found = decode(contents).numpy()
        expected = seen(orientation)
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= 12, orientation
        np.testing.assert_array_equal(read_picture(contents)[0], found)
        if kind in ("JPEG", "PNG"):
            # As an exported model and a data service decode.
            np.testing.assert_array_equal(_graph(contents), found)


def test_an_exported_model_turns_files_upright():
    files = [pictures.turned("PNG", 6, SCENE), encoded(seen(6), "PNG")]
    one, other = decode_batch(tf.constant(files), 8)
    np.testing.assert_array_equal(one, other)
    with pytest.raises(tf.errors.InvalidArgumentError, match="position 1"):
        decode_batch(tf.constant([files[0], encoded(SCENE, "GIF")]), 8)


def test_a_window_is_of_the_upright_image():
    contents = pictures.turned("JPEG", 6, SCENE)
    part = decode(contents, None, lambda shape: tf.stack([9, 3, 20, 30]))
    np.testing.assert_array_equal(part, decode(contents)[9:29, 3:33])


def test_graphs_read_exif_as_pillow_does():
    plain = pictures.turned("JPEG", 6, SCENE)
    big = PIL.Image.Exif()
    big.endian = ">"
    big[0x0112] = 8
    place = plain.index(b"Exif\0\0")
    cases = [
        plain,
        encoded(SCENE, "JPEG", exif=big),
        encoded(SCENE, "JPEG", exif=b"Exif\0\0"),
        encoded(SCENE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        encoded(SCENE, "JPEG", comment=b"Exif\0\0II*\0"),
        encoded(SCENE, "JPEG", icc_profile=b"x" * 150_000, exif=big),
        plain[: place + 6] + b"XX" + plain[place + 8 :],
        *(pictures.turned("JPEG", value, SCENE) for value in (0, 9, 400)),
    ]
    found, expected = [], []
    for contents in cases:
        with PIL.Image.open(io.BytesIO(contents), formats=FORMATS) as image:
            expected.append(exif_orientation(image))
        found.append(int(orientation_at(contents, jpeg_exif(contents))))
    assert found == expected
    assert found[:2] == [6, 8] and found[5] == 8


def test_a_png_may_have_exif_behind_its_pixels():
    contents = pictures.turned("PNG", 6, SCENE)
    start = contents.index(b"eXIf") - 4
    length = int.from_bytes(contents[start : start + 4]) + 12
    exif = contents[start : start + length]
    rest = contents[:start] + contents[start + length :]
    end = rest.index(b"IEND") - 4
    moved = rest[:end] + exif + rest[end:]
    assert int(orientation_at(moved, png_exif(moved))) == 6
    np.testing.assert_array_equal(decode(moved), seen(6))
    assert int(orientation_at(rest, png_exif(rest))) == 1


# === Damage ===


def test_a_jpeg_cut_short_is_refused_whatever_part_is_drawn():
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    contents = encoded(pixels, "JPEG")
    for share in (0.3, 0.6, 0.9):
        cut = contents[: int(share * len(contents))]
        for top in (0, 80):
            with pytest.raises(tf.errors.InvalidArgumentError):
                decode(cut, None, lambda shape, top=top: [top, 0, 8, 96])


# === Nothing from elsewhere runs, nothing small becomes huge ===


def test_no_program_is_started(tmp_path, monkeypatch):
    mark = tmp_path / "started"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\necho 10 >> {mark}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    why = reason(pictures.POSTSCRIPT, tmp_path)
    assert why.startswith("it is PostScript, which is not read; JPEG, PNG,")
    assert not mark.exists()


@pytest.mark.parametrize(
    "contents, name",
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "AVIF"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"P6 2 2 255 " + bytes(12), "PNM"),
        (bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_other_formats_are_named(tmp_path, contents, name):
    assert f"it is {name}, which is not read" in reason(contents, tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "JPEG"])
def test_a_large_image_is_refused_by_its_header(tmp_path, kind):
    pixels = np.zeros((8, 8), np.uint8)
    if kind == "PNG":
        contents = pictures.large_png(32, claimed=10_001)
    elif kind == "TIFF":
        contents = bytearray(pictures.tiff(pixels))
        contents[18:22] = contents[30:34] = (60_000).to_bytes(4, "little")
    elif kind == "BMP":
        contents = bytearray(encoded(pixels, "BMP"))
        contents[18:26] = (60_000).to_bytes(4, "little") * 2
    else:
        contents = bytearray(encoded(pixels, "JPEG"))
        place = contents.index(b"\xff\xc0")
        contents[place + 5 : place + 9] = (60_000).to_bytes(2) * 2
    why = reason(bytes(contents), tmp_path)
    assert "at most 100 megapixels are read" in why
    assert MAX_PIXELS == 100_000_000


def test_predict_gives_a_row_to_each(tmp_path, monkeypatch):
    small = tmp_path / "small.png"
    small.write_bytes(encoded(SCENE, "PNG"))
    usual = [images.numpy() for _, images, _ in read_images([str(small)], 8, 1)]
    # What is large is decoded one at a time, and by the same rule.
    monkeypatch.setattr(predict_stream, "_LARGE", 100)
    files = {
        "cut.jpg": encoded(SCENE, "JPEG")[:400],
        "float.tif": pictures.tiff(pictures.RAMP.astype("<f4"), samples=3),
        "program.png": pictures.POSTSCRIPT,
        "turned.tif": pictures.turned("TIFF", 6, SCENE),
        "turned.png": pictures.turned("PNG", 6, SCENE),
    }
    for name, contents in files.items():
        (tmp_path / name).write_bytes(contents)
    paths = [str(tmp_path / name) for name in ("small.png", *files)]
    ((_, images, reasons),) = read_images(paths, 8, 9)
    assert [why[:20] for why in reasons] == [
        "",
        reasons[1][:20],
        "its pixels are float",
        "it is PostScript, wh",
        "",
        "",
    ]
    assert reasons[1]
    np.testing.assert_array_equal(images[0], usual[0][0])
    np.testing.assert_array_equal(images[4], images[5])


def test_every_image_is_opened_by_listed_decoders():
    opened = 0
    for folder in ("dmg_tf", "examples", "benchmarks"):
        for path in sorted(pathlib.Path(ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                if ast.unparse(node.func).endswith("Image.open"):
                    opened += 1
                    names = {word.arg for word in node.keywords}
                    assert "formats" in names, f"{path}:{node.lineno}"
    assert opened
