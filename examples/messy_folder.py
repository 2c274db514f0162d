"""Makes a folder of images as people have them, to try dmg-tf on.

    python -m examples.messy_folder DIR [--images 40]

Three sites photograph the same things, each in its own way: DIR/north,
DIR/south and DIR/east. It is as folders are: JPEG and PNG, names with spaces
and accents, a class that one site never saw, notes and thumbnails between the
images, a copy of an image under another name, a file that is no image at all,
and one that was cut off. DIR/new_site holds a fourth site without labels, and
DIR/images.csv lists the good images once more as a table. The pictures are
drawn, so nothing is downloaded.
"""

import argparse
import csv
import pathlib

from dmg_tf.data.shapes.dataset import render
from dmg_tf.data.shapes.outlines import CLASSES

# What draws each site's pictures, and how it saves them.
SITES = {
    "north": ("photo", ".jpg"),
    "south": ("art_painting", ".png"),
    "east": ("cartoon", ".JPEG"),
}
NEW_SITE = "sketch"
MISSING = ("east", CLASSES[-1])


def write_site(root, style, suffix, classes, count):
    """Writes a folder for each class; returns the paths of the images."""
    paths = []
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            paths.append(root / name / f"{name} n\u00b0 {number:03d}{suffix}")
            render(style, name, number).save(paths[-1])
    return paths


def make_messy(root, good):
    """Adds what does not belong there.

    Args:
        root: The folder of sites.
        good: Paths of its images.
    """
    (root / "READ ME.txt").write_text("Ask Jo about the missing ones.\n")
    for path in (good[0].parent, good[-1].parent):
        (path / "Thumbs.db").write_bytes(bytes(512))
        (path / ".DS_Store").write_bytes(bytes(64))
    first, *_, last = good
    first.with_name("copy of the first.jpg").write_bytes(first.read_bytes())
    cut_off = last.read_bytes()[: last.stat().st_size // 3]
    last.with_name("cut off.JPEG").write_bytes(cut_off)
    last.with_name("no image.jpg").write_text("<html>404</html>")


def write_table(path, root, images):
    """Writes a table of path, label and domain."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "domain"))
        for image in images:
            site, label, name = image.relative_to(root).parts
            rows.writerow((f"{site}/{label}/{name}", label, site))


def main() -> None:
    """Makes the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=40, help="of a class")
    args = parser.parse_args()
    sites, images = args.folder / "sites", []
    for site, (style, suffix) in SITES.items():
        classes = [name for name in CLASSES if (site, name) != MISSING]
        images += write_site(sites / site, style, suffix, classes, args.images)
    make_messy(sites, images)
    write_table(sites / "images.csv", sites, images)
    new = args.folder / "new_site"
    new.mkdir()
    for number in range(args.images):
        name = CLASSES[number % len(CLASSES)]
        render(NEW_SITE, name, number).save(new / f"IMG_{number:04d}.png")
    print(f"{len(images)} images of {len(SITES)} sites in {sites}")
    print(f"{args.images} unlabelled images of a new one in {new}")


if __name__ == "__main__":
    main()
