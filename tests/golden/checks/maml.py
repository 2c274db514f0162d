"""MAML on domains."""

from unittest import mock

import numpy as np
import tensorflow as tf

from dmg_tf.methods.by_domain import mean_losses
from dmg_tf.methods.maml import model as maml_module
from tests.golden.checks.files import entries_of, gradients


def halves_in_turn(ids):
    """Returns rows that take turns: of the domains, and of a domain's halves.

    The file has the images to adapt with first, the model takes every other.
    """
    rows = []
    for domain in np.unique(ids):
        own = np.flatnonzero(ids == domain)
        rows.append(own.reshape(2, -1).T.reshape(-1))
    return np.stack(rows, axis=1).reshape(-1)


def maml(reference):
    """Compares a step, of second and of first order."""
    meta = reference.meta
    inputs, labels = reference.batch()
    rows = halves_in_turn(reference["domain_ids"])
    inputs = {name: x[rows] for name, x in inputs.items()}
    found = {}
    for name in ("first", "second"):
        model = reference.model(
            "maml",
            maml_inner_rate=meta["inner_step_size"],
            maml_inner_steps=meta["inner_steps"],
            maml_order=name,
        )
        seen = []

        def losses(*args, seen=seen):
            seen.extend(mean_losses(*args))
            return seen[-1:]

        with mock.patch.object(maml_module, "mean_losses", losses):
            logs = model.train_step((inputs, labels[rows]))
        found |= gradients(model, entries_of(model), f"{name}_order/grad/")
    # Of a domain: one loss an inner step, then that of the other half.
    by_domain = tf.reshape(seen, [-1, meta["inner_steps"] + 1])
    return {
        **found,
        "loss/support_by_domain": by_domain[:, 0],
        "loss/query_by_domain": by_domain[:, -1],
        "loss/total": logs["loss"],
    }


FILES = {"maml": maml}
