"""Pixels as Pillow reads them; loads no TensorFlow."""

import numpy as np
import PIL.Image


def as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns an image in RGB; of 16 bits the upper 8 are kept."""
    if image.mode.startswith("I"):
        # Pillow would clip 16 bits at 255 instead of scaling them.
        grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        image = PIL.Image.fromarray(grey.astype(np.uint8))
    return image.convert("RGB")
