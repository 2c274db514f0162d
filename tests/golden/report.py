"""Prints the worst relative error reached, by file and quantity.

Run it in the project's folder: python -m tests.golden.report
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from dmg_tf.backbones.weights.loading import fetch_imagenet
from tests.golden import compute
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


def print_errors(name, found, expected, in_float64=False):
    """Prints the worst error of each quantity, as a table in Markdown."""
    worst = {}
    for key, error in errors_of(found, expected, name).items():
        quantity, _ = quantity_of(key)
        error = (error, tolerance_of(key, name, in_float64))
        worst[quantity] = max(worst.get(quantity, error), error)
    title = f"{name}, float64" if in_float64 else name
    print(f"\n| {title} | reached | allowed |\n|---|---|---|")
    for quantity, (error, tolerance) in worst.items():
        print(f"| {quantity} | {error:.1e} | {tolerance:.0e} |")


def main():
    """Prints the tables."""
    for name in golden_files():
        expected, meta = load(name)
        print_errors(name, values_of(name, meta), expected)
        if name.startswith("dmg_"):
            print_errors(name, float64_values(meta), expected, in_float64=True)


if __name__ == "__main__":
    main()
