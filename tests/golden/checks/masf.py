"""MASF."""

from unittest import mock

import numpy as np
import tensorflow as tf

from dmg_tf.methods.masf import model as masf_module
from dmg_tf.methods.masf.losses import local_loss
from tests.golden.checks.files import (
    Watched,
    entries_of,
    gradients,
    layer_entries,
    load_entries,
    tensors,
)


def model_of(reference):
    """Returns the model with the file's settings and the metric entries."""
    meta = reference.meta
    layers = sum(k.startswith("param/metric.") for k in reference.arrays) // 2
    images = np.bincount(reference["domain_ids"])[0]
    model = reference.model(
        "masf",
        masf_inner_rate=meta["inner_step_size"],
        masf_clip=meta["clip"],
        masf_margin=meta["margin"],
        masf_temperature=meta["temperature"],
        masf_local=meta["metric_weight"],
        masf_global=meta["global_weight"],
        masf_metric_share=meta["metric_images_a_domain"] / images,
        masf_metric_units=tuple(
            len(reference[f"param/metric.{i}.bias"]) for i in range(layers)
        ),
    )
    metric = {}
    for index, layer in enumerate(model.metric_layers):
        metric |= layer_entries(layer, f"metric.{index}")
    load_entries(reference, metric)
    return model, metric


def masf(reference):
    """Compares every part of a step."""
    meta = reference.meta
    model, metric = model_of(reference)
    order = [*meta["meta_train_domains"], meta["meta_test_domain"]]
    task = Watched(model.task_gradients)
    inner = Watched(model.inner_step)
    clip = Watched(model.clipped)
    local = Watched(local_loss)
    objective = Watched(model.objective)
    with (
        mock.patch.object(
            model, "draw_order", lambda: tf.constant(order, tf.int32)
        ),
        mock.patch.object(model, "objective", objective),
        mock.patch.object(model, "task_gradients", task),
        mock.patch.object(model, "inner_step", inner),
        mock.patch.object(model, "clipped", clip),
        mock.patch.object(masf_module, "local_loss", local),
    ):
        logs = model.train_step(reference.batch(by_domain=True))
    network = entries_of(model)
    entries = network | metric
    weights = model.network_weights()
    both = [*weights, *model.metric_weights]
    ((embeddings, *_), _), *_ = local.calls
    ((raw_inner,), _), ((raw_meta,), clipped) = clip.calls

    ((_, step),) = objective.calls
    behind = [step.terms[name] for name in ("global", "local")]

    def of_network(values, prefix):
        return tensors(network, weights, values, prefix)

    def of_both(values, prefix):
        values = [
            np.zeros(variable.shape) if x is None else x
            for variable, x in zip(both, values, strict=True)
        ]
        return tensors(entries, both, values, prefix)

    return {
        "loss/task": logs["cross_entropy"],
        "loss/global": logs["global"],
        "loss/local": logs["local"],
        "loss/meta": sum(weight * value for weight, value in behind),
        "embeddings": embeddings,
        **of_network(inner.calls[0][1], "fast/"),
        **of_network(raw_inner, "inner/grad/"),
        **of_network(task.calls[0][1][2], "task/grad/"),
        **of_both(raw_meta, "meta/grad/"),
        **of_both(clipped, "meta_clipped/grad/"),
        **gradients(model, entries),
    }


FILES = {"masf": masf}
