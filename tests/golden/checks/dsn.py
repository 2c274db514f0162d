"""DSN: its losses, in every form, on given codes and images."""

import functools
from unittest import mock

import numpy as np
import tensorflow as tf

from dmg_tf.methods.build import build_model
from dmg_tf.methods.dsn import losses
from dmg_tf.methods.dsn import model as dsn_module
from tests.golden.checks.features import SIDE, features_backbone

GIVEN = {
    "dsn": (
        *("shared", "private", "target", "reconstruction"),
        *("kernel_1", "bias_1", "kernel_2", "bias_2", "similarity/sigmas"),
    )
}
ONE_WIDTH = [4.0]


def with_gradients(reference, key, loss, names) -> dict:
    """Returns a loss of the file's arrays, and its gradients by them."""
    inputs = [tf.constant(reference[name]) for name in names]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = loss(*inputs)
    found = tape.gradient(value, inputs)
    return {key: value} | {
        f"{key}/grad/{name}": gradient
        for name, gradient in zip(names, found, strict=True)
    }


def differences(reference):
    """Returns all forms of the difference."""
    ids, found = reference["domain_ids"].astype(np.int32), {}
    for form in ("printed", "authors", "port"):
        loss = functools.partial(
            losses.difference, domain_ids=tf.constant(ids), form=form
        )
        found |= with_gradients(
            reference, f"difference/{form}", loss, ("shared", "private")
        )
    return found


def reconstructions(reference):
    """Returns all forms of the reconstruction."""
    target = tf.constant(reference["target"])
    rebuilt = tf.constant(reference["reconstruction"])
    count = len(target)

    def of(form):
        return lambda x: losses.reconstruction(target, x, form)

    def mean_of_pairs(x):
        return of("authors")(x) / count

    found = {
        "si_mse_each": losses.scale_invariant(target, rebuilt),
        "si_mse_sum": count * of("scale_invariant")(rebuilt),
        "pairwise_sum": of("authors")(rebuilt),
        "port_sum_term": of("port")(rebuilt) - of("mse")(rebuilt),
    }
    found = {f"reconstruction/{key}": value for key, value in found.items()}
    for name, loss in (
        ("si_mse", of("scale_invariant")),
        ("pairwise", mean_of_pairs),
        ("mse", of("mse")),
    ):
        found |= with_gradients(
            reference, f"reconstruction/{name}", loss, ("reconstruction",)
        )
    return found


def discrepancies(reference):
    """Returns the MMD with the authors' widths, and with one."""
    ids = tf.constant(reference["domain_ids"], tf.int32)
    found = {}
    for name, widths in (
        ("mmd_authors", reference["similarity/sigmas"]),
        ("mmd_one", ONE_WIDTH),
    ):
        pairs = functools.partial(
            losses.mmd_of_pairs,
            domain_ids=ids,
            num_domains=reference.meta["domains"],
            widths=widths,
        )
        key = f"similarity/{name}"
        found[f"{key}_pairs"] = pairs(tf.constant(reference["shared"]))
        found |= with_gradients(
            reference,
            key,
            lambda codes, pairs=pairs: tf.reduce_mean(pairs(codes)),
            ("shared",),
        )
    return found


def adversary(reference):
    """Returns what the adversary gives, behind a reversal of strength 1."""
    width = reference["kernel_1"].shape[0]
    with features_backbone(width):
        model = build_model(
            "dsn",
            "features",
            2,
            [str(d) for d in range(reference.meta["domains"])],
            image_size=SIDE,
            dsn_adversary_width=reference["kernel_1"].shape[1],
        )
    names = ("kernel_1", "bias_1", "kernel_2", "bias_2")
    variables = model.adversary.trainable_variables
    for variable, name in zip(variables, names, strict=True):
        variable.assign(reference[name])
    values = [variable.value for variable in variables]
    shared = tf.constant(reference["shared"])
    ids = tf.constant(reference["domain_ids"], tf.int32)
    model.total_steps = 1
    model.compile("sgd")
    with (
        mock.patch.object(dsn_module, "ramp", lambda share: 1.0),
        tf.GradientTape() as tape,
    ):
        tape.watch(shared)
        _, loss, _ = model.similarity(shared, ids)
    of_shared, *gradients = tape.gradient(loss, [shared, *values])
    key = "similarity/dann"
    return {
        key: loss,
        f"{key}/logits": model.adversary(shared),
        f"{key}/grad/shared_reversed": of_shared,
        **{
            f"{key}/grad/{name}": gradient
            for name, gradient in zip(names, gradients, strict=True)
        },
    }


def dsn(reference):
    """Compares all losses and their gradients."""
    return {
        **differences(reference),
        **reconstructions(reference),
        **discrepancies(reference),
        **adversary(reference),
    }


FILES = {"dsn": dsn}
