"""Damage that disks, power cuts and other programs do to a file."""

import random


def flipped(contents, rng):
    """Returns the bytes with one bit of one byte changed."""
    place = rng.randrange(len(contents))
    byte = contents[place] ^ (1 << rng.randrange(8))
    return contents[:place] + bytes([byte]) + contents[place + 1 :]


def cut(contents, rng):
    """Returns the first bytes."""
    return contents[: rng.randrange(len(contents))]


def zeroed(contents, rng):
    """Returns the bytes with a block of zeros, as of a page never written."""
    place = rng.randrange(len(contents))
    block = contents[place : place + 64]
    return contents[:place] + bytes(len(block)) + contents[place + 64 :]


def emptied(contents, rng):
    """Returns no bytes."""
    del contents, rng
    return b""


KINDS = (flipped, flipped, flipped, cut, zeroed, emptied)


def damages(paths, count, seed=0):
    """Yields (file, damaged contents), the files in turn.

    Args:
        paths: Files that are not empty.
        count: How many.
        seed: Of what is drawn.
    """
    rng = random.Random(seed)
    for number in range(count):
        path = paths[number % len(paths)]
        contents = path.read_bytes()
        damaged = rng.choice(KINDS)(contents, rng)
        if damaged != contents:
            yield path, damaged
