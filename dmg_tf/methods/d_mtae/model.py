"""D-MTAE: an autoencoder that rebuilds what an image is in each domain."""

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.methods.closed_form import Moments, ridge
from dmg_tf.methods.d_mtae.autoencoder import (
    Counterparts,
    Weights,
    encoded,
    fitted,
)
from dmg_tf.methods.d_mtae.spec import SPEC
from dmg_tf.methods.fitted_head import FittedHeadModel, Head


class CodeHead(Head):
    """Logits of the codes of features.

    Args:
        width: Units of the code, H.
        num_classes: Number of classes C.
        activation: The encoder's, "tanh" or "sigmoid".

    Weights:
        encoder_kernel: [F, H] and encoder_bias: [H], of features as they are.
        kernel: [H, C]; bias: [C].
    """

    def __init__(self, width: int, num_classes: int, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.width, self.num_classes = width, num_classes
        self.activation = activation

    def build(self, shape):
        """Makes the weights for features [B, F]."""
        super().build(shape)
        self.encoder_kernel = self.add_fitted(
            "encoder_kernel", (shape[-1], self.width)
        )
        self.encoder_bias = self.add_fitted("encoder_bias", (self.width,))
        self.kernel = self.add_fitted("kernel", (self.width, self.num_classes))
        self.bias = self.add_fitted("bias", (self.num_classes,))

    def codes(self, hidden):
        """Returns the codes [B, H] of features [B, F]."""
        weights = Weights(self.encoder_kernel, self.encoder_bias, None, None)
        return encoded(weights, hidden, self.activation)

    def scores(self, hidden):
        """Returns [B, C] of features [B, F]."""
        return tf.matmul(self.codes(hidden), self.kernel) + self.bias


@keras.saving.register_keras_serializable("dmg_tf")
class DMTAE(FittedHeadModel):
    """Predicts by a classifier on codes that serve to rebuild all domains.

    Ghifary, Kleijn, Zhang and Balduzzi, "Domain Generalization for Object
    Recognition with Multi-task Autoencoders", ICCV 2015; a row of Table 6 of
    the paper, there on features of a network that is not trained with it
    (`--epochs 0`). Here the network trains on all sources, and before each
    validation, on features of all source images, unaugmented,

    1. an autoencoder with a decoder a domain is trained from fresh weights:
       from an image's features, some of them set to zero, each decoder rebuilds
       the image's counterpart in its domain;
    2. a ridge regression of the labels on the codes of features as they are
       gives a linear classifier, whose scores are multiplied by one number that
       makes their softmax fit the sources' validation images.

    Differs: the counterpart is the mean of the image's class in the domain
    unless told otherwise: that has the same expected gradient as images drawn
    at random and less noise; the decoders learn together, as the paper has it,
    where the authors' code takes one after the other; a decoder's loss is a
    mean over images that have a counterpart, so that small domains count as
    much as large ones; decoders are linear and the encoder tanh, as features
    of a network are not between 0 and 1; the classifier is a ridge regression.

    Weights, besides the network's, none of them trained by the optimiser:
        head: A `CodeHead`. Decoders are not kept.

    Randomness:
        A fit is a function of the seed and the features. All of these are in
        memory meanwhile.
    """

    spec = SPEC

    def make_head(self):
        """Returns the encoder with its classifier."""
        return CodeHead(
            self.options.d_mtae_width,
            self.num_classes,
            self.options.d_mtae_activation,
            name="head",
        )

    def before_validation(self, images):
        """Fits autoencoder and classifier on features of all source images."""
        features, labels, domain_ids = (
            np.concatenate(part)
            for part in zip(*images.features("train"), strict=True)
        )
        shift, scale = self._standard(features)
        features = (features - shift) / scale
        groups = self.num_classes, len(self.source_domains)
        weights = fitted(
            Counterparts.of(features, labels, domain_ids, *groups),
            self.options,
            self.seed,
        )
        codes = encoded(
            weights, tf.constant(features), self.options.d_mtae_activation
        )
        moments = Moments(*groups, [(codes.numpy(), labels, domain_ids)])
        mean_variance = np.trace(moments.scatter) / len(moments.scatter)
        kernel, bias = ridge(moments, self.options.d_mtae_ridge * mean_variance)
        encoder = weights.kernel.numpy() / scale[:, np.newaxis]
        self.head.assign(
            encoder_kernel=encoder,
            encoder_bias=weights.bias.numpy() - shift @ encoder,
            kernel=kernel,
            bias=bias,
        )
        sharp = self.sharpness_of(self._scores, images)
        self.head.assign(kernel=sharp * kernel, bias=sharp * bias)

    def _scores(self, hidden):
        return self.head.scores(tf.constant(hidden)).numpy()

    def _standard(self, features):
        """Returns what is taken off features, and what they are divided by."""
        if self.options.d_mtae_activation == "sigmoid":
            shift = features.min(axis=0)
            scale = features.max(axis=0) - shift
        else:
            shift, scale = features.mean(axis=0), features.std(axis=0)
        # A feature that never changes stays zero.
        return shift, np.where(scale > 0, scale, 1.0).astype(np.float32)
