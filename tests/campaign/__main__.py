"""Attacks the programs and prints what came of it: `make campaign`.

python -m tests.campaign [--kills N] [--images N] [--damages N] [--seed N]

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

from tests.campaign import damages, images, kills
from tests.campaign.children import flags, mains, make_data, run

# What is counted and is no failure.
FINE = ("kills", "tried", "read", "refused", "no effect")


def main(argv=None) -> int:
    """Runs the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=100, metavar="N")
    parser.add_argument("--images", type=int, default=2000, metavar="N")
    parser.add_argument("--damages", type=int, default=500, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="counts, to keep")
    args = parser.parse_args(argv)
    counts = {}
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        root = pathlib.Path(folder)
        for name, attack in (
            ("kills", lambda at: kills.attack(at, args.kills, args.seed)),
            ("images", lambda at: _images(at, args.images, args.seed)),
            ("damages", lambda at: damages.attack(at, args.damages, args.seed)),
        ):
            if getattr(args, name):
                (root / name).mkdir()
                begin = time.monotonic()
                counts[name] = attack(root / name)
                seconds = time.monotonic() - begin
                _print_counts(name, counts[name], seconds)
    rows = {}
    for part, found in counts.items():
        rows[part] = {_words(key): found[key] for key in found}
    if args.json:
        text = json.dumps({"seed": args.seed, **rows}, indent=2, sort_keys=True)
        pathlib.Path(args.json).write_text(text + "\n")
    failures = sum(
        n for found in rows.values() for key, n in found.items() if _bad(key)
    )
    print(f"{failures} failures")
    return 1 if failures else 0


def _images(root, count, seed):
    model = root / "run"
    data = make_data(root / "data")
    end = run(
        mains()["train"],
        flags(data, "--output", model, "--method", "aggregate"),
        root / "train.log",
    )
    if end.code:
        raise RuntimeError(end.printed)
    return images.attack(root, model, count, seed)


def _words(key) -> str:
    return ": ".join(key) if isinstance(key, tuple) else key


def _bad(key) -> bool:
    return not key.rpartition(": ")[2].startswith(FINE)


def _print_counts(name, counts, seconds):
    print(f"\n{name}, {seconds:.0f} s")
    for key in sorted(counts, key=_words):
        print(f"{counts[key]:8d} {_words(key)}{' <-' * _bad(_words(key))}")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
