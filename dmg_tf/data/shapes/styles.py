"""The four looks of the built-in dataset: photo, painting, cartoon, sketch.

Each look is a function of a `Silhouette`, a random generator and a habit: a
number from 0 to 6 that sets what often goes with a class in one domain and
means nothing in another, such as the material of a photographed thing.
Pictures are drawn at twice their size and halved at the end, because Pillow's
lines are not antialiased.
"""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dmg_tf.data.shapes.parts import (
    CANVAS,
    SIZE,
    Silhouette,
    area_of,
    blob_at,
    distinct_color,
    flattened,
    material_of,
    random_color,
    slope_of,
    smooth_noise,
    softened,
    to_floats,
    to_image,
    to_ink,
    to_whole,
)

# Five colours each, dark to light, in the manner of: sunflowers and starry
# nights, Dutch interiors, water lilies, fauves, Mediterranean still lifes,
# gilded portraits, harvest fields.
_PALETTES = (
    ("#16264f", "#2f5fa5", "#7fa8a0", "#d9982b", "#f3dd7a"),
    ("#1f1710", "#5a3b20", "#8c6b3a", "#b9a06a", "#e6d9b0"),
    ("#3c4f63", "#6f8f8a", "#9c8fb8", "#d4a9b0", "#e9e4c9"),
    ("#1b4d4a", "#b3202c", "#e8702a", "#3fa66b", "#f6cf4a"),
    ("#2c3a2a", "#86562f", "#5f8ab0", "#c9b68b", "#f0eadb"),
    ("#0f2d2a", "#7a1f3d", "#c2557a", "#e8b04a", "#cfe3da"),
    ("#22223a", "#4b5a3c", "#93a45b", "#d8d2a8", "#b5653c"),
)


def photo(
    shape: Silhouette, rng: np.random.Generator, habit: int
) -> Image.Image:
    """Renders texture, light, shadow, clutter, blur and sensor noise."""
    # Soft pictures need no fine canvas: only contours are drawn on it.
    mask = area_of(shape).reduce(2)
    angle = rng.uniform(0, 2 * math.pi)
    light = np.array([math.cos(angle), math.sin(angle)], np.float32)

    ground = random_color(rng, (0.05, 0.55), (0.25, 0.9))
    scene = to_image(
        material_of(rng, ground, rng.integers(7), rng.uniform(0.1, 0.5))
    )
    draw = ImageDraw.Draw(scene)
    for _ in range(rng.integers(3, 9)):
        blob = blob_at(rng, rng.uniform(0, SIZE, 2), rng.uniform(4, 17))
        color = ground + rng.normal(0, 45, 3)
        draw.polygon(flattened(blob), fill=to_ink(color))
    pixels = np.asarray(softened(scene, rng.uniform(0.5, 2.5)), np.float32)

    # The shadow falls away from the light, so it is cast along -light.
    shadow = Image.new("L", mask.size)
    shadow.paste(mask, to_whole(-light * rng.uniform(2, 6)))
    shadow = to_floats(softened(shadow, rng.uniform(1, 2.5)))
    pixels = pixels * (1 - np.float32(rng.uniform(0.2, 0.6)) * shadow)

    hue = (2 * habit + 1) % 7 / 7
    color = distinct_color(rng, ground, 80, (0.1, 0.8), (0.25, 0.95), hue)
    body = material_of(rng, color, habit, rng.uniform(0.4, 0.9))
    body *= _shading(rng, mask, light)
    body += _highlight(rng, shape)
    lines = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(lines)
    for detail in shape.details:
        draw.line(flattened(detail), fill=255, width=int(rng.integers(2, 5)))
    lines = to_floats(softened(lines.reduce(2), 0.5))
    body *= 1 - np.float32(rng.uniform(0, 0.6)) * lines
    pixels += (body - pixels) * to_floats(softened(mask, 0.5))

    if rng.random() < 0.4:  # something out of focus in front of a part of it
        front = Image.new("L", mask.size)
        edge = shape.outline[rng.integers(len(shape.outline))] / 2
        blob = blob_at(rng, edge, rng.uniform(3, 7.5))
        ImageDraw.Draw(front).polygon(flattened(blob), fill=255)
        front = to_floats(softened(front, rng.uniform(0.5, 2)))
        pixels += (random_color(rng, (0.1, 0.7), (0.15, 0.9)) - pixels) * front

    pixels = (pixels - 128) * np.float32(rng.uniform(0.75, 1.1)) + 128
    balance = rng.uniform(0.7, 1.15) * rng.uniform(0.92, 1.08, 3)
    pixels = softened(to_image(pixels * balance), rng.uniform(0, 0.9))
    noise = rng.standard_normal((SIZE, SIZE, 3), np.float32)
    return to_image(np.asarray(pixels) + noise * rng.uniform(2, 10))


def _shading(rng, mask, light) -> np.ndarray:
    """Returns how much light each pixel gets, float32 [SIZE, SIZE, 1]."""
    right, down = slope_of(mask, rng.uniform(1.5, 3.5))
    # Brightness rises where the surface turns to the light at its rim.
    rim = -(right * light[0] + down * light[1])
    axis = np.linspace(-1, 1, SIZE, dtype=np.float32)
    across = axis[None, :] * light[0] + axis[:, None] * light[1]
    strength = rng.uniform((1.5, 0.1), (4.5, 0.45)).astype(np.float32)
    return (1 + strength[0] * rim + strength[1] * across)[..., None]


def _highlight(rng, shape) -> np.ndarray:
    """Returns a glossy spot inside the shape, float32 [SIZE, SIZE, 1]."""
    edge = shape.outline[rng.integers(len(shape.outline))]
    x, y = (0.4 * edge + 0.6 * shape.outline.mean(0)) / 2
    axis = np.arange(SIZE, dtype=np.float32)
    spot = np.exp(-((axis[:, None] - y) ** 2) / 31)
    spot = spot * np.exp(-((axis[None, :] - x) ** 2) / 31)
    return (spot * rng.uniform(0, 110)).astype(np.float32)[..., None]


def art_painting(
    shape: Silhouette, rng: np.random.Generator, habit: int
) -> Image.Image:
    """Repaints a plain scene with oriented strokes of a painter's palette."""
    palette = np.array(
        [
            [int(code[i : i + 2], 16) for i in (1, 3, 5)]
            for code in _PALETTES[habit]
        ],
        np.float32,
    )
    first, second, *rest = palette[rng.permutation(5)]
    rest.sort(key=lambda color: np.linalg.norm(color - first))
    third, _, body = rest  # the shape takes what stands out most
    mask = area_of(shape)
    # Undercoat: two or three zones of the background, then the shape.
    sky = smooth_noise(rng, *rng.integers(2, 5, 2), CANVAS)
    plain = first + (second - first) * 0.7 * np.clip(sky * 2 - 0.8, 0, 1)
    if rng.random() < 0.5:
        horizon = rng.integers(CANVAS // 2, CANVAS)
        plain[horizon:] = third + rng.normal(0, 10, 3)
    tone = body + rng.normal(0, 40, 3)
    fill = body + (tone - body) * smooth_noise(rng, 3, 3, CANVAS)
    plain += (fill - plain) * to_floats(mask)
    canvas = to_image(plain)
    draw = ImageDraw.Draw(canvas)
    ink = to_ink(body * 0.45)
    for detail in shape.details:
        draw.line(flattened(detail), fill=ink, width=3)
    if rng.random() < 0.4:
        for contour in (shape.outline, *shape.holes):
            draw.line(
                flattened(contour), fill=ink, width=int(rng.integers(2, 5))
            )
    _repaint(canvas, shape, rng, habit)
    # Thick paint catches the light; the weave of the canvas shows through.
    relief = canvas.convert("L").filter(ImageFilter.EMBOSS)
    pixels = np.asarray(canvas, np.float32) + 60 * (to_floats(relief) - 0.5)
    weave = np.zeros((CANVAS, CANVAS, 1), np.float32)
    weave[::4] += 1
    weave[:, ::4] += 1
    return to_image(pixels * (1 - rng.uniform(0.01, 0.06) * weave)).reduce(2)


def _repaint(canvas, shape, rng, habit) -> None:
    """Covers a picture with strokes of its own colours, coarse to fine."""
    target = np.asarray(canvas, np.float32)
    draw = ImageDraw.Draw(canvas)
    # Strokes run along edges where there are any, else along a slow swirl.
    right, down = slope_of(area_of(shape), 5)
    swirl = rng.uniform(0, math.pi)
    swirl = swirl + rng.uniform(1, 5) * smooth_noise(rng, 3, 3, CANVAS)[..., 0]
    along = np.arctan2(right, -down)
    angles = np.where(np.hypot(right, down) > 0.012, along, swirl)
    stroke = 0.7 + 0.1 * habit + rng.normal(0, 0.05)
    contours = np.concatenate([shape.outline, *shape.holes])
    for count, width, length in ((60, 7, 11), (200, 4, 7), (90, 3, 4)):
        rows, columns = rng.integers(0, CANVAS, (2, count))
        if length == 4:  # the finest brush goes over the edges again
            edge = rng.choice(contours, count)
            edge = edge + rng.normal(0, 2.5, edge.shape)
            columns, rows = edge.clip(0, CANVAS - 1).astype(int).T
        turns = angles[rows, columns] + rng.normal(0, 0.25, count)
        reach = length * stroke * rng.uniform(0.5, 1.2, count)
        step = np.stack([np.cos(turns), np.sin(turns)], 1) * reach[:, None]
        middle = np.stack([columns, rows], 1)
        ends = np.concatenate([middle - step, middle + step], 1).tolist()
        colors = target[rows, columns] + rng.normal(0, 9, (count, 3))
        colors += rng.normal(0, 17, (count, 1))
        colors = colors.clip(0, 255).astype(int).tolist()
        width = max(2, round(width * stroke))
        for end, color in zip(ends, colors, strict=True):
            draw.line(end, fill=tuple(color), width=width)


def cartoon(
    shape: Silhouette, rng: np.random.Generator, habit: int
) -> Image.Image:
    """Renders flat saturated colours, bold outlines, a printed background."""
    ground = random_color(rng, (0.15, 0.9), (0.75, 1.0))
    # Another order than in photos: here no class keeps the hue it has there.
    hue = (2 * habit + 4) % 7 / 7
    body = distinct_color(rng, ground, 110, (0.6, 1.0), (0.6, 1.0), hue)
    scene = Image.new("RGB", (CANVAS, CANVAS), to_ink(ground))
    draw = ImageDraw.Draw(scene)
    second = to_ink(ground * rng.uniform(0.72, 0.9))
    ink = tuple(int(level) for level in rng.integers(0, 45, 3))
    _pattern(draw, second, rng, habit)
    for _ in range(rng.integers(0, 3)):
        blob = blob_at(rng, rng.uniform(0, CANVAS, 2), rng.uniform(8, 22))
        color = to_ink(random_color(rng, (0.3, 1.0), (0.6, 1.0)))
        draw.polygon(flattened(blob), fill=color, outline=ink, width=3)

    mask = area_of(shape)
    scene.paste(to_ink(body), mask=mask)
    if rng.random() < 0.6:  # one darker tone on the side away from the light
        lit = Image.new("L", mask.size)
        lit.paste(mask, tuple(rng.integers(-12, 13, 2).tolist()))
        shade = np.minimum(np.asarray(mask), 255 - np.asarray(lit))
        scene.paste(to_ink(body * 0.72), mask=to_image(shade))
    width = int(rng.integers(4, 9))
    for contour in (shape.outline, *shape.holes):
        closed = np.concatenate([contour, contour[:2]])
        draw.line(flattened(closed), fill=ink, width=width, joint="curve")
    for detail in shape.details:
        draw.line(flattened(detail), fill=ink, width=max(3, width - 2))
    return scene.reduce(2)


def _pattern(draw, color, rng, kind) -> None:
    """Prints a background: none, floor, spots, bars, rays, rings, or boards."""
    if kind == 1:
        draw.rectangle(
            (0, int(rng.integers(70, 120)), CANVAS, CANVAS), fill=color
        )
    elif kind == 2:
        step, radius = int(rng.integers(10, 24)), rng.uniform(2, 5)
        for row, y in enumerate(range(0, CANVAS + step, step)):
            for x in range(row % 2 * step // 2, CANVAS + step, step):
                draw.circle((x, y), radius, fill=color)
    elif kind == 3:
        step, lean = int(rng.integers(14, 34)), int(rng.integers(-60, 61))
        for x in range(-64, CANVAS + 64, step):
            draw.line((x, 0, x + lean, CANVAS), fill=color, width=step // 2)
    elif kind == 4:
        center, rays = rng.uniform(40, 88, 2), int(rng.integers(6, 12))
        turns = (np.arange(2 * rays) + rng.random()) * math.pi / rays
        rim = center + 200 * np.stack([np.cos(turns), np.sin(turns)], 1)
        for start, end in zip(rim[::2], rim[1::2], strict=True):
            points = flattened(np.stack([center, start, end]))
            draw.polygon(points, fill=color)
    elif kind == 5:
        center, step = rng.uniform(30, 98, 2).tolist(), int(rng.integers(9, 18))
        for radius in range(step, 150, 2 * step):
            draw.circle(center, radius, outline=color, width=step)
    elif kind == 6:
        step = int(rng.integers(12, 28))
        for y in range(int(rng.integers(-step, 0)), CANVAS, step):
            draw.rectangle((0, y, CANVAS, y + step // 2), fill=color)


def sketch(
    shape: Silhouette, rng: np.random.Generator, habit: int
) -> Image.Image:
    """Draws thin wobbly pencil lines on white paper, sometimes hatched."""
    page = Image.new("L", (CANVAS, CANVAS), int(rng.integers(243, 256)))
    draw = ImageDraw.Draw(page)
    gray, width = int(rng.integers(20, 110)), int(rng.integers(1, 3))
    faint = min(gray + 50, 160)
    if rng.random() < 0.6:
        _hatch(page, area_of(shape), rng, faint, habit)
    passes = int(rng.integers(1, 4))
    for contour in (shape.outline, *shape.holes):
        for _ in range(passes):
            # A pass starts anywhere and stops short of, or past, its start.
            start = rng.integers(len(contour))
            count = int(len(contour) * rng.uniform(0.6, 1.05))
            line = contour[(start + np.arange(count)) % len(contour)]
            _pencil(draw, line, rng, gray, width)
    for detail in shape.details:
        if rng.random() < 0.6:
            _pencil(draw, detail, rng, gray, width)
    for _ in range(rng.integers(0, 4)):  # clutter is outlined like the rest
        blob = blob_at(rng, rng.uniform(0, CANVAS, 2), rng.uniform(8, 26))
        corners = np.concatenate([blob, blob[:1]]).repeat(2, axis=0)
        _pencil(draw, corners, rng, gray, width)
    for _ in range(rng.integers(1, 7)):  # stray strokes and ground lines
        start = rng.uniform(0, CANVAS, 2)
        end = start + rng.normal(0, 1, 2) * (50, 20)
        _pencil(draw, np.linspace(start, end, 12), rng, faint, width)
    return page.reduce(2).convert("RGB")


def _pencil(draw, line, rng, gray, width) -> None:
    """Draws a line that wanders and changes pressure on the way."""
    amount = rng.uniform(0.8, 2.8)
    knots = rng.normal(0, amount, (max(3, len(line) // 8), 2))
    along = np.linspace(0, len(knots) - 1, len(line))
    index = np.arange(len(knots))
    drift = [np.interp(along, index, knots[:, axis]) for axis in (0, 1)]
    points = line + np.stack(drift, 1)
    for part in range(0, len(points) - 1, 12):
        level = int(np.clip(gray + rng.normal(0, 18), 0, 190))
        draw.line(flattened(points[part : part + 13]), fill=level, width=width)


def _hatch(page, mask, rng, gray, habit) -> None:
    """Shades a page inside a mask with parallel lines."""
    lines = Image.new("L", page.size)
    draw = ImageDraw.Draw(lines)
    lean, step = 28 * habit - 84 + rng.normal(0, 8), int(rng.integers(5, 12))
    for x in range(-CANVAS, 2 * CANVAS, step):
        draw.line((x, 0, x + lean + rng.normal(0, 4), CANVAS), fill=255)
    inside = np.minimum(np.asarray(lines), np.asarray(mask))
    page.paste(gray, mask=to_image(inside))


STYLES = {
    "art_painting": art_painting,
    "cartoon": cartoon,
    "photo": photo,
    "sketch": sketch,
}
