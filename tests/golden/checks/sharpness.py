"""Steps that look nearby for their gradient."""

import numpy as np

from dmg_tf.methods.inner_steps import values_of
from dmg_tf.methods.sharpness import Sharpness
from tests.golden.checks.files import entries_of, gradients, tensors


def sharpness(reference):
    """Compares a step of the baseline by SAM or SAGM."""
    meta = reference.meta
    model = reference.model("aggregate")
    model.sharpness = Sharpness(
        kind=meta["method"],
        radius=meta["radius"],
        alpha=meta.get("alpha", 1e-3),
    )
    weights, passes = model.network_weights(), []
    objective = model.objective

    def seen(*args):
        step = objective(*args)
        passes.append((values_of(weights), step.loss))
        return step

    model.objective = seen
    before = [np.array(w) for w in weights]
    logs = model.train_step(reference.batch())
    for weight, value in zip(weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    (_, first), (perturbed, second) = passes
    assert float(logs["loss"]) == float(first)
    entries = entries_of(model)
    return {
        "loss/total": first,
        "loss/perturbed": second,
        **tensors(entries, weights, perturbed, "perturbed/"),
        **gradients(model, entries),
    }


FILES = {"sam": sharpness, "sagm": sharpness}
