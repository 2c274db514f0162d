"""Which image files are read, and how large they may be; no TensorFlow."""

import warnings

import PIL.Image

# Pillow knows many more, and hands some of them to another program.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
FORMAT_NAMES = "JPEG, PNG, BMP, GIF, WebP and TIFF"
# As RGB these are 300 MB. TensorFlow's own limits are far behind them.
MAX_PIXELS = 100_000_000
# A file that is no image may be larger than the memory.
MAX_BYTES = 2**30

# How files begin that are images, or may be taken for some, and are not read.
_FOREIGN = {
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\1\0": "ICO",
    b"icns": "ICNS",
    b"DDS ": "DDS",
    b"qoif": "QOI",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"SIMPLE  =": "FITS",
    b"\xd7\xcd\xc6\x9a": "WMF",
    b"<svg": "SVG",
    **{b"P%d" % i: "PNM" for i in range(1, 8)},
}
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
}
_FOREIGN_BYTES = 132

# Of a large image we have a line of our own, and odd headers are the decoder's
# to judge. As threads decode, this can't be said around each call.
warnings.filterwarnings("ignore", module=r"PIL\.")


class NotRead(ValueError):
    """A whole image of a kind or size that is not read; says which."""


def open_image(file) -> PIL.Image.Image:
    """Opens an image with the decoders of `FORMATS` alone; reads its header.

    Args:
        file: A path, or a file of bytes.

    Raises:
        NotRead: If it has more than `MAX_PIXELS`.
        Exception: Pillow's own, of many kinds, if it is no such image.
    """
    try:
        image = PIL.Image.open(file, formats=FORMATS)
    except PIL.Image.DecompressionBombError as error:
        raise NotRead(too_many_pixels("too many pixels")) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise NotRead(too_many_pixels(f"{width} x {height} pixels"))
    return image


def too_many_pixels(what: str, limit: int = MAX_PIXELS) -> str:
    """Returns what to say of an image that is too large."""
    return f"it has {what}; at most {limit // 1_000_000} megapixels are read"


def foreign_format(contents: bytes) -> str | None:
    """Returns the name of a format that is not read, by a file's beginning."""
    beginning = contents[:_FOREIGN_BYTES]
    if beginning[4:8] == b"ftyp":
        return _BRANDS.get(beginning[8:12])
    if beginning[128:132] == b"DICM":
        return "DICOM"
    for mark, name in _FOREIGN.items():
        if beginning.startswith(mark):
            return name
    return None
