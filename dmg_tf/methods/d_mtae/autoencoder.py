"""The multi-task autoencoder: one encoder, a decoder a domain."""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dmg_tf.methods.closed_form import Moments

_BATCH = 64
# RMSprop's, as the authors train.
_KEPT, _EPSILON = 0.9, 1e-6


class Weights(NamedTuple):
    """The weights of an autoencoder.

    Attributes:
        kernel: [F, H], the encoder's.
        bias: [H].
        decoder_kernels: [D, H, F].
        decoder_biases: [D, F].
    """

    kernel: tf.Tensor
    bias: tf.Tensor
    decoder_kernels: tf.Tensor
    decoder_biases: tf.Tensor


def encoded(weights: Weights, features, activation: str):
    """Returns the codes [B, H] of features [B, F]."""
    function = {"tanh": tf.tanh, "sigmoid": tf.sigmoid}[activation]
    return function(tf.matmul(features, weights.kernel) + weights.bias)


def rebuilt(weights: Weights, codes, activation: str):
    """Returns what each decoder makes of codes [B, H]: [B, D, F]."""
    found = tf.einsum("bh,dhf->bdf", codes, weights.decoder_kernels)
    found += weights.decoder_biases
    return tf.sigmoid(found) if activation == "sigmoid" else found


def reconstruction_losses(found, targets, counts):
    """Returns the mean squared distance from its targets of each decoder.

    Args:
        found: [B, D, F].
        targets: [B, D, F].
        counts: [B, D]: how much a target counts; 0 where an image has none.

    Returns:
        J [D]: means over images, sums over features; 0 where nothing counts.
    """
    distances = tf.reduce_sum((found - targets) ** 2, axis=-1)
    return tf.math.divide_no_nan(
        tf.reduce_sum(counts * distances, axis=0), tf.reduce_sum(counts, axis=0)
    )


def penalty(weights: Weights):
    """Returns the squared weights of encoder and decoders, without biases."""
    return tf.reduce_sum(weights.kernel**2) + tf.reduce_sum(
        weights.decoder_kernels**2
    )


@dataclasses.dataclass(frozen=True)
class Counterparts:
    """What the decoders rebuild: each image's counterpart in every domain.

    In its own domain that is the image itself. A class that a domain lacks has
    none there.

    Attributes:
        features: [N, F], of all images.
        labels: int32 [N].
        domain_ids: int32 [N].
        means: [C, D, F], of the images of a class in a domain.
        counts: [C, D], how many these are.
        order: int32 [N]: images by class, and by domain within it.
        starts: int32 [C, D]: where in this order a class in a domain begins.
    """

    features: np.ndarray
    labels: np.ndarray
    domain_ids: np.ndarray
    means: np.ndarray
    counts: np.ndarray
    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, features, labels, domain_ids, num_classes, num_domains):
        """Returns those of given images, in the dtype of their features."""
        moments = Moments(
            num_classes, num_domains, [(features, labels, domain_ids)]
        )
        counts, dtype = moments.counts, features.dtype
        starts = np.cumsum(counts).reshape(counts.shape) - counts
        return cls(
            features,
            np.asarray(labels, np.int32),
            np.asarray(domain_ids, np.int32),
            moments.class_means.astype(dtype),
            counts.astype(dtype),
            np.lexsort((domain_ids, labels)).astype(np.int32),
            starts.astype(np.int32),
        )

    def draw(self, labels, lots):
        """Draws an image of the same class in each domain.

        Args:
            labels: int [B].
            lots: [B, D], in [0, 1).

        Returns:
            int32 [B, D], rows of `features`; any where there is none.
        """
        counts = tf.gather(self.counts, labels)
        places = tf.cast(tf.floor(lots * counts), tf.int32)
        places += tf.gather(self.starts, labels)
        return tf.gather(self.order, tf.minimum(places, len(self.order) - 1))

    def targets(self, rows, lots=None):
        """Returns what the decoders are to make of some images.

        Args:
            rows: int [B], rows of `features`.
            lots: [B, D], in [0, 1), for an image drawn of each domain; None for
                the mean of the class there.

        Returns:
            [B, D, F], and how much they count, [B, D]: 1, or 0 where there is
            none.
        """
        labels = tf.gather(self.labels, rows)
        counts = tf.gather(self.counts, labels)
        if lots is None:
            targets = tf.gather(self.means, labels)
        else:
            targets = tf.gather(self.features, self.draw(labels, lots))
        own = tf.one_hot(tf.gather(self.domain_ids, rows), counts.shape[1])
        own = own[..., tf.newaxis] > 0
        image = tf.gather(self.features, rows)[:, tf.newaxis]
        return (
            tf.where(own, image, targets),
            tf.cast(counts > 0, targets.dtype),
        )


def total_loss(weights, features, targets, counts, activation, decay):
    """Returns the sum over decoders, and the weighted squares.

    Args:
        weights: `Weights`.
        features: [B, F], corrupted.
        targets: [B, D, F].
        counts: [B, D].
        activation: "tanh" or "sigmoid".
        decay: η.
    """
    found = rebuilt(weights, encoded(weights, features, activation), activation)
    losses = reconstruction_losses(found, targets, counts)
    return tf.reduce_sum(losses) + decay * penalty(weights)


def first_weights(features: int, width: int, domains: int, seed: int):
    """Returns weights drawn as Glorot and Bengio do, and biases of zero."""
    limit = np.sqrt(6 / (features + width))
    rng = np.random.default_rng(seed)

    def drawn(*shape):
        return tf.constant(rng.uniform(-limit, limit, shape), tf.float32)

    return Weights(
        drawn(features, width),
        tf.zeros(width),
        drawn(domains, width, features),
        tf.zeros((domains, features)),
    )


def fitted(counterparts: Counterparts, options, seed: int) -> Weights:
    """Trains an autoencoder from fresh weights.

    Args:
        counterparts: Of all images, features standardised.
        options: The method's.
        seed: Weights, order and corruption are functions of it.
    """
    num_images, features = counterparts.features.shape
    weights = first_weights(
        features,
        options.d_mtae_width,
        counterparts.counts.shape[1],
        seed,
    )
    squares = [tf.zeros_like(w) for w in weights]
    step = tf.function(
        lambda *state: _step(counterparts, options, seed, *state),
        autograph=False,
    )
    rng = np.random.default_rng([seed, 1])
    number = 0
    for _ in range(options.d_mtae_epochs):
        order = rng.permutation(num_images).astype(np.int32)
        for start in range(0, num_images, _BATCH):
            rows = tf.constant(order[start : start + _BATCH])
            weights, squares = step(weights, squares, rows, tf.constant(number))
            number += 1
    return weights


def _step(counterparts, options, seed, weights, squares, rows, number):
    """Takes a step of RMSprop; returns weights and running squares."""
    features = tf.gather(counterparts.features, rows)
    place = tf.stack([seed, number])
    kept = tf.random.stateless_uniform(tf.shape(features), place)
    corrupted = tf.where(kept < options.d_mtae_corruption, 0.0, features)
    lots = None
    if options.d_mtae_targets == "partner":
        shape = [tf.shape(rows)[0], counterparts.counts.shape[1]]
        lots = tf.random.stateless_uniform(shape, place + [1, 0])
    targets, counts = counterparts.targets(rows, lots)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = total_loss(
            weights,
            corrupted,
            targets,
            counts,
            options.d_mtae_activation,
            options.d_mtae_decay,
        )
    gradients = tape.gradient(loss, weights)
    squares = [
        _KEPT * old + (1 - _KEPT) * g**2
        for old, g in zip(squares, gradients, strict=True)
    ]
    rate = options.d_mtae_learning_rate
    moved = [
        w - rate * g / tf.sqrt(square + _EPSILON)
        for w, g, square in zip(weights, gradients, squares, strict=True)
    ]
    return Weights(*moved), squares
