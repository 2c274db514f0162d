"""What each method of this package computes for the methods' reference values.

A module here is named after a method, or after what wraps any, and has `FILES`:
{name of the file: function}. The function takes a `Reference` and returns {key
of the file: value computed by the product's own code}; every key that the
reference computed must be among them. `GIVEN`, where a module has it, names
further keys that are inputs: {name of the file: keys, or beginnings that end in
"/"}, and `TOLERANCES` {name of the file: {key, or beginning that ends in "/":
greatest relative error}} where 1e-5 is too little, with the reason beside it.

Networks compute in float64, as the reference did: in float32 a bias' gradient,
a sum of 768 values of both signs, is off by up to 1e-5 by rounding alone.
Methods cast logits to float32, so that 1e-7 is what can be reached.
"""

import contextlib
import importlib
import pkgutil

import numpy as np

from tests.golden.checks.files import FOLDER, Reference
from tests.golden.float64 import float64

TOLERANCE = 1e-5
HELPERS = ("features", "files", "tiny")


def checks():
    """Returns {name of the file: (function, module)}."""
    found = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name not in HELPERS:
            module = importlib.import_module(f"{__name__}.{info.name}")
            found |= {k: (f, module) for k, f in module.FILES.items()}
    return found


def references(folder=FOLDER) -> list[str]:
    """Returns the names of a folder's files, without their ending."""
    return sorted(path.stem for path in folder.glob("*.npz"))


def errors_of(
    name, folder=FOLDER, in_float64=True
) -> dict[str, tuple[float, float]]:
    """Returns {key: (relative error, tolerance)} of all that a file expects.

    An error is relative to the largest value of the array; where all are 0, it
    is the largest value found.

    Raises:
        AssertionError: If the keys that were computed are not the file's.
    """
    compute, module = checks()[name]
    reference = Reference(folder / f"{name}.npz")
    given = getattr(module, "GIVEN", {}).get(name, ())
    expected = reference.expected(given)
    with float64() if in_float64 else contextlib.nullcontext():
        found = compute(reference)
    missing = sorted(set(expected) - set(found))
    beside = sorted(set(found) - set(expected))
    assert not missing and not beside, (
        f"{name}: not computed {missing}, not in the file {beside}"
    )
    tolerances = getattr(module, "TOLERANCES", {}).get(name, {})
    return {
        key: (relative_error(found[key], value), _tolerance(key, tolerances))
        for key, value in expected.items()
    }


def relative_error(found, expected) -> float:
    """Returns the greatest difference relative to the largest value."""
    found = np.asarray(found, np.float64)
    expected = np.asarray(expected, np.float64)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    if not expected.size:
        return 0.0
    off = np.max(np.abs(found - expected))
    return float(off / (np.max(np.abs(expected)) or 1.0))


def _tolerance(key, tolerances) -> float:
    for start, tolerance in tolerances.items():
        if key == start or (start.endswith("/") and key.startswith(start)):
            return tolerance
    return TOLERANCE
