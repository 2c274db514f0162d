"""A head beside the network's classifier that is fitted, not trained."""

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.closed_form import sharpness


class Head(keras.layers.Layer):
    """What predicts from the features in place of the classifier, once fitted.

    Call arguments:
        hidden: [B, F], what the last layer takes.
        logits: [B, C], what the last layer makes of it.

    Returns:
        float32 [B, C]: `logits` before the first fit, then `scores`.

    Weights:
        fitted: 0 or 1; further ones are made by `add_fitted`. None is trained.
    """

    def __init__(self, **kwargs):
        # Fitted numbers have no use for a step's 16 bits.
        dtype = keras.config.dtype_policy().variable_dtype
        super().__init__(**{"dtype": dtype, **kwargs})

    def build(self, *shapes):
        """Makes the switch; a subclass makes its own weights behind it."""
        self.fitted = self.add_fitted("fitted", ())
        self.built = True

    def add_fitted(self, name, shape):
        """Returns a new weight that is not trained, zero before a fit."""
        return self.add_weight(
            name=name, shape=shape, initializer="zeros", trainable=False
        )

    def call(self, hidden, logits):
        """Returns the logits: fitted ones where there are."""
        scores = self.scores(hidden)
        fitted = tf.convert_to_tensor(self.fitted)
        # No condition: a program that is exported has no branches.
        return fitted * scores + (1 - fitted) * logits

    def scores(self, hidden):
        """Returns float32 [B, C] of features float32 [B, F]."""
        raise NotImplementedError

    def assign(self, **values) -> None:
        """Sets weights by their names; from now on they predict."""
        for name, value in values.items():
            getattr(self, name).assign(value)
        self.fitted.assign(1.0)


class FittedHeadModel(DomainModel):
    """Trains a network on all sources, and predicts by a head fitted on it.

    Before each validation `before_validation` of the method fits the head on
    features of all source images; until then the trained classifier predicts.
    Training never sees the head, so that a run that goes on and an unbroken one
    train alike.

    Attributes:
        head: The `Head`, or None if the method has none under its options.
    """

    head: Head | None = None

    def make_head(self) -> Head | None:
        """Returns the method's head, which is not built yet."""
        return None

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        self.head = self.make_head()
        if self.head is not None:
            self.head.build((None, self.num_features))

    def call(self, inputs, training=False):
        """Returns logits [B, C]: the classifier's in training, else fitted."""
        if training or self.head is None:
            return super().call(inputs, training)
        return self.forward(inputs).logits

    def forward(self, inputs, training=False):
        """Returns logits, and what they were made of."""
        outputs = super().forward(inputs, training)
        if training or self.head is None:
            return outputs
        logits = tf.cast(self.head(outputs.hidden, outputs.logits), tf.float32)
        return outputs._replace(logits=logits)

    def inference_layers(self):
        """Returns the layers that prediction reads: what is exported."""
        layers = super().inference_layers()
        return [*layers, self.head] if self.head is not None else layers

    def sharpness_of(self, scores, images) -> float:
        """Returns what fitted scores are to be multiplied by.

        Args:
            scores: (features [B, F]) -> [B, C].
            images: The `SourceImages` of the run; their validation images say.
        """
        found = [
            (scores(hidden), labels)
            for hidden, labels, _ in images.features("validation")
        ]
        return sharpness(*(np.concatenate(x) for x in zip(*found, strict=True)))
