"""Damaged image files, through prediction and the checker.

Each is a row: a class, or the reason why the file could not be read. None
stops the program, none is left out without a word.
"""

import collections
import csv
import functools
import io
import json
import pathlib
import random

import numpy as np
import PIL.Image

from tests.campaign.children import mains, make_data, run
from tests.cases.damage import KINDS

FORMATS = {
    "JPEG": ("jpg", {"quality": 90}),
    "PNG": ("png", {}),
    "GIF": ("gif", {}),
    "BMP": ("bmp", {}),
    "WEBP": ("webp", {}),
    "TIFF": ("tif", {"compression": "tiff_lzw"}),
}
PART = 400


def attack(root, ground, count, seed, say=print) -> collections.Counter:
    """Predicts and checks damaged images.

    Args:
        root: An empty folder.
        ground: Whose run predicts.
        count: How many images; each goes through both commands.
        seed: Of the damage.
        say: Told of each failure, in a line.

    Returns:
        {what happened: how often}.
    """
    root, draw = pathlib.Path(root), random.Random(seed)
    programs, counts = mains(), collections.Counter()
    sound = sound_images()
    for start in range(0, count, PART):
        folder = make_data(root / f"part{start}")
        target = folder / "sketch" / "cat"
        names = []
        for number in range(start, min(start + PART, count)):
            suffix, contents = draw.choice(sound)
            path = target / f"m{number}.{suffix}"
            path.write_bytes(damaged(contents, draw))
            names.append(str(path))
        table = root / "table.csv"
        end = run(
            programs["predict"],
            [ground.run, target, "--csv", table],
            root / "predict.log",
        )
        counts["predict: tried"] += len(names)
        _count_rows(end, table, names, counts, say)
        end = run(programs["check"], [folder, "--json"], root / "check.log")
        counts["check: tried"] += len(names)
        if end.code not in (0, 1) or "Traceback" in end.printed:
            counts["check: ended badly"] += len(names)
            say(f"check, part {start}: exit code {end.code}")
    return counts


def _count_rows(end, table, names, counts, say):
    if end.code or not table.exists():
        counts["predict: ended badly"] += len(names)
        say(f"predict: exit code {end.code}: {end.printed[-200:]}")
        return
    with open(table, newline="", encoding="utf-8", errors="replace") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    for name in names:
        row = rows.get(name)
        if row is None:
            counts["predict: no row"] += 1
            say(f"no row for {name}")
        elif row["error"]:
            counts["predict: refused with a reason"] += 1
        elif row["class"]:
            counts["predict: read"] += 1
        else:
            counts["predict: neither class nor reason"] += 1
            say(f"neither class nor reason for {name}: {json.dumps(row)}")


@functools.cache
def sound_images() -> list[tuple[str, bytes]]:
    """Returns [(suffix, contents)], three of each format."""
    rng = np.random.default_rng(0)
    found = []
    for mode in ("RGB", "L", "P"):
        pixels = rng.integers(0, 255, (24, 32, 3), np.uint8)
        image = PIL.Image.fromarray(pixels).convert(mode)
        for name, (suffix, options) in FORMATS.items():
            file = io.BytesIO()
            plain = image.convert("RGB") if mode == "P" else image
            chosen = image if name in ("PNG", "GIF", "BMP") else plain
            chosen.save(file, name, **options)
            found.append((suffix, file.getvalue()))
    return found


def damaged(contents: bytes, draw: random.Random) -> bytes:
    """Returns a file's contents with a damage."""
    return draw.choice((*KINDS, _other_header, _shortened, _huge))(
        contents, draw
    )


def _other_header(contents, draw):
    data = bytearray(contents)
    for _ in range(draw.randint(1, 6)):
        data[draw.randrange(min(64, len(data)))] = draw.randrange(256)
    return bytes(data)


def _shortened(contents, draw):
    start = draw.randrange(len(contents))
    return contents[:start] + contents[start + draw.randint(1, 200) :]


def _huge(contents, draw):
    start = draw.randrange(min(200, len(contents)))
    return contents[:start] + b"\xff\xff\xff\x7f" + contents[start + 4 :]
