"""Small pictures that several tests of images use."""

import io

import numpy as np
import PIL.Image


def picture(height=61, width=83, seed=0):
    """A smooth picture with edges, as photographs have."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 11, 3), np.uint8)
    image = PIL.Image.fromarray(small).resize((width, height))
    array = np.asarray(image).copy()
    array[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 60)
    return array


def encoded(image, file_format, **options):
    """Returns the bytes of an image file."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def numbers(count, seed):
    """Returns float32 [count] in [0, 1)."""
    return np.random.default_rng(seed).uniform(size=count).astype(np.float32)
