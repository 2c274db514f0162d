"""Opens every image once: content hash, header, and whether it decodes."""

import dataclasses
import enum
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool

import numpy as np
import PIL.Image

FORMATS = ("?", "JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "other")
SUFFIX_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
# Cameras write several pictures into one JPEG file; the first is a plain one.
_ALIASES = {"MPO": "JPEG", "DIB": "BMP"}
_DIGEST_BYTES = 16
# Images handed out at a time, which bounds what waits in memory.
_SLAB = 2048
_ORIENTATION, _UPRIGHT = 0x0112, (None, 0, 1)
_BITS_PER_SAMPLE = 258


class Trait(enum.IntFlag):
    """What is special about an image."""

    GREY = 1
    PALETTE = 2
    CMYK = 4
    ALPHA = 8
    DEEP = 16
    FRAMES = 32
    ROTATED = 64


@dataclasses.dataclass
class ImageFacts:
    """What was found in N files.

    Attributes:
        readable: bool [N], whether training can decode it.
        digests: uint8 [N, 16], hash of the content; 0 if it can't be read.
        widths: int32 [N], pixels; 0 if it is unreadable.
        heights: int32 [N], pixels.
        formats: int8 [N], index into `FORMATS`.
        traits: int16 [N], `Trait`.
    """

    readable: np.ndarray
    digests: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    formats: np.ndarray
    traits: np.ndarray

    @classmethod
    def empty(cls, count: int) -> "ImageFacts":
        """Returns the facts on files that were not opened yet."""
        return cls(
            np.zeros(count, bool),
            np.zeros((count, _DIGEST_BYTES), np.uint8),
            np.zeros(count, np.int32),
            np.zeros(count, np.int32),
            np.zeros(count, np.int8),
            np.zeros(count, np.int16),
        )


def examine(
    root: str | os.PathLike,
    names: Sequence[str],
    on_progress: Callable[[int], None] | None = None,
) -> ImageFacts:
    """Reads files on all cores, each once, a few at a time.

    Args:
        root: The folder that they are in.
        names: Relative paths.
        on_progress: Called with the number of files just done.

    Returns:
        What is in them. A file that can't be decoded is not an error here.
    """
    # The check of folders and lists alone gets by without TensorFlow.
    import tensorflow as tf

    from dmg_tf.data.images.decoding import decode

    shape_of = tf.function(
        lambda contents: tf.shape(decode(contents)),
        input_signature=[tf.TensorSpec([], tf.string)],
    ).get_concrete_function()

    def decoded_size(contents):
        try:
            height, width, _ = shape_of(tf.constant(contents)).numpy()
        except (tf.errors.OpError, ValueError):
            return None
        return height, width

    def look(name):
        return _look(os.path.join(root, name), decoded_size)

    facts = ImageFacts.empty(len(names))
    with ThreadPool(os.cpu_count()) as pool, warnings.catch_warnings():
        # What Pillow says of odd headers is said in the report.
        warnings.simplefilter("ignore")
        for start in range(0, len(names), _SLAB):
            slab = names[start : start + _SLAB]
            for i, seen in enumerate(pool.imap(look, slab, chunksize=8), start):
                if seen is not None:
                    digest, shape, kind, traits = seen
                    facts.digests[i] = np.frombuffer(digest, np.uint8)
                    facts.readable[i] = shape is not None
                    if shape is not None:
                        facts.heights[i], facts.widths[i] = shape
                    facts.formats[i] = kind
                    facts.traits[i] = traits
                if on_progress:
                    on_progress(1)
    return facts


def _look(path, decoded_size):
    try:
        with open(path, "rb") as file:
            contents = file.read()
    except OSError:
        return None
    digest = hashlib.blake2b(contents, digest_size=_DIGEST_BYTES).digest()
    kind, traits = 0, Trait(0)
    try:
        with PIL.Image.open(io.BytesIO(contents)) as image:
            name = _ALIASES.get(image.format, image.format)
            kind = FORMATS.index(name if name in FORMATS else "other")
            traits = _traits(image, contents)
    except Exception:  # noqa: S110  the decoder has the last word
        pass
    return digest, decoded_size(contents), kind, traits


def _traits(image, contents: bytes) -> Trait:
    traits = Trait(0)
    if image.mode in ("1", "L", "LA", "I", "I;16", "I;16B", "F"):
        traits |= Trait.GREY
    if image.mode in ("P", "PA"):
        traits |= Trait.PALETTE
    if image.mode == "CMYK":
        traits |= Trait.CMYK
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        traits |= Trait.ALPHA
    if _bits(image, contents) > 8:
        traits |= Trait.DEEP
    if image.format == "MPO":
        pass
    elif getattr(image, "is_animated", False):
        traits |= Trait.FRAMES
    if image.format in ("JPEG", "MPO"):
        if image.getexif().get(_ORIENTATION) not in _UPRIGHT:
            traits |= Trait.ROTATED
    return traits


def _bits(image, contents: bytes) -> int:
    if image.format == "PNG":
        # Pillow does not tell RGB of 16 bits from RGB of 8.
        return contents[24]
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,)))
    return 8
