"""Attacks the programs and prints what came of it: `make campaign`.

python -m tests.campaign [--kills N] [--images N] [--damages N] [--weights N]
    [--names N] [--pairs N] [--requests N] [--seed N]

Everything is written to a temporary folder. The exit code is 1 if anything
failed; each failure is a line with what is needed to repeat it.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.campaign import (
    damages,
    demo,
    images,
    kills,
    names,
    pairs,
    weights,
)
from tests.campaign.children import Ground, make_ground

# What is counted and is no failure.
FINE = (
    "kills",
    "lives compared",
    "finished before",
    "tried",
    "read",
    "refused",
    "no effect",
    "answered",
    "both right",
)


def _lives(ground: Ground, args):
    chosen = kills.lives(ground)
    return [
        life for life in chosen if not args.lives or life.name in args.lives
    ]


def _kills(root, ground, count, args):
    chosen = _lives(ground, args)
    return kills.attack(root, count, args.seed, chosen, args.jobs)


def _pairs(root, ground, count, args):
    return pairs.attack(root, _lives(ground, args), count, args.seed)


# {part: (what is counted, how many are usual, its attack)}
PARTS = {
    "kills": ("kills", 60, _kills),
    "images": (
        "damaged images",
        1000,
        lambda at, ground, n, args: images.attack(at, ground, n, args.seed),
    ),
    "damages": (
        "damaged files of runs and exports",
        40,
        lambda at, ground, n, args: damages.attack(at, ground, n, args.seed),
    ),
    "weights": (
        "damaged weight files",
        2000,
        lambda at, ground, n, args: weights.attack(at, ground, n, args.seed),
    ),
    "names": (
        "hostile names",
        100,
        lambda at, ground, n, args: names.attack(at, ground, n, args.seed),
    ),
    "pairs": (
        "pairs of processes in one place",
        10,
        _pairs,
    ),
    "requests": (
        "requests to the demo",
        500,
        lambda at, ground, n, args: demo.attack(at, ground, n, args.seed),
    ),
}


def main(argv=None) -> int:
    """Runs the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for part, (what, usual, _) in PARTS.items():
        parser.add_argument(
            f"--{part}", type=int, default=usual, metavar="N", help=what
        )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--lives",
        nargs="+",
        metavar="NAME",
        help="what is killed or started twice, of all",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="killed at a time"
    )
    parser.add_argument("--json", metavar="FILE", help="adds the counts to it")
    args = parser.parse_args(argv)
    words = sys.argv[1:] if argv is None else argv
    counts, seconds = {}, {}
    row = {"arguments": " ".join(words), "seconds": seconds, "counts": counts}
    file = pathlib.Path(args.json) if args.json else None
    before = json.loads(file.read_text()) if file and file.exists() else []
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        root = pathlib.Path(folder)
        ground = make_ground(root)
        for part, (_, _, attack) in PARTS.items():
            if not getattr(args, part):
                continue
            (root / part).mkdir()
            begin = time.monotonic()
            found = attack(root / part, ground, getattr(args, part), args)
            seconds[part] = round(time.monotonic() - begin)
            counts[part] = dict(sorted(found.items()))
            _print_counts(part, counts[part], seconds[part])
            if file:
                file.write_text(json.dumps([*before, row], indent=2) + "\n")
    failures = sum(
        n for found in counts.values() for key, n in found.items() if _bad(key)
    )
    print(f"{failures} failures")
    return 1 if failures else 0


def _bad(key) -> bool:
    return not key.rpartition(": ")[2].startswith(FINE)


def _print_counts(part, counts, seconds):
    print(f"\n{part}, {seconds} s")
    for key, count in counts.items():
        print(f"{count:8d} {key}{' <-' * _bad(key)}")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
