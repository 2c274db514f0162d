"""Conv-4: four small convolutions, for small images and first tries.

Architecture: Vinyals et al., "Matching Networks for One Shot Learning", NIPS
2016, Sec. 4.1, which the literature on small images calls so: four times a 3 x
3 convolution of 64 filters, batch normalisation, ReLU and 2 x 2 max pooling.
Zhou et al., "Deep Domain-Adversarial Image Generation for Domain
Generalisation", AAAI 2020, take it for digits of four domains. Differs: the
last maps are averaged, so that images of any size do.
"""

import keras

from dmg_tf.backbones.blocks import (
    Backbone,
    NetworkSpec,
    PaddedConv2D,
    classifier,
    uniform_by_fan_in,
)
from dmg_tf.layers.batch_norm import FusedBatchNorm

# Our choice, as the paper has them in ResNet: the inputs of the last stage of
# convolutions and of the classifier.
MASK_SITES = ("conv4", "fc")
# Our choice: behind the first two convolutions.
STYLE_SITES = ("conv2", "conv3")

_FILTERS = 64
_DEPTH = 4


def conv4(spec: NetworkSpec) -> Backbone:
    """Returns Conv-4; each convolution is a stage."""
    stages, width = [], 3
    for number in range(1, _DEPTH + 1):
        name = f"conv{number}"
        inputs = keras.Input((None, None, width))
        x = PaddedConv2D(
            _FILTERS,
            3,
            pixels=1,
            use_bias=False,
            kernel_initializer=uniform_by_fan_in(name, spec.seed),
            name=name,
        )(inputs)
        x = FusedBatchNorm(name=f"bn{number}")(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.MaxPooling2D(2)(x)
        if number == _DEPTH:
            x = keras.layers.GlobalAveragePooling2D()(x)
        stages.append(keras.Model(inputs, x, name=name))
        width = _FILTERS
    stages.append(classifier("fc", _FILTERS, spec))
    return Backbone(tuple(stages), MASK_SITES, style_sites=STYLE_SITES)
