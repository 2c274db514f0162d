"""The network of the toy backbone."""

import keras

from dmg_tf.backbones.blocks import (
    Backbone,
    PaddedConv2D,
    classifier,
    uniform_by_fan_in,
)


def dots(spec):
    """Patches of 8 x 8 pixels, two layers on them."""
    inputs = keras.Input((None, None, 3))
    stem = keras.Model(
        inputs, keras.layers.AveragePooling2D(8)(inputs), name="patches"
    )
    inputs = keras.Input((None, None, 3))
    x = PaddedConv2D(
        6,
        1,
        pixels=0,
        kernel_initializer=uniform_by_fan_in("mix", spec.seed),
        name="mix.conv",
    )(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    stages = (stem, keras.Model(inputs, x, name="mix"))
    return Backbone((*stages, classifier("fc", 6, spec)), ("mix", "fc"))
