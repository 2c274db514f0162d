"""The seven outlines of the built-in dataset: contours in [-1, 1], y down."""

import math

import numpy as np

from dmg_tf.data.shapes.parts import CANVAS, Silhouette


def _arrow(rng) -> Silhouette:
    shaft, head = rng.uniform(0.1, 0.3), rng.uniform(0.45, 0.95)
    half, notch = rng.uniform(0.4, 0.75), rng.uniform(0, 0.2)
    top = [(1, 0), (1 - head, half), (1 - head + notch, shaft)]
    top += [(-1, shaft), (rng.uniform(-1, -0.8), 0)]
    spine = np.array([(-0.7, 0), (0.5, 0)])
    return Silhouette(_mirrored(top, axis=1), [], [spine])


def _bottle(rng) -> Silhouette:
    neck, body = rng.uniform(0.1, 0.22), rng.uniform(0.32, 0.5)
    shoulder, drop = rng.uniform(-0.45, 0.0), rng.uniform(0.1, 0.35)
    lip = neck + rng.uniform(0, 0.07)
    side = [(0, -1), (lip, -1), (lip, -0.88), (neck, -0.88), (neck, shoulder)]
    side += [(body * 0.85, shoulder + drop * 0.5), (body, shoulder + drop)]
    side += [(body * rng.uniform(0.85, 1), 1), (0, 1)]
    label = shoulder + drop + 0.12
    band = [np.array([(-body, y), (body, y)]) for y in (label, label + 0.35)]
    return Silhouette(_mirrored(side, axis=0), [], band)


def _fish(rng) -> Silhouette:
    height, waist = rng.uniform(0.3, 0.6), rng.uniform(0.05, 0.13)
    x = np.linspace(1, -0.5, 24)
    bend = rng.uniform(0.55, 0.9)
    arch = np.sin(math.pi * ((1 - x) / 1.6) ** bend)
    top = np.stack([x, np.maximum(height * arch, waist * (1 - x))], 1)
    spread, notch = rng.uniform(0.28, 0.55), rng.uniform(0.6, 0.9)
    tail = [(-1, spread), (-notch, 0)]
    eye = _ellipse(0.6, -0.25 * height, 0.06, 0.06)
    gill = _ellipse(0.15, 0, 0.12, 0.6 * height)[:20]
    return Silhouette(_mirrored([*top, *tail], axis=1), [], [eye, gill])


def _flower(rng) -> Silhouette:
    petals = rng.integers(5, 9)
    inner, bulge = rng.uniform(0.4, 0.65), rng.uniform(0.4, 0.9)
    turns = np.linspace(0, 2 * math.pi, 160, endpoint=False)
    wave = np.abs(np.sin(turns * petals / 2)) ** bulge
    radius = inner + (1 - inner) * wave
    outline = np.stack([np.cos(turns), np.sin(turns)], 1) * radius[:, None]
    heart = rng.uniform(0.15, 0.3)
    return Silhouette(outline, [], [_ellipse(0, 0, heart, heart)])


def _house(rng) -> Silhouette:
    wall, eaves = rng.uniform(0.5, 0.85), rng.uniform(0, 0.2)
    roof, ridge = rng.uniform(-0.3, 0.15), rng.uniform(0, 0.35)
    left = [(-ridge, -0.9), (-wall - eaves, roof), (-wall, roof), (-wall, 0.9)]
    right = [(-x, y) for x, y in left[::-1]]
    if rng.random() < 0.5:  # a chimney on the slope of the roof
        share = rng.uniform(0.35, 0.6)
        foot = roof - (roof + 0.9) * (1 - share)
        x = ridge + (wall + eaves - ridge) * share
        right += [(x + 0.1, foot + 0.1), (x + 0.1, -1), (x - 0.12, -1)]
        right += [(x - 0.12, foot - 0.12)]
    door = [(-0.15, 0.9), (-0.15, 0.4), (0.15, 0.4), (0.15, 0.9)]
    edge = [(-wall, roof), (wall, roof)]
    door = np.array(door) + (rng.uniform(-0.25, 0.25), 0)
    return Silhouette(np.array(left + right), [], [door, np.array(edge)])


def _mug(rng) -> Silhouette:
    top, foot = rng.uniform(0.45, 0.65), rng.uniform(0.35, 0.6)
    tall, reach = rng.uniform(0.6, 0.95), rng.uniform(0.3, 0.5)
    middle, span = rng.uniform(-0.15, 0.15), rng.uniform(0.35, 0.5) * tall
    side = (top + foot) / 2 - 0.03
    thick = rng.uniform(0.1, 0.16)
    turns = np.linspace(-math.pi / 2, math.pi / 2, 24)
    bow = np.stack([np.cos(turns), np.sin(turns)], 1)
    handle = bow * (reach, span) + (side, middle)
    hole = bow * (reach - thick, span - thick) + (side + 0.03, middle)
    outline = [(-top, -tall), (top, -tall), *handle]
    outline += [(foot, tall), (-foot, tall)]
    rim = np.array([(-top, -tall + 0.16), (top, -tall + 0.16)])
    return Silhouette(np.array(outline), [hole], [rim])


def _star(rng) -> Silhouette:
    points, inner = rng.integers(5, 7), rng.uniform(0.36, 0.55)
    turns = np.arange(2 * points) * math.pi / points
    radius = np.where(np.arange(2 * points) % 2, inner, 1.0)
    radius *= rng.uniform(0.88, 1.08, 2 * points)
    outline = np.stack([np.cos(turns), np.sin(turns)], 1) * radius[:, None]
    heart = rng.uniform(0.15, 0.3)
    return Silhouette(outline, [], [_ellipse(0, 0, heart, heart)])


def _ellipse(x, y, width, height) -> np.ndarray:
    turns = np.linspace(0, 2 * math.pi, 40)
    return np.stack([x + width * np.cos(turns), y + height * np.sin(turns)], 1)


def _mirrored(half, axis: int) -> np.ndarray:
    """Closes half an outline with its reflection in the line axis = 0."""
    half = np.array(half, float)
    other = half[::-1].copy()
    other[:, axis] *= -1
    return np.concatenate([half, other])


# How far each one may be turned, in degrees: things that stand stay upright.
_OUTLINES = {
    "arrow": (_arrow, 45),
    "bottle": (_bottle, 30),
    "fish": (_fish, 35),
    "flower": (_flower, 180),
    "house": (_house, 20),
    "mug": (_mug, 20),
    "star": (_star, 180),
}
CLASSES = tuple(sorted(_OUTLINES))


def _evenly(contour: np.ndarray, closed: bool, step: float) -> np.ndarray:
    """Resamples a contour to points about one step apart."""
    if closed:
        contour = np.concatenate([contour, contour[:1]])
    lengths = np.hypot(*np.diff(contour, axis=0).T)
    at = np.concatenate([[0], np.cumsum(lengths)])
    count = max(4, round(at[-1] / step))
    wanted = np.linspace(0, at[-1], count, endpoint=not closed)
    return np.stack([np.interp(wanted, at, axis) for axis in contour.T], 1)


def silhouette(class_name: str, rng: np.random.Generator) -> Silhouette:
    """Draws one outline and puts it, bent and turned, on the canvas."""
    draw, turn = _OUTLINES[class_name]
    outline, holes, details = draw(rng)
    angle = math.radians(rng.uniform(-turn, turn))
    spin = np.array(
        [
            [math.cos(angle), math.sin(angle)],
            [-math.sin(angle), math.cos(angle)],
        ]
    )
    stretch = math.exp(rng.normal(0, 0.11))
    lean = np.array([[1, rng.normal(0, 0.12)], [0, 1]])
    matrix = np.diag([stretch * rng.choice([-1, 1]), 1 / stretch]) @ lean @ spin
    bend, phase = rng.uniform(0.0, 0.07, 2), rng.uniform(0, 2 * math.pi, 2)
    pace = rng.uniform(2, 4.5, 2)

    def place(contour, closed):
        contour = _evenly(contour, closed, 0.05)
        # Each axis sways with the other one, so straight edges bend.
        contour = contour + bend * np.sin(contour[:, ::-1] * pace + phase)
        return contour @ matrix

    outline = place(outline, True)
    low, high = outline.min(0), outline.max(0)
    scale = CANVAS * rng.uniform(0.6, 0.95) / (high - low).max()
    room = CANVAS - scale * (high - low)
    shift = rng.uniform(0, 1, 2) * room - scale * low
    return Silhouette(
        outline * scale + shift,
        [place(hole, True) * scale + shift for hole in holes],
        [place(detail, False) * scale + shift for detail in details],
    )
