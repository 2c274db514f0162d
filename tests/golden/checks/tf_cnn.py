"""TF-CNN: the decomposition and the layer, on the arrays of its file."""

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.backbones.blocks import PaddedConv2D
from dmg_tf.methods.tf_cnn.tucker import (
    TuckerLayer,
    compose,
    hosvd,
    singular_vectors,
    under,
)


def tf_cnn(reference):
    """Compares both layers, and the tensor of one pretrained kernel."""
    kernel = reference["pretrained/kernel"]
    domains = len(reference["descriptors"])
    stack = np.stack([*[np.zeros_like(kernel)] * domains, kernel], axis=-1)
    return {
        "pretrained/domain_singular": singular_vectors(stack, 2)[1],
        **layer_values(reference, "dense"),
        **layer_values(reference, "conv"),
    }


def layer_values(reference, kind):
    """Returns what the file has of one layer."""
    tensor, ranks = reference[f"{kind}/tensor"], reference[f"{kind}/ranks"]
    core, factors = hosvd(tensor, ranks)
    low_rank = compose(core, factors)
    layer = layer_of(reference, tensor, core, factors)
    # Signs of vectors are free: what is compared has the file's.
    of_file = [reference[f"{kind}/factor_{m}"] for m in range(len(ranks))]
    found = {
        "low_rank": low_rank,
        "parameters": [
            tensor.size,
            core.size + sum(factor.size for factor in factors),
        ],
    }
    signs = [
        np.sign(np.sum(own * theirs, axis=0))
        for own, theirs in zip(factors, of_file, strict=True)
    ]
    found["core"] = compose(core, [np.diag(s) for s in signs])
    for mode, (factor, sign) in enumerate(zip(factors, signs, strict=True)):
        found[f"factor_{mode}"] = factor * sign
        found[f"singular_{mode}"] = singular_vectors(tensor, mode)[1]
    kernels = layer.kernels()
    found["agnostic_weights"] = kernels[..., -1]
    found["domain_weights"] = np.stack(
        [kernels @ z for z in reference["descriptors"]]
    )
    found |= outputs(reference, kind, layer)
    if f"{kind}/loss" in reference.arrays:
        layer = layer_of(reference, tensor, reference[f"{kind}/core"], of_file)
        found |= gradients(reference, kind, layer)
    return {f"{kind}/{key}": value for key, value in found.items()}


def layer_of(reference, tensor, core, factors):
    """Returns the layer with these factors; spatial ones go into its core."""
    inputs, outputs = tensor.shape[-3:-1]
    *spatial, own_inputs, own_outputs, own_domains = factors
    plain = keras.layers.Dense(outputs, use_bias=False)
    if spatial:
        plain = PaddedConv2D(
            outputs, len(tensor), pixels=len(tensor) // 2, use_bias=False
        )
    layer = TuckerLayer(
        plain, len(reference["descriptors"]), lambda *_: core.shape[-3:]
    )
    layer.build((None, *[None] * len(spatial), inputs))
    layer.core.assign(compose(core, [*spatial, None, None, None]))
    layer.factor_in.assign(own_inputs)
    layer.factor_out.assign(own_outputs)
    layer.factor_domain.assign(own_domains)
    return layer


def descriptors(reference):
    """Returns [B, D + 1] of the file's images."""
    return tf.constant(reference["descriptors"][reference["domain_ids"]])


def outputs(reference, kind, layer):
    """Returns the layer's outputs under own and common kernels."""
    inputs = tf.constant(reference[f"{kind}/inputs"])
    with under(descriptors(reference)):
        own = layer(inputs)
    return {"outputs": own, "agnostic_outputs": layer(inputs)}


def gradients(reference, kind, layer):
    """Returns half the sum of squares of the outputs, and its gradients."""
    with tf.GradientTape() as tape, under(descriptors(reference)):
        found = layer(tf.constant(reference[f"{kind}/inputs"]))
        loss = tf.reduce_sum(found**2) / 2
    names = ("core", "factor_in", "factor_out", "factor_domain")
    values = tape.gradient(loss, [getattr(layer, name) for name in names])
    keys = ("core", "factor_0", "factor_1", "factor_2")
    return {
        "loss": loss,
        **{f"grad/{k}": v for k, v in zip(keys, values, strict=True)},
    }


FILES = {"tf_cnn": tf_cnn}
GIVEN = {
    "tf_cnn": (
        "descriptors",
        "agnostic_descriptor",
        "dense/tensor",
        "conv/tensor",
        "dense/inputs",
        "conv/inputs",
        "pretrained/kernel",
        # A layer's ranks are its shape here, set before it has a kernel; the
        # file takes the smallest within a tolerance.
        "dense/ranks",
        "conv/ranks",
    )
}
