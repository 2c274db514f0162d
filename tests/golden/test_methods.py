"""Every value of the methods' reference files, by the product's own code."""

import numpy as np
import pytest

from tests.golden.checks import checks, errors_of, references
from tests.golden.checks.files import FOLDER


@pytest.mark.parametrize("name", references())
def test_a_step_is_the_reference_s(name):
    errors = errors_of(name)
    assert errors
    # In this order a NaN is too far, too.
    too_far = {key: e for key, e in errors.items() if not e[0] <= e[1]}
    assert not too_far


def test_every_file_is_compared_and_every_comparison_has_one():
    assert sorted(checks()) == references()


@pytest.mark.parametrize("key", ["loss/total", "grad/hidden.bias"])
def test_another_value_fails(tmp_path, key):
    changed = dict(np.load(FOLDER / "aggregate.npz"))
    changed[key] = changed[key] * (1 + 1e-4)
    np.savez(tmp_path / "aggregate.npz", **changed)
    errors = errors_of("aggregate", tmp_path)
    assert [k for k, (error, most) in errors.items() if error > most] == [key]


def test_a_key_that_is_not_compared_fails(tmp_path):
    changed = dict(np.load(FOLDER / "aggregate.npz"), more=1.0)
    np.savez(tmp_path / "aggregate.npz", **changed)
    with pytest.raises(AssertionError, match=r"not computed \['more'\]"):
        errors_of("aggregate", tmp_path)
