"""The network of the methods' reference values."""

import keras

from dmg_tf.backbones.blocks import (
    Backbone,
    PaddedConv2D,
    classifier,
    linear,
)
from dmg_tf.backbones.spec import BackboneSpec

# Where the registry finds it.
TINY = "tests.golden.checks.tiny:SPEC"
SPEC = BackboneSpec(title="tiny", make="tests.golden.checks.tiny:tiny")
CHANNELS, FEATURES = 8, 16


def tiny(spec):
    """Returns one convolution, a hidden layer on its mean, and the last one.

    Its layers have the names of the files' entries.
    """
    inputs = keras.Input((None, None, 3))
    conv = PaddedConv2D(CHANNELS, 3, pixels=1, name="conv")
    first = keras.Model(inputs, keras.layers.ReLU()(conv(inputs)), name="map")
    inputs = keras.Input((None, None, CHANNELS))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    dense = linear("hidden", CHANNELS, FEATURES, spec.seed)
    second = keras.Model(
        inputs, keras.layers.ReLU()(dense(pooled)), name="features"
    )
    last = classifier("classifier", FEATURES, spec)
    return Backbone((first, second, last), ("features", "classifier"))
