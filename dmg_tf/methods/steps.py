"""What a forward pass gives, and what one update learned from."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf


class Outputs(NamedTuple):
    """A forward pass.

    Attributes:
        logits: float32 [B, C].
        hidden: [B, F], what the last layer took.
        entry: [B, ...], what the task network took.
    """

    logits: tf.Tensor
    hidden: tf.Tensor
    entry: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Step:
    """What one update learned from.

    Attributes:
        logits: float32 [B, C] of the batch, for the training accuracy; [R, C]
            where `rows` says of which images.
        terms: {name: (weight, value)} of all that the loss is the sum of, the
            cross entropy first.
        metrics: {name: value} to be reported beside, e.g. the accuracy of a
            domain classifier. Names are those of the spec's `metrics`.
        rows: int32 [R], the images of the batch that the logits are of; None
            for all, in their order.
    """

    logits: tf.Tensor
    terms: dict[str, tuple[float, tf.Tensor]]
    metrics: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)
    rows: tf.Tensor | None = None

    @property
    def loss(self) -> tf.Tensor:
        """The sum of the weighted terms, a float32 scalar."""
        (weight, loss), *others = self.terms.values()
        loss = weight * loss
        for weight, value in others:
            loss += weight * value
        return loss


def mean_loss(each, weights=None):
    """Returns the mean over images, a scalar.

    Args:
        each: float [B].
        weights: float [B], how much each image counts, or None. The sum is
            divided by the number of images all the same.
    """
    if weights is not None:
        each *= tf.cast(weights, each.dtype)
    return tf.reduce_mean(each)


def cross_entropies(labels, logits):
    """Returns the cross entropy of each image, float32 [B].

    Args:
        labels: int [B], or float [B, C] of shares.
        logits: float32 [B, C].
    """
    if len(labels.shape) == len(logits.shape):
        return tf.nn.softmax_cross_entropy_with_logits(labels, logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def accuracy(labels, logits):
    """Returns the share of images whose class is told, a float32 scalar.

    Args:
        labels: int [B], or float [B, C] of shares.
        logits: float [B, C].
    """
    if len(labels.shape) == len(logits.shape):
        labels = tf.argmax(labels, axis=-1)
    hits = tf.cast(labels, tf.int64) == tf.argmax(logits, axis=-1)
    return tf.reduce_mean(tf.cast(hits, tf.float32))


def step_key(seed: int, step):
    """Returns what a step's draws are a function of, int64 [2].

    Args:
        seed: The run's.
        step: int scalar, number of the step.
    """
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
