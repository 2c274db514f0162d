"""D-MTAE: the autoencoder's losses, on the arrays of its file."""

from unittest import mock

import numpy as np
import tensorflow as tf

from dmg_tf.methods.d_mtae.autoencoder import (
    Counterparts,
    Weights,
    encoded,
    penalty,
    rebuilt,
    reconstruction_losses,
    total_loss,
)

ACTIVATIONS = {"sigmoid": "sigmoid", "tanh_linear": "tanh"}
NAMES = ("kernel", "bias", "decoder_kernels", "decoder_biases")


def d_mtae(reference):
    """Compares codes, reconstructions, losses and gradients."""
    meta = reference.meta
    weights = Weights(*(tf.constant(reference[name]) for name in NAMES))
    counterparts = Counterparts.of(
        reference["features"],
        reference["labels"],
        reference["domain_ids"],
        meta["classes"],
        meta["domains"],
    )
    labels = reference["labels"]
    has = counterparts.counts[labels] > 0
    found = {
        "penalty": penalty(weights),
        "class_means": np.where(
            has[..., np.newaxis], counterparts.means[labels], 0.0
        ),
        "class_counts": counterparts.counts[labels],
    }
    for name, activation in ACTIVATIONS.items():
        found |= {
            f"{name}/{key}": value
            for key, value in values_of(
                reference, weights, counterparts, activation
            ).items()
        }
    return found


def values_of(reference, weights, counterparts, activation):
    """Returns what the file has of one pair of activations."""
    features = reference["features"]
    corrupted = features * reference["corruption"]
    codes = encoded(weights, corrupted, activation)
    found = {
        "code": encoded(weights, features, activation),
        "reconstructions": rebuilt(weights, codes, activation),
    }
    for key, (rows, targets, counts) in targets_of(
        reference, counterparts
    ).items():
        args = corrupted[rows], targets, counts, activation
        with tf.GradientTape() as tape:
            tape.watch(weights)
            total = total_loss(weights, *args, reference.meta["decay"])
        gradients = tape.gradient(total, weights)
        made = tf.gather(found["reconstructions"], rows)
        found |= {
            f"{key}/losses": reconstruction_losses(made, targets, counts),
            f"{key}/total": total,
            **{
                f"{key}/grad/{name}": gradient
                for name, gradient in zip(NAMES, gradients, strict=True)
            },
        }
    return found


def targets_of(reference, counterparts):
    """Returns {what is rebuilt: (rows, targets, how much they count)}."""
    labels, domain_ids = reference["labels"], reference["domain_ids"]
    rows = np.arange(len(labels))
    partner = reference["partner"]
    with mock.patch.object(
        Counterparts, "draw", lambda *_: tf.constant(np.maximum(partner, 0))
    ):
        drawn = counterparts.targets(rows, lots=np.zeros(partner.shape))
    np.testing.assert_array_equal(drawn[1], partner >= 0)
    # The file has the mean, or all images, in an image's own domain too.
    has = (counterparts.counts[labels] > 0).astype(float)
    same = labels[:, np.newaxis] == labels
    of_image, other = np.nonzero(same)
    counts = np.zeros((len(other), has.shape[1]))
    counts[np.arange(len(other)), domain_ids[other]] = 1
    counts /= np.maximum(counterparts.counts[labels][of_image], 1)
    every = np.repeat(
        reference["features"][other][:, np.newaxis], has.shape[1], axis=1
    )
    return {
        "partner": (rows, *drawn),
        "class_mean": (rows, counterparts.means[labels], has),
        "all_partners": (of_image, every, counts),
    }


FILES = {"d_mtae": d_mtae}
GIVEN = {
    "d_mtae": ("features", "corruption", "partner", *NAMES),
}
