"""The reference values, and how far one may be from them."""

import json
import pathlib
import re

import numpy as np

from tests.golden import weights

FOLDER = pathlib.Path(__file__).parent

# (pattern of the key, what a table calls it, greatest error). An error is
# relative to the largest value, or for what training moved, in the mean and
# relative to the mean movement.
QUANTITIES = (
    (r"eval/|image/|noise/.*/logits", "predictions", 1e-4),
    (r"noise/.*/pooled", "pooled features", 1e-4),
    (r"(overlap|sparsity)_penalty/", "overlap, sparsity", 1e-4),
    (r"iou/", "IoU of binary masks", 1e-4),
    (r"train/0/logits", "logits, first step", 1e-4),
    (r"train/0/(cross_entropy|overlap|loss)", "losses, first step", 1e-4),
    (r"train/0/grad/mask/", "mask gradients", 5e-3),
    (r"train/0/gradnorm/", "gradient norms", 1e-3),
    (r"train/[1-9]/", "later steps", 2e-2),
    (r"final/mask/", "masks' movement", 1e-1),
    (r"final/eval/", "predictions' movement", 5e-2),
)

# Two things turn rounding into more than rounding. Behind a ReLU, an activation
# that rounding moves across zero turns its whole gradient on or off: of a
# ResNet-18's gradients in float32, those of a variable are off float64's by up
# to 7.8e-3 of their Euclidean norm, of a ResNet-50's by 3.4e-2, and so, at
# most, are their norms. And Adam's first steps follow a gradient's sign however
# small it is: a share p of the weights takes a step the other way, so that
# predictions move otherwise by up to 2 sqrt(p) of their movement. p is 4.0e-4
# for ResNet-18 (4e-2 of the movement), 5.1e-3 for ResNet-50 (1.4e-1), and for
# AlexNet, whose gradients have no such jump, 9e-8, or 1e-4 (2e-2) should one
# unit of a dense layer flip in a later step. The table above and this one allow
# for that whichever kernels compute; what is exact is asked of `FLOAT64`.
FLIPS = {
    ("dmg_resnet18", "mask gradients"): 4e-2,
    ("dmg_resnet18", "gradient norms"): 1e-2,
    ("dmg_resnet18_three_layers", "mask gradients"): 4e-2,
    ("dmg_resnet18_three_layers", "gradient norms"): 1e-2,
    ("dmg_resnet50", "mask gradients"): 4e-2,
    ("dmg_resnet50", "gradient norms"): 4e-2,
    ("dmg_resnet50", "later steps"): 5e-2,
    ("dmg_resnet50", "masks' movement"): 2e-1,
    ("dmg_resnet50", "predictions' movement"): 1.5e-1,
}

# In float64 nothing flips on our side, and what training gives is the same on
# every processor: these are the rounding of the reference itself, which
# computed in float32. What is reached is just below.
FLOAT64 = {
    name: dict(
        zip(
            (
                "logits, first step",
                "losses, first step",
                "mask gradients",
                "gradient norms",
                "later steps",
                "masks' movement",
                "predictions' movement",
            ),
            tolerances,
            strict=True,
        )
    )
    for name, tolerances in {
        "dmg_alexnet": (1e-6, 1e-6, 2e-6, 1e-6, 2e-5, 1e-5, 1e-4),
        "dmg_resnet18": (2e-6, 1e-6, 3e-3, 1e-3, 5e-4, 1.5e-2, 1.5e-3),
        "dmg_resnet18_three_layers": (
            *(2e-6, 1e-6, 4e-6, 1e-3, 5e-4, 3e-2, 1.5e-3),
        ),
        "dmg_resnet50": (2e-5, 1e-5, 1.5e-2, 5e-3, 1e-2, 0.12, 1.5e-3),
    }.items()
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


def tolerance_of(key, name, float64=False) -> float:
    """Returns the tolerance of a key's value in a file."""
    quantity, tolerance = quantity_of(key)
    if float64:
        return FLOAT64[name][quantity]
    return FLIPS.get((name, quantity), tolerance)


def values_before_training(name) -> dict:
    """Returns {key: value} of what `final/` says of a file, before training."""
    expected, meta = load(name)
    found = {}
    for key, value in expected.items():
        if key.startswith("final/mask/"):
            _, _, site, domain = key.split("/")
            found[key] = weights.mask_logits(
                site, domain, len(value), meta["seed"]
            )
        elif key.startswith("final/eval/"):
            found[key] = expected[key.removeprefix("final/")]
    return found


def relative_error(found, expected, before=None) -> float:
    """Returns the greatest difference, relative to the largest value.

    With the values before training, it is the mean difference relative to the
    mean movement: a value that was not moved is off by 1.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        raise ValueError(f"shape {found.shape}, expected {expected.shape}")
    off = np.abs(found - expected)
    if before is not None:
        return float(np.mean(off) / np.mean(np.abs(expected - before)))
    return float(np.max(off) / np.max(np.abs(expected)))


def errors_of(found, expected, name) -> dict[str, float]:
    """Returns {key: relative error} of what was found for a file."""
    before = values_before_training(name)
    return {
        key: relative_error(value, expected[key], before.get(key))
        for key, value in found.items()
    }


def assert_reproduced(found, expected, name, float64=False) -> None:
    """Fails if a value is too far off, or is not compared at all.

    Args:
        found: {key: value} as computed here.
        expected: {key: value} of the file, of the same keys.
        name: The file's.
        float64: Whether it was computed in float64.
    """
    assert sorted(found) == sorted(expected)
    too_far = {
        key: error
        for key, error in errors_of(found, expected, name).items()
        # In this order a NaN is too far, too.
        if not error <= tolerance_of(key, name, float64)
    }
    assert not too_far
