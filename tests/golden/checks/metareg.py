"""MetaReg."""

from unittest import mock

import tensorflow as tf

from dmg_tf.methods.inner_steps import stepped
from dmg_tf.methods.metareg import model as metareg_module
from tests.golden.checks.files import (
    entries_of,
    gradients,
    load_entries,
    tensors,
)


def metareg(reference):
    """Compares the inner steps, the meta-gradient and the final training."""
    meta = reference.meta
    model = reference.model("metareg", meta_steps=meta["inner_steps"])
    model.inner_learning_rate = meta["inner_step_size"]
    entries = entries_of(model)
    variables = model.network_weights("task_network")
    phi = dict(zip(map(id, variables), model.regularizer_weights, strict=True))
    of_phi = {
        f"regularizer.{name}": (phi[id(variable)], axes)
        for name, (variable, axes) in entries.items()
        if id(variable) in phi
    }
    load_entries(reference, of_phi)
    pair = meta["inner_domain"], meta["outer_domain"]
    inputs, labels = reference.batch()
    seen = {"losses": []}

    def steps(loss, values, *args):
        def counted(parameters):
            seen["losses"].append(loss(parameters))
            return seen["losses"][-1]

        seen["fast"] = stepped(counted, values, *args)
        return seen["fast"]

    gradient = []
    plain = model.meta_gradient

    def kept(*args):
        seen["outer"] = model.meta_loss(*args)
        seen["losses"].clear()
        gradient[:] = plain(*args)
        return gradient

    # The step goes its own way; what it hands on is looked at.
    with (
        mock.patch.object(model, "_pair", lambda step: map(tf.constant, pair)),
        mock.patch.object(metareg_module, "stepped", steps),
        mock.patch.object(model, "meta_gradient", kept),
        mock.patch.object(model, "_train_domain_networks"),
    ):
        logs = model.train_step((inputs, labels))
    found = {f"inner_loss/{i}": loss for i, loss in enumerate(seen["losses"])}
    return {
        **found,
        "loss/outer": seen["outer"],
        "loss/cross_entropy": logs["cross_entropy"],
        "loss/regularizer": logs["regularizer"],
        "loss/total": logs["loss"],
        **tensors(entries, variables, seen["fast"], "fast/"),
        **tensors(of_phi, model.regularizer_weights, gradient, "meta/grad/"),
        **gradients(model, entries),
    }


FILES = {"metareg": metareg}
