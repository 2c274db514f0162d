"""Fusion: its mixtures, loss and gradients on given features."""

import numpy as np
import tensorflow as tf

from dmg_tf.methods.build import build_model
from tests.golden.checks.features import SIDE, as_images, features_backbone

INPUTS = ("features", "heads_kernel", "heads_bias")
INPUTS += ("domain_kernel", "domain_bias")
# How each of the file's mixtures is asked for; equal weights are α = 1.
VARIANTS = {
    "predicted": {"fusion_weights": "predicted"},
    "known": {"fusion_weights": "known"},
    "uniform": {"fusion_weights": "known", "fusion_equal_share": 1.0},
}


def made(reference, **options):
    """Returns a model with the file's heads and domain classifier."""
    kernels, biases = reference["heads_kernel"], reference["heads_bias"]
    options = {
        "fusion_equal_share": reference.meta["alpha"],
        "fusion_domain_weight": reference.meta["domain_loss_weight"],
        **options,
    }
    with features_backbone(kernels.shape[1]):
        model = build_model(
            "fusion",
            "features",
            biases.shape[1],
            [str(d) for d in range(len(biases))],
            image_size=SIDE,
            **options,
        )
    heads = model.task_network.stages[-1].layers
    for head, kernel, bias in zip(heads, kernels, biases, strict=True):
        head.kernel.assign(kernel)
        head.bias.assign(bias)
    model.gate.kernel.assign(reference["domain_kernel"])
    model.gate.bias.assign(reference["domain_bias"])
    return model


def variant(reference, name):
    """Returns what one mixture gives."""
    model = made(reference, **VARIANTS[name])
    heads = model.task_network.stages[-1].layers
    images = tf.convert_to_tensor(as_images(reference["features"]))
    ids = tf.constant(reference["domain_ids"], tf.int32)
    inputs = {"image": images, "domain_ids": ids}
    given = []

    def weights_of(shares, plain=model.weights_of):
        given.append(plain(shares))
        return given[-1]

    model.weights_of = weights_of
    kernels = [head.kernel.value for head in heads]
    biases = [head.bias.value for head in heads]
    gate = [model.gate.kernel.value, model.gate.bias.value]
    labels = reference["labels"].astype(np.int32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        step = model.objective(inputs, labels)
        loss = step.loss
    found = tape.gradient(loss, [images, kernels, biases, gate])
    width = reference["features"].shape[1]
    by_input = (
        tf.reshape(found[0], [len(labels), -1])[:, :width],
        tf.stack(found[1]),
        tf.stack(found[2]),
        *found[3],
    )
    values = {
        "weights": given[0],
        "logits": step.logits,
        "loss": loss,
        **{f"grad/{k}": v for k, v in zip(INPUTS, by_input, strict=True)},
    }
    cross_entropy = step.terms["domain_loss"][1]
    return {f"{name}/{k}": v for k, v in values.items()}, cross_entropy


def fusion(reference):
    """Compares scores, mixtures, losses and gradients."""
    model = made(reference)
    images = as_images(reference["features"])
    outputs, domain_logits = model.scores({"image": images})
    found = {
        "per_head": outputs.logits,
        "domain_logits": domain_logits,
        "predicted_weights": tf.nn.softmax(domain_logits),
    }
    for name in VARIANTS:
        values, found["domain_cross_entropy"] = variant(reference, name)
        found |= values
    return found


FILES = {"fusion": fusion}
GIVEN = {"fusion": INPUTS}
