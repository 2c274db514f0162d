"""The built-in dataset: seven silhouettes drawn in four styles.

Made for a first run without a download: 64 px pictures, rendered once from a
seed and kept below `$KERAS_HOME/datasets`. The domains are named after those
of PACS and differ as much as they can at this size; see `styles`.

`python -m dmg_tf.data.shapes --sheet sheet.png` draws an overview.
"""

import math
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dmg_tf.console.bar import Bar
from dmg_tf.data.datasets.folder import load as load_folder
from dmg_tf.data.examples import DomainData
from dmg_tf.data.shapes.outlines import CLASSES, silhouette
from dmg_tf.data.shapes.parts import SIZE
from dmg_tf.data.shapes.styles import STYLES
from dmg_tf.errors import UserError
from dmg_tf.files import user_folder, whole_folder

DOMAINS = tuple(sorted(STYLES))
# Share of the pictures that follow the habit of their class, see `render`.
_HABIT_SHARE = 0.75
# A change to any picture needs a new number, or old folders would be reused.
_VERSION = 1


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
    return STYLES[domain](silhouette(class_name, rng), rng, habit)


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
        root = user_folder("KERAS_HOME", ".keras", ", or give --data DIR")
        root /= "datasets"
    name = f"dmg_tf_shapes_v{_VERSION}_seed{seed}_{images_per_class}"
    folder = pathlib.Path(root) / name
    if folder.is_dir():
        return folder
    try:
        with whole_folder(folder) as partial:
            _render_all(partial, seed, images_per_class)
    except OSError as error:
        raise UserError(
            f"cannot write the built-in dataset to {folder}: "
            f"{error.strerror or error}; it needs about "
            f"{math.ceil(len(DOMAINS) * len(CLASSES) * images_per_class / 100)}"
            " MB: free some space there, or choose another folder (KERAS_HOME"
            " sets the default)"
        ) from error
    return folder


def load(
    root: str | None,
    target: str | None,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> DomainData:
    """Returns the built-in dataset as a run's data; renders it if need be.

    Args:
        root: Not used: the pictures live in Keras' folder.
        target: The domain that is held out; None for none.
        sources: The domains to train on; None for all others.
        seed: Seed of the split. The pictures are the same for every run.

    Raises:
        UserError: If a domain is unknown, or the pictures can't be written.
    """
    del root
    return load_folder(ensure_shapes(), target, sources, seed)


def _render_all(folder: pathlib.Path, seed: int, images_per_class: int) -> None:
    """Writes all pictures, with a bar on standard error.

    One process needs about as long as a worker would need to import this
    package with TensorFlow. Workers also want a main module that can be
    imported again, which a notebook or a plain script is not.
    """
    total = len(DOMAINS) * len(CLASSES) * images_per_class
    with Bar("rendering the built-in dataset", total, "pictures") as bar:
        for domain in DOMAINS:
            for class_name in CLASSES:
                parent = folder / domain / class_name
                parent.mkdir(parents=True)
                for index in range(images_per_class):
                    picture = render(domain, class_name, index, seed)
                    # Noise hardly packs, so the fastest level is enough.
                    picture.save(parent / f"{index:03d}.png", compress_level=1)
                    bar.advance()


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
