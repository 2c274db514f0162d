"""RSC: classes learned without the features that tell them best."""

from typing import NamedTuple

import keras
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.replicas import gathered
from dmg_tf.methods.rsc.spec import SPEC
from dmg_tf.methods.steps import Step


@keras.saving.register_keras_serializable("dmg_tf")
class RSC(DomainModel):
    """Mutes the features that say most for an image's class, in some images.

    Huang, Wang, Xing and Huang, "Self-Challenging Improves Cross-Domain
    Generalization", ECCV 2020, in DomainBed's form, on the features f that the
    last layer takes. In a step,

    1. g = ∂z_y/∂f, for each image; as the last layer is linear, that is its
       class's column of the kernel;
    2. `muted` features are a third, those with the largest g;
    3. the change is p_y with all features less p_y without these;
    4. the third of the batch that changes most keeps these features muted, all
       other images have all of theirs;
    5. the cross entropy of that is minimised; no gradient goes through 1 to 4.

    Differs: nothing from DomainBed. The authors' code is another algorithm: on
    the last map of 7 x 7 it mutes places or channels, by a coin for the whole
    batch, for a share of images that grows over the run, and doubles each batch
    by its mirror image. It is not here, as its percentiles and schedule are
    fixed to that map and that run.

    The batch is that of all replicas. Accuracy in training is with all
    features.
    """

    spec = SPEC

    def objective(self, inputs, labels, weights=None):
        """Returns the cross entropy of features, muted where that hurts."""
        logits, hidden, _ = self.forward(inputs, training=True)
        kept = self.kept(logits, hidden, labels)
        challenged = self._classified(hidden * tf.cast(kept.mask, hidden.dtype))
        loss = self.cross_entropy(labels, challenged, weights)
        return Step(
            logits,
            {"cross_entropy": (1.0, loss)},
            {
                "whole_cross_entropy": self.cross_entropy(
                    labels, logits, weights
                ),
                "change": tf.reduce_mean(kept.change),
            },
        )

    def kept(self, logits, hidden, labels) -> "Kept":
        """Returns what each image keeps, all of it constant.

        Args:
            logits: float32 [B, C], of all features.
            hidden: [B, F], the features.
            labels: int [B], or float [B, C] of shares.
        """
        if len(labels.shape) == 1:
            labels = tf.one_hot(labels, self.num_classes)
        labels = tf.cast(labels, tf.float32)
        kernel = tf.cast(self.task_network.stages[-1].kernel, tf.float32)
        slopes = tf.matmul(labels, kernel, transpose_b=True)  # [B, F]
        features = lies_below(slopes, 1.0 - self.options.rsc_feature_share)
        without = self._classified(hidden * tf.cast(features, hidden.dtype))
        before, after = (
            tf.reduce_sum(tf.nn.softmax(z) * labels, axis=-1)
            for z in (logits, without)
        )
        change = before - after
        spared = lies_below(
            change, 1.0 - self.options.rsc_batch_share, gathered(change)
        )
        mask = tf.logical_or(features, spared[:, tf.newaxis])
        return Kept(*map(tf.stop_gradient, (features, change, spared, mask)))

    def _classified(self, hidden):
        return tf.cast(self.task_network.stages[-1](hidden), tf.float32)


class Kept(NamedTuple):
    """What a step leaves to each image.

    Attributes:
        features: bool [B, F], the features that say less for the class.
        change: float32 [B], by how much p_y falls with these alone.
        spared: bool [B], the images that keep all features.
        mask: bool [B, F], either of both.
    """

    features: tf.Tensor
    change: tf.Tensor
    spared: tf.Tensor
    mask: tf.Tensor


def lies_below(x, share: float, among=None):
    """Returns which values are below a percentile, linear between two values.

    Strictly, and by their order alone: were the percentile computed, rounding
    would decide on the value that it falls upon (of 16 features at 2/3, the
    eleventh; NumPy's in float64 is just above it, and so it is kept).

    Args:
        x: float [..., N].
        share: Of the percentile, in [0, 1]; 1 is the largest value.
        among: float [..., M], what it is the percentile of; None for x.

    Returns:
        bool [..., N].
    """
    ordered = tf.sort(x if among is None else among, axis=-1)
    last = tf.shape(ordered)[-1] - 1
    place = share * tf.cast(last, tf.float64)
    below = tf.cast(tf.floor(place), tf.int32)
    low, high = (
        tf.gather(ordered, [i], axis=-1)
        for i in (below, tf.minimum(below + 1, last))
    )
    between = tf.logical_and(place > tf.floor(place), high > low)
    return tf.logical_or(x < low, tf.logical_and(between, x == low))
