"""Files of images as they come from elsewhere, each with what is right."""

import io
import struct
import zlib

import numpy as np
import PIL.Image

# Starts Ghostscript where Pillow is let choose a decoder.
POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n"
    b"showpage\n%%EOF\n"
)
RAMP = np.tile(np.arange(0, 256, 4, np.uint8), (8, 1))


def tiff(stored, *, photometric=1, bits=None, samples=1, more=()):
    """A TIFF of one channel or three, little-endian, one strip.

    Args:
        stored: [H, W] or [H, W, 3], as it lies in the file; or the bytes of
            rows of 64 pixels, 8 of them.
        photometric: 0 where zero is white, 1 where it is black, 2 of RGB.
        bits: Of a sample; None for those of `stored`.
        samples: What a sample is: 1 unsigned, 2 signed, 3 float.
        more: Further tags, (number, type, value).
    """
    height, width, channels = 8, 64, 1
    if not isinstance(stored, bytes):
        height, width, *rest = stored.shape
        channels = rest[0] if rest else 1
        bits = bits or 8 * stored.itemsize
        stored = stored.tobytes()
    tags = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 0),
        (277, 3, channels),
        (278, 3, height),
        (279, 4, len(stored)),
        (339, 3, samples),
        *more,
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    for tag, kind, value in sorted(tags):
        value = start if tag == 273 else value
        head += struct.pack("<HHII", tag, kind, 1, value)
    return head + struct.pack("<I", 0) + stored


def white_is_zero(bits):
    """`RAMP` as a grey TIFF in which 0 is white."""
    levels = 2**bits - 1
    stored = levels - np.round(RAMP / 255 * levels).astype(int)
    if bits < 8:
        each = (stored[..., np.newaxis] >> np.arange(bits)[::-1]) & 1
        data = np.packbits(each.reshape(len(RAMP), -1), axis=1).tobytes()
        return tiff(data, photometric=0, bits=bits)
    return tiff(stored.astype(f"<u{bits // 8}"), photometric=0)


def twelve_bits():
    """`RAMP` as a grey TIFF of 12 bits a pixel, two pixels in three bytes."""
    stored = np.round(RAMP / 255 * 4095).astype(np.uint16).reshape(-1, 2)
    one, other = stored[:, 0], stored[:, 1]
    rows = np.stack(
        [one >> 4, ((one & 15) << 4) | (other >> 8), other & 255], axis=1
    )
    return tiff(rows.astype(np.uint8).tobytes(), bits=12)


def turned(kind, orientation, pixels, **options):
    """A picture with an EXIF orientation."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera"
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind, exif=exif, **options)
    return file.getvalue()


def chunk(kind, contents):
    """A chunk of a PNG."""
    crc = struct.pack(">I", zlib.crc32(kind + contents))
    return struct.pack(">I", len(contents)) + kind + contents + crc


def large_png(side, claimed=None):
    """A small PNG of side x side grey pixels, or of a header that says so."""
    packer = zlib.compressobj(9)
    row = bytes(side + 1)
    rows = b"".join(packer.compress(row) for _ in range(side))
    said = claimed or side
    header = struct.pack(">IIBBBBB", said, said, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", rows + packer.flush())
        + chunk(b"IEND", b"")
    )
