"""Small pictures whose colour tells the class, for the cases of this folder."""

import pathlib

import numpy as np
import PIL.Image


def write_classes(root, domains, classes, count=10):
    """Writes DIR/<domain>/<class>/<i>.png.

    Args:
        root: DIR.
        domains: Their names.
        classes: {name: RGB}.
        count: Images of each class and domain.
    """
    for d, domain in enumerate(domains):
        for name, colour in classes.items():
            folder = pathlib.Path(root) / domain / name
            folder.mkdir(parents=True)
            for i in range(count):
                rng = np.random.default_rng([d, i, *colour])
                noise = rng.integers(-30, 30, (40, 40, 3))
                pixels = np.clip(noise + colour, 0, 255).astype(np.uint8)
                PIL.Image.fromarray(pixels).save(folder / f"{i}.png")
