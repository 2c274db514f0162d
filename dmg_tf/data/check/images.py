"""Opens every image once: content hash, header, and whether it decodes."""

import dataclasses
import enum
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool

import numpy as np

from dmg_tf.console.quiet import quiet_libraries
from dmg_tf.data.images import formats
from dmg_tf.data.images.pillow import exif_orientation, tiff_tags

FORMATS = ("?", *formats.FORMATS)
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
_ALIASES = {"MPO": "JPEG"}
_DIGEST_BYTES = 16
# Images handed out at a time, which bounds what waits in memory.
_SLAB = 2048
_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258
# Deep images that use less than a sixteenth of their range.
_DARK = 16
# As profiles of old and new versions write the name of the usual one.
_SRGB = (b"sRGB", "sRGB".encode("utf-16-be"))


class Trait(enum.IntFlag):
    """What is special about an image."""

    GREY = 1
    PALETTE = 2
    CMYK = 4
    ALPHA = 8
    DEEP = 16
    FRAMES = 32
    ROTATED = 64
    PROFILE = 128
    DARK = 256


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

    def outcome(contents):
        image = decode(contents)
        return [*tf.unstack(tf.shape(image)[:2]), tf.reduce_max(image)]

    outcome_of = tf.function(
        outcome,
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    ).get_concrete_function()

    def decoded(contents):
        try:
            return [
                value.numpy() for value in outcome_of(tf.constant(contents))
            ]
        except (tf.errors.OpError, ValueError):
            return None

    def look(name):
        return _look(os.path.join(root, name), decoded)

    facts = ImageFacts.empty(len(names))
    # What decoders say of odd files is said in the report.
    with ThreadPool(os.cpu_count()) as pool, quiet_libraries(streams=(2,)):
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


def _look(path, decoded):
    try:
        if os.path.getsize(path) > formats.MAX_BYTES:
            return None
        with open(path, "rb") as file:
            contents = file.read()
    except OSError:
        return None
    digest = hashlib.blake2b(contents, digest_size=_DIGEST_BYTES).digest()
    kind, traits, shape = 0, Trait(0), None
    try:
        with formats.open_image(io.BytesIO(contents)) as image:
            kind = FORMATS.index(_ALIASES.get(image.format, image.format))
            traits = _traits(image, contents)
    except Exception:  # noqa: S110  the decoder has the last word
        pass
    found = decoded(contents)
    if found is not None:
        *shape, brightest = found
        if traits & Trait.DEEP and brightest < _DARK:
            traits |= Trait.DARK
    return digest, shape, kind, traits


def _traits(image, contents: bytes) -> Trait:
    traits = Trait(0)
    if image.mode in ("1", "L", "LA", "La", "I", "I;16", "I;16B", "F"):
        traits |= Trait.GREY
    if image.mode in ("P", "PA"):
        traits |= Trait.PALETTE
    if image.mode == "CMYK":
        traits |= Trait.CMYK
    if image.mode in ("LA", "La", "PA", "RGBA") or "transparency" in image.info:
        traits |= Trait.ALPHA
    if _bits(image, contents) > 8:
        traits |= Trait.DEEP
    if image.format != "MPO" and getattr(image, "is_animated", False):
        traits |= Trait.FRAMES
    if _has_profile(image):
        traits |= Trait.PROFILE
    if image.format == "PNG" and "exif" not in image.info:
        image.load()  # it may stand behind the pixels
    if (tiff_tags(image).get(_ORIENTATION) or exif_orientation(image)) != 1:
        traits |= Trait.ROTATED
    return traits


def _has_profile(image) -> bool:
    """Returns whether colours would look otherwise where profiles are used."""
    profile = image.info.get("icc_profile")
    return bool(profile) and not any(name in profile for name in _SRGB)


def _bits(image, contents: bytes) -> int:
    if image.format == "PNG":
        # Pillow does not tell RGB of 16 bits from RGB of 8.
        return contents[24]
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,)))
    return 8
