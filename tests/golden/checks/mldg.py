"""MLDG, as its authors and as DomainBed compute it."""

from unittest import mock

import numpy as np
import tensorflow as tf

from dmg_tf.methods.inner_steps import moved
from dmg_tf.methods.mldg import model as mldg_module
from tests.golden.checks.files import entries_of, gradients, tensors


def weighted(term):
    """Returns what a term adds to the loss."""
    weight, value = term
    return weight * value


def step_of(model, reference, order):
    """Takes a step with this order of sources; returns what was learned from.

    Returns:
        (the step, its logs, the values after the inner steps).
    """
    inputs, labels = reference.batch(by_domain=True)
    seen, fast = [], []
    objective = model.objective

    def kept(*args):
        seen.append(objective(*args))
        return seen[-1]

    def step(*args):
        fast.append(moved(*args))
        return fast[-1]

    with (
        mock.patch.object(model, "draw_order", lambda: tf.constant(order)),
        mock.patch.object(model, "objective", kept),
        mock.patch.object(mldg_module, "moved", step),
    ):
        logs = model.train_step((inputs, labels))
    return seen[0], logs, fast


def mldg(reference):
    """Compares a step, of second and of first order."""
    meta = reference.meta
    total = len(reference.domains)
    held_out = meta["meta_test_domain"]
    order = [*np.delete(np.arange(total), held_out), held_out]
    found = {}
    for name in ("first", "second"):
        model = reference.model(
            "mldg",
            mldg_inner_rate=meta["inner_step_size"],
            mldg_beta=meta["beta"],
            mldg_order=name,
        )
        step, logs, (fast,) = step_of(model, reference, np.int32(order))
        entries = entries_of(model)
        found |= gradients(model, entries, f"{name}_order/grad/")
    found |= tensors(entries, model.network_weights(), fast, "fast/")
    return {
        **found,
        "loss/meta_train": weighted(step.terms["cross_entropy"]),
        "loss/meta_test": logs["held_out"],
        "loss/total": logs["loss"],
    }


def mldg_domainbed(reference):
    """Compares steps with one and two sources held out."""
    found = {}
    for stage in ("meta_test_1", "meta_test_2"):
        model = reference.model(
            "mldg",
            mldg_variant="domainbed",
            mldg_inner_rate=reference.meta["learning_rate"],
            mldg_beta=reference.meta["beta"],
            mldg_held_out=int(stage.rpartition("_")[2]),
        )
        order = reference[f"{stage}/draw/domain_order"].astype(np.int32)
        _, logs, _ = step_of(model, reference, order)
        found[f"{stage}/loss/total"] = logs["loss"]
        found |= gradients(model, entries_of(model), f"{stage}/grad/")
    return found


FILES = {"mldg": mldg, "mldg_domainbed": mldg_domainbed}
