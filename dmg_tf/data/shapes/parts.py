"""What the looks of the built-in dataset share: shape, colours, textures."""

import colorsys
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = 64
CANVAS = 2 * SIZE

# Cells of the grain across and along: bands, weaves, speckle, mottle.
_GRAINS = ((2, 40), (12, 3), (40, 2), (56, 56), (3, 12), (24, 24), (5, 5))


class Silhouette(NamedTuple):
    """A shape in canvas pixels.

    Attributes:
        outline: float64 [N, 2], closed, points about evenly spaced.
        holes: closed contours that are cut out of the outline.
        details: open lines inside the shape.
    """

    outline: np.ndarray
    holes: list[np.ndarray]
    details: list[np.ndarray]


def flattened(points: np.ndarray) -> list[float]:
    """Returns points [N, 2] as Pillow's drawing takes them."""
    return points.ravel().tolist()


def area_of(shape: Silhouette) -> Image.Image:
    """Draws the filled shape, 255 on 0."""
    mask = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(mask)
    draw.polygon(flattened(shape.outline), fill=255)
    for hole in shape.holes:
        draw.polygon(flattened(hole), fill=0)
    return mask


def to_floats(image: Image.Image) -> np.ndarray:
    """Turns a grey image into float32 [H, W, 1] in [0, 1]."""
    return np.asarray(image, np.float32)[..., None] / 255


def to_image(pixels: np.ndarray) -> Image.Image:
    """Turns pixels in [0, 255], of any number type, into a picture."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def softened(image: Image.Image, radius: float) -> Image.Image:
    """Blurs a picture."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def to_whole(values: np.ndarray) -> tuple[int, ...]:
    """Returns the values as whole numbers, cut off below the point."""
    return tuple(values.astype(int).tolist())


def to_ink(color: np.ndarray) -> tuple[int, ...]:
    """Returns a colour as Pillow's drawing takes it."""
    return to_whole(np.clip(color, 0, 255))


def from_hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Returns float32 [3] in [0, 255]; the hue may be any number of turns."""
    rgb = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return np.array(rgb, np.float32) * 255


def random_color(rng, saturation, value, hue=None) -> np.ndarray:
    """Draws a colour within the ranges, of any hue unless one is given."""
    hue = rng.random() if hue is None else hue
    return from_hsv(hue, rng.uniform(*saturation), rng.uniform(*value))


def distinct_color(rng, other, distance, saturation, value, hue) -> np.ndarray:
    """Draws a colour about a hue that keeps its distance from another."""
    for _ in range(50):
        near = hue + rng.normal(0, 0.06)
        color = random_color(rng, saturation, value, near)
        if np.linalg.norm(color - other) > distance:
            break
    return color


def smooth_noise(rng, columns: int, rows: int, side: int = SIZE) -> np.ndarray:
    """Draws smooth noise in [0, 1] of so many cells, [side, side, 1]."""
    cells = Image.fromarray(rng.integers(0, 256, (rows, columns), np.uint8))
    return to_floats(cells.resize((side, side), Image.Resampling.BICUBIC))


def material_of(rng, color, grain, strength: float) -> np.ndarray:
    """Paints a surface: patches of a second tone, and grain one way."""
    tone = color * rng.uniform(0.5, 1.4) + rng.normal(0, 15, 3)
    tone = tone.astype(np.float32)
    patches = smooth_noise(rng, *rng.integers(2, 7, 2))
    grain = smooth_noise(rng, *_GRAINS[grain])
    surface = color + (tone - color) * patches
    return surface * (1 + np.float32(strength) * (grain - 0.5))


def blob_at(rng, center: np.ndarray, radius: float) -> np.ndarray:
    """Draws the contour of clutter: a pebble, a box, a wedge or a stick."""
    corners = rng.choice([3, 4, 24])
    angles = np.sort(rng.uniform(0, 0.6, corners) + np.arange(corners))
    angles *= 2 * math.pi / corners
    rings = radius * rng.uniform(0.75, 1.1, corners)
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * rings[:, None]
    points[:, 0] *= rng.choice([0.25, 0.7, 1.0])
    turn = rng.uniform(0, 2 * math.pi)
    spin = [
        [math.cos(turn), math.sin(turn)],
        [-math.sin(turn), math.cos(turn)],
    ]
    return points @ spin + center


def slope_of(mask: Image.Image, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns d/dx and d/dy of the blurred mask, [H, W] each."""
    soft = to_floats(softened(mask, radius))[..., 0]
    down, right = np.gradient(soft)
    return right, down
