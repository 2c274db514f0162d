"""Prints the worst relative error reached, by file and quantity.

Run it in the project's folder: python -m tests.golden.report
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from dmg_tf.backbones.weights.loading import fetch_imagenet
from tests.golden import compute
from tests.golden.files import (
    QUANTITIES,
    errors_of,
    golden_files,
    load,
    quantity_of,
    tolerance_of,
)
from tests.golden.float64 import float64

# The run in float64 is held against this file.
FLOAT64_FILE = "dmg_resnet18_three_layers"
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


def float64_values():
    """Returns what training on three masked layers gives in float64."""
    _, meta = load(FLOAT64_FILE)
    with float64():
        return compute.dmg_training(compute.dmg_model(meta), meta)


def main():
    """Prints the table, in Markdown."""
    names = golden_files()
    worst = {}
    for run in [*names, "float64"]:
        name = FLOAT64_FILE if run == "float64" else run
        expected, meta = load(name)
        found = float64_values() if run == "float64" else values_of(name, meta)
        for key, error in errors_of(found, expected).items():
            cell = (quantity_of(key)[0], run)
            error = (error, tolerance_of(key, run))
            worst[cell] = max(worst.get(cell, error), error)
    for run in [*names, "float64"]:
        print(f"\n| {run} | reached | allowed |\n|---|---|---|")
        for _, quantity, _ in QUANTITIES:
            if (quantity, run) in worst:
                error, tolerance = worst[quantity, run]
                print(f"| {quantity} | {error:.1e} | {tolerance:.0e} |")


if __name__ == "__main__":
    main()
