"""Prints the worst relative error reached, by file and quantity.

Run it in the project's folder:

    python -m tests.golden.report                 # all files of the project
    python -m tests.golden.report --golden DIR    # methods, other files

The exit code is 1 if an error is greater than is allowed.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from dmg_tf.backbones.weights.loading import fetch_imagenet
from tests.golden import checks, compute
from tests.golden.files import (
    errors_of,
    golden_files,
    load,
    quantity_of,
    tolerance_of,
)
from tests.golden.float64 import float64

PACS = pathlib.Path(__file__).parents[3] / "shared" / "pacs"


def values_of(name, meta):
    """Returns all values of a file, computed here."""
    if name.startswith("dmg_"):
        return compute.dmg(meta)
    if name.startswith("multihead_"):
        return compute.multi_headed(meta)
    model = compute.efficientnet_model(fetch_imagenet("efficientnet_lite0"))
    found = compute.efficientnet_noise(model, meta)
    if PACS.is_dir():
        found |= compute.efficientnet_images(model, meta, PACS)
    return found


def float64_values(meta):
    """Returns what training gives in float64."""
    with float64():
        return compute.dmg_training(compute.dmg_model(meta), meta)


def print_errors(name, found, expected, in_float64=False) -> bool:
    """Prints the worst error of each quantity, as a table in Markdown.

    Returns:
        Whether all are within what is allowed.
    """
    worst = {}
    for key, error in errors_of(found, expected, name).items():
        quantity, _ = quantity_of(key)
        error = (error, tolerance_of(key, name, in_float64))
        worst[quantity] = max(worst.get(quantity, error), error)
    title = f"{name}, float64" if in_float64 else name
    print(f"\n| {title} | reached | allowed |\n|---|---|---|")
    for quantity, (error, tolerance) in worst.items():
        print(f"| {quantity} | {error:.1e} | {tolerance:.0e} |")
    return all(error <= tolerance for error, tolerance in worst.values())


def print_methods(folder) -> bool:
    """Prints the worst error of each method's file, as a table in Markdown.

    Files that no method of this package computes are named.

    Returns:
        Whether all are within what is allowed.
    """
    print("\n| method's file | values | worst | allowed | at | in float32 |")
    print("|---|---|---|---|---|---|")
    known, well = checks.checks(), True
    for name in checks.references(folder):
        if name not in known:
            print(f"| {name} | not compared | | | | |")
            continue
        errors = checks.errors_of(name, folder)
        key = max(errors, key=lambda k: errors[k][0] / errors[k][1])
        error, tolerance = errors[key]
        single = checks.errors_of(name, folder, in_float64=False)
        rounded = max(e for e, _ in single.values())
        # In this order a NaN is too far, too.
        well &= error <= tolerance
        print(
            f"| {name} | {len(errors)} | {error:.1e} | {tolerance:.0e} "
            f"| `{key}` | {rounded:.1e} |"
        )
    return well


def main(argv=None) -> int:
    """Prints the tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--golden",
        type=pathlib.Path,
        metavar="DIR",
        help="compare the methods with the files of this folder alone",
    )
    folder = parser.parse_args(argv).golden
    if folder:
        return 0 if print_methods(folder) else 1
    well = [print_methods(checks.FOLDER)]
    for name in golden_files():
        expected, meta = load(name)
        well.append(print_errors(name, values_of(name, meta), expected))
        if name.startswith("dmg_"):
            found = float64_values(meta)
            well.append(print_errors(name, found, expected, in_float64=True))
    return 0 if all(well) else 1


if __name__ == "__main__":
    raise SystemExit(main())
