"""The reference values, and how far one may be from them."""

import json
import pathlib
import re

import numpy as np

FOLDER = pathlib.Path(__file__).parent

# (pattern of the key, what a table calls it, greatest relative error)
QUANTITIES = (
    (r"eval/|image/|noise/.*/logits", "predictions", 1e-4),
    (r"noise/.*/pooled", "pooled features", 1e-4),
    (r"(overlap|sparsity)_penalty/", "overlap, sparsity", 1e-4),
    (r"iou/", "IoU of binary masks", 1e-4),
    (r"train/0/logits", "logits, first step", 1e-4),
    (r"train/0/(cross_entropy|overlap|loss)", "losses, first step", 1e-4),
    (r"train/0/grad/mask/", "mask gradients", 5e-3),
    (r"train/0/gradnorm/", "gradient norms", 1e-3),
    (r"train/[1-9]/", "later steps", 1e-3),
    (r"final/mask/", "masks at the end", 1e-3),
    (r"final/eval/", "predictions at the end", 1e-3),
)

# Behind a ReLU, an activation that rounding moves across zero turns its whole
# gradient on or off, and Adam's first steps follow a gradient's sign however
# small it is. What such flips are worth was measured: float64 with nothing but
# the inputs and outputs of batch normalisation rounded to float32 is off plain
# float64 by 1.2e-2 in ResNet-50's mask gradients, 4.9e-3 in its gradient norms,
# 7.2e-3 in its second step, 4.8e-3 in its predictions at the end, and by 1.6e-3
# in gradient norms and 1.1e-3 in predictions at the end of ResNet-18. The
# reference is as far from float64 itself. Where that is more than the tolerance
# above, this holds; `float64` is the computation free of our own flips.
FLIPS = {
    ("dmg_resnet18", "gradient norms"): 4e-3,
    ("dmg_resnet18", "predictions at the end"): 4e-3,
    ("dmg_resnet18_three_layers", "mask gradients"): 3e-2,
    ("dmg_resnet18_three_layers", "gradient norms"): 4e-3,
    ("dmg_resnet18_three_layers", "predictions at the end"): 4e-3,
    ("dmg_resnet50", "mask gradients"): 4e-2,
    ("dmg_resnet50", "gradient norms"): 1e-2,
    ("dmg_resnet50", "later steps"): 2e-2,
    ("dmg_resnet50", "predictions at the end"): 2e-2,
    # The reference's first step on three layers has no flip before a mask.
    ("float64", "mask gradients"): 1e-5,
    ("float64", "predictions at the end"): 3e-3,
}


def golden_files() -> list[str]:
    """Returns the names of all files, without their ending."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def load(name):
    """Returns ({key: array}, meta) of a file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("meta")))


def quantity_of(key) -> tuple[str, float]:
    """Returns what a table calls a key's value, and its tolerance."""
    for pattern, quantity, tolerance in QUANTITIES:
        if re.match(pattern, key):
            return quantity, tolerance
    raise KeyError(f"no tolerance for {key!r}")


def tolerance_of(key, run) -> float:
    """Returns the tolerance of a key's value in a file, or in "float64"."""
    quantity, tolerance = quantity_of(key)
    return FLIPS.get((run, quantity), tolerance)


def relative_error(found, expected) -> float:
    """Returns the greatest difference, relative to the largest value."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        raise ValueError(f"shape {found.shape}, expected {expected.shape}")
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


def errors_of(found, expected) -> dict[str, float]:
    """Returns {key: relative error} of what was found."""
    return {
        key: relative_error(value, expected[key])
        for key, value in found.items()
    }


def assert_reproduced(found, expected, run) -> None:
    """Fails if a value is too far off, or is not compared at all.

    Args:
        found: {key: value} as computed here.
        expected: {key: value} of the file, of the same keys.
        run: The file's name, or "float64".
    """
    assert sorted(found) == sorted(expected)
    too_far = {
        key: error
        for key, error in errors_of(found, expected).items()
        # In this order a NaN is too far, too.
        if not error <= tolerance_of(key, run)
    }
    assert not too_far
