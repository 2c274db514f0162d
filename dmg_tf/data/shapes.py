"""The built-in dataset: seven silhouettes drawn in four styles.

Made for a first run without a download: 64 px pictures, rendered once from a
seed and kept below `$KERAS_HOME/datasets`. The domains are named after those
of PACS and differ as much as they can at this size; see `shapes_styles`.

`python -m dmg_tf.data.shapes --sheet sheet.png` draws an overview.
"""

import argparse
import math
import os
import pathlib
import sys
import tempfile
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich import progress
from rich.console import Console

from dmg_tf.data.shapes_styles import CANVAS, SIZE, STYLES, Silhouette
from dmg_tf.errors import UserError

DOMAINS = tuple(sorted(STYLES))
# Share of the pictures that follow the habit of their class, see `render`.
_HABIT_SHARE = 0.75
# A change to any picture needs a new number, or old folders would be reused.
_VERSION = 1


# === Outlines: contours in [-1, 1], y down ===


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
        place = rng.uniform(0.35, 0.6)
        foot = roof - (roof + 0.9) * (1 - place)
        x = ridge + (wall + eaves - ridge) * place
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


def _silhouette(class_name: str, rng: np.random.Generator) -> Silhouette:
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


# === Pictures and folders ===


def render(
    domain: str, class_name: str, index: int, seed: int = 0
) -> Image.Image:
    """Renders one picture.

    Three in four follow a habit of their class in their domain: the material
    and colour of a photo, the palette and brush of a painting, the backdrop
    of a cartoon, the hatching of a sketch. The others take the habit of any
    class. Habits help within a domain and mean nothing in another one,
    as texture and background do in real photographs.

    Args:
        domain: One of `DOMAINS`.
        class_name: One of `CLASSES`.
        index: Number of the picture within its domain and class, from 0.
        seed: Seed of the dataset, from 0.

    Returns:
        RGB image, 64 x 64. A pure function of the four arguments.
    """
    name = zlib.crc32(f"{domain}/{class_name}".encode())
    rng = np.random.default_rng([name, seed, index])
    habit = int(rng.integers(len(CLASSES)))
    if rng.random() < _HABIT_SHARE:
        habit = CLASSES.index(class_name)
    return STYLES[domain](_silhouette(class_name, rng), rng, habit)


def ensure_shapes(
    root: pathlib.Path | None = None,
    seed: int = 0,
    images_per_class: int = 100,
) -> pathlib.Path:
    """Returns the folder of the dataset; renders it on first use.

    Args:
        root: Folder that holds the dataset's own folder. Default:
            `datasets` below `$KERAS_HOME`, or below `~/.keras`.
        seed: Seed of the dataset, from 0.
        images_per_class: Pictures for each class in each domain, from 1.

    Returns:
        A folder with `<domain>/<class>/<nnn>.png`, always complete.

    Raises:
        UserError: If an argument is out of range, or the folder cannot be
            written. No pictures are left behind then.
    """
    if seed < 0 or images_per_class < 1:
        raise UserError(
            "the built-in dataset needs seed >= 0 and images_per_class >= 1, "
            f"got seed {seed} and images_per_class {images_per_class}"
        )
    if root is None:
        home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
        root = pathlib.Path(home) / "datasets"
    name = f"dmg_tf_shapes_v{_VERSION}_seed{seed}_{images_per_class}"
    folder = pathlib.Path(root) / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # A sibling, because a rename is atomic within one disk only.
        with tempfile.TemporaryDirectory(
            prefix=f".{name}-", dir=folder.parent
        ) as temporary:
            partial = pathlib.Path(temporary, name)
            _render_all(partial, seed, images_per_class)
            _publish(partial, folder)
    except OSError as error:
        raise UserError(
            f"cannot write the built-in dataset to {folder}: "
            f"{error.strerror or error}; it needs about "
            f"{math.ceil(len(DOMAINS) * len(CLASSES) * images_per_class / 100)}"
            " MB: free some space there, or choose another folder (KERAS_HOME"
            " sets the default)"
        ) from error
    return folder


def _render_all(folder: pathlib.Path, seed: int, images_per_class: int) -> None:
    """Writes all pictures, with a bar on standard error.

    One process needs about as long as a worker would need to import this
    package with TensorFlow. Workers also want a main module that can be
    imported again, which a notebook or a plain script is not.
    """
    columns = (
        progress.TextColumn("rendering the built-in dataset"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    total = len(DOMAINS) * len(CLASSES) * images_per_class
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        for domain in DOMAINS:
            for class_name in CLASSES:
                place = folder / domain / class_name
                place.mkdir(parents=True)
                for index in range(images_per_class):
                    picture = render(domain, class_name, index, seed)
                    # Noise hardly packs, so the fastest level is enough.
                    picture.save(place / f"{index:03d}.png", compress_level=1)
                    bar.advance(task)


def _publish(partial: pathlib.Path, folder: pathlib.Path) -> None:
    """Moves a finished folder to its name, unless another process did."""
    try:
        os.rename(partial, folder)
    except OSError:
        if not folder.is_dir():
            raise


def contact_sheet(
    path: pathlib.Path, samples: int = 4, seed: int = 0
) -> pathlib.Path:
    """Writes an overview: a row for each class, columns grouped by domain.

    Args:
        path: PNG file to write.
        samples: Pictures for each class and domain.
        seed: Seed of the dataset.

    Returns:
        The path written.

    Raises:
        UserError: If the file cannot be written.
    """
    gap, left, top = 3, 74, 34
    cell = SIZE + gap
    group = samples * cell + 4 * gap
    size = (left + len(DOMAINS) * group, top + len(CLASSES) * cell + gap)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=17)
    for row, class_name in enumerate(CLASSES):
        y = top + row * cell
        middle = (left - 10, y + SIZE // 2)
        draw.text(middle, class_name, "black", font, anchor="rm")
        for block, domain in enumerate(DOMAINS):
            x = left + block * group
            if row == 0:
                middle = (x + samples * cell // 2, top // 2)
                draw.text(middle, domain, "black", font, anchor="mm")
            for index in range(samples):
                picture = render(domain, class_name, index, seed)
                corner = x + index * cell, y
                sheet.paste(picture, corner)
                # A hairline, or white sketches would run into the page.
                frame = (*corner, corner[0] + SIZE - 1, y + SIZE - 1)
                draw.rectangle(frame, outline="#c8c8c8")
    try:
        sheet.save(path)
    except OSError as error:
        raise UserError(
            f"cannot write the sheet to {path}: {error.strerror or error}; "
            "give a file in a folder that exists and can be written"
        ) from error
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the overview, or renders the dataset and prints its folder."""
    parser = argparse.ArgumentParser(description="The built-in dataset.")
    parser.add_argument("--sheet", type=pathlib.Path, help="PNG to write")
    parser.add_argument("--root", type=pathlib.Path, help="parent folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    try:
        if arguments.sheet:
            print(contact_sheet(arguments.sheet, seed=arguments.seed))
        else:
            print(ensure_shapes(arguments.root, arguments.seed))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
