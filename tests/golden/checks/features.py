"""A network whose features are its images' first numbers, for files of them."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.backbones.blocks import Backbone, classifier
from dmg_tf.backbones.spec import BackboneSpec
from dmg_tf.registry import BACKBONES

# Where the registry finds it.
SPEC = BackboneSpec(title="features", make="tests.golden.checks.features:make")
SIDE = 8
_width = 0


@keras.saving.register_keras_serializable("tests")
class FirstNumbers(keras.layers.Layer):
    """[B, H, W, 3] -> [B, F], the first numbers of each image."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def call(self, images):
        """Returns the features."""
        return tf.reshape(images, [tf.shape(images)[0], -1])[:, : self.width]

    def compute_output_shape(self, input_shape):
        """Returns [B, F]."""
        return (input_shape[0], self.width)


def make(spec):
    """Returns the features and the last layer."""
    last = classifier("classifier", _width, spec)
    return Backbone((FirstNumbers(_width, name="first"), last), ("classifier",))


@contextlib.contextmanager
def features_backbone(width: int):
    """Knows the backbone "features", of so many features; at most 192."""
    global _width
    _width = width
    with BACKBONES.with_name("features", f"{__name__}:SPEC"):
        yield


def as_images(features):
    """Returns images [B, 8, 8, 3] whose features these are."""
    features = np.asarray(features)
    images = np.zeros((len(features), SIDE * SIDE * 3), features.dtype)
    images[:, : features.shape[1]] = features
    return images.reshape(-1, SIDE, SIDE, 3)
