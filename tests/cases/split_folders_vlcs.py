"""VLCS as it is handed around: DOMAIN/SPLIT/CLASS/IMAGE.

Right: never a classifier of "crossval, full, test, train", but of 0, 1 and 2.
"""

import shutil

from tests.conftest import write_images

DOMAINS = ("CALTECH", "LABELME", "PASCAL", "SUN")


def build(root):
    """`full` has all of 12 images a class, the other three share them out."""
    for domain in DOMAINS:
        write_images(root / domain, ["full"], "012", 12, size=32)
        for name in "012":
            for i in range(12):
                split = "test" if i > 8 else "crossval" if i > 6 else "train"
                folder = root / domain / split / name
                folder.mkdir(parents=True, exist_ok=True)
                image = root / domain / "full" / name / f"{i}.png"
                shutil.copy(image, folder / f"{i}.png")
    return root
