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


def thumbnail(path: str, name: str) -> Markup | None:
    """Returns a small picture of an image file, or None if there is none.

    It is shown as the model sees it: upright, and without an alpha channel.

    Args:
        path: The file.
        name: What it is called where it can't be seen.
    """
    try:
        with open_image(path) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))  # JPEGs decode faster
            image = as_rgb(image)
    except Exception:  # Pillow raises many kinds, from OSError to struct.error
        return None
    image.thumbnail((SIDE, SIDE))
    width, height = image.size
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, subsampling=0, optimize=True)
    return tag(
        "img",
        src=_data("jpeg", file),
        alt=name,
        width=width,
        height=height,
        class_="tiny" if max(width, height) < SIDE else None,
    )


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
