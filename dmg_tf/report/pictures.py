"""Images inside a page: thumbnails, and numbers as shades."""

import base64
import io

import numpy as np
import PIL.Image

from dmg_tf.data.images.formats import open_image
from dmg_tf.data.images.pillow import as_rgb
from dmg_tf.html.markup import Markup, tag

# Side of a thumbnail, pixels.
SIDE = 128
# In the colours of right and wrong, which do on light and on dark ground.
_RIGHT, _WRONG = (74, 127, 232), (226, 96, 72)
# What speaks for a class, and how much of the picture it may cover.
_HEAT, _COVER = (255, 110, 0), 0.75


def thumbnail(path: str, name: str) -> Markup | None:
    """Returns a small picture of an image file, or None if there is none.

    Args:
        path: The file.
        name: What it is called where it can't be seen.
    """
    image = small(path)
    return None if image is None else shown(image, name)


def small(path: str, side: int = SIDE) -> PIL.Image.Image | None:
    """Returns a small RGB image of a file, or None if there is none.

    It is as the model sees it: upright, and without an alpha channel.

    Args:
        path: The file.
        side: The larger side, pixels, if the file has as many.
    """
    try:
        with open_image(path) as image:
            image.draft("RGB", (2 * side, 2 * side))  # JPEGs decode faster
            image = as_rgb(image)
    except Exception:  # Pillow raises many kinds, from OSError to struct.error
        return None
    image.thumbnail((side, side))
    return image


def shown(image: PIL.Image.Image, name: str, side: int = SIDE) -> Markup:
    """Returns an RGB image as part of a page.

    Args:
        image: The image.
        name: What it is called where it can't be seen.
        side: Below it, an image is of large pixels.
    """
    width, height = image.size
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, subsampling=0, optimize=True)
    return tag(
        "img",
        src=_data("jpeg", file),
        alt=name,
        width=width,
        height=height,
        class_="tiny" if max(width, height) < side else None,
    )


def warmed(image: PIL.Image.Image, shares: np.ndarray) -> PIL.Image.Image:
    """Returns a grey image that is coloured by how much places count.

    Args:
        image: RGB.
        shares: float [h, w] in [0, 1], over all of the image.
    """
    heat = PIL.Image.fromarray(np.float32(shares)).resize(
        image.size, PIL.Image.Resampling.BICUBIC
    )
    heat = np.clip(np.asarray(heat), 0, 1)[..., np.newaxis]
    grey = np.asarray(image.convert("L"), np.float32)[..., np.newaxis]
    # Full heat leaves a part of the grey, or lines would be lost in it.
    mixed = grey + _COVER * heat * (np.float32(_HEAT) - grey)
    return PIL.Image.fromarray(np.round(mixed).astype(np.uint8))


def shades(shares: np.ndarray, name: str) -> Markup:
    """Returns a map of a confusion matrix, a pixel a cell.

    Args:
        shares: float [C, C] in [0, 1]. The shade grows with their square root,
            so that small ones are seen.
        name: What the picture shows.
    """
    # 128 shades for each of two colours, from clear to full.
    levels = np.round(127 * np.sqrt(shares)).astype(np.uint8)
    levels[~np.eye(len(shares), dtype=bool)] += 128
    image = PIL.Image.fromarray(levels)
    image.putpalette([*_RIGHT] * 128 + [*_WRONG] * 128)
    clear_to_full = bytes(2 * level for level in range(128))
    file = io.BytesIO()
    image.save(
        file, "PNG", transparency=clear_to_full + clear_to_full, optimize=True
    )
    return tag(
        "img",
        src=_data("png", file),
        alt=name,
        width=len(shares),
        height=len(shares),
        class_="map",
    )


def _data(kind, file) -> str:
    contents = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/{kind};base64,{contents}"
