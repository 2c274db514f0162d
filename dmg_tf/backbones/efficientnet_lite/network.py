"""EfficientNet-Lite0 (Tan and Le, 2019, in the variant for small devices).

Its ImageNet weights come in a package, so it is the pretrained network that
needs no download. Names are those of that package's file, without the
underscore before each word: TensorFlow allows none at the start of a scope.
"""

import keras

from dmg_tf.backbones.blocks import (
    Backbone,
    NetworkSpec,
    classifier,
    place_seed,
)
from dmg_tf.layers.batch_norm import FusedBatchNorm

# By analogy with the ResNets, the inputs of the last block and of the
# classifier; the paper has no EfficientNet. `conv_head` is the third choice.
MASK_SITES = ("blocks.15", "fc")
# Our choice: where maps are of the size that they have at a ResNet's sites.
STYLE_SITES = ("blocks.3", "blocks.5", "blocks.11")

# Pixels of 0-255 are normalised to (pixel - 127) / 128.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3

# (blocks, kernel, stride of the first, expansion of channels, filters)
_BLOCKS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280
_DROPOUT = 0.2


def efficientnet_lite0(spec: NetworkSpec) -> Backbone:
    """Returns EfficientNet-Lite0: no squeeze-and-excitation, ReLU6.

    Padding is TensorFlow's "SAME", which the weights were trained with. Dropout
    stands before the classifier and is left out when `spec.dropout` is False.
    Differs from its training on ImageNet: no stochastic depth, which dropped
    whole blocks at random; fine-tuning is short and keeps all of them.
    """
    inputs = keras.Input((None, None, 3))
    x = _conv(inputs, "conv_stem", _STEM_FILTERS, 3, 2, spec)
    x = _batch_norm(x, "bn0", activate=True)
    plan = [
        (kernel, stride if index == 0 else 1, expansion, filters)
        for count, kernel, stride, expansion, filters in _BLOCKS
        for index in range(count)
    ]
    for number, block in enumerate(plan[:-1]):
        x = _block(x, f"blocks.{number}", *block, spec)
    stages = [keras.Model(inputs, x, name="features")]

    name = f"blocks.{len(plan) - 1}"
    inputs = keras.Input((None, None, x.shape[-1]))
    x = _block(inputs, name, *plan[-1], spec)
    stages.append(keras.Model(inputs, x, name=name))

    inputs = keras.Input((None, None, x.shape[-1]))
    x = _conv(inputs, "conv_head", _HEAD_FILTERS, 1, 1, spec)
    x = _batch_norm(x, "bn1", activate=True)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if spec.dropout:
        x = keras.layers.Dropout(
            _DROPOUT, seed=place_seed("dropout", spec.seed), name="dropout"
        )(x)
    # A layer inside has the stage's name too; that is the file's.
    stages.append(keras.Model(inputs, x, name="conv_head"))

    stages.append(classifier("fc", _HEAD_FILTERS, spec))
    return Backbone(
        tuple(stages),
        MASK_SITES,
        MEAN,
        STD,
        entry_prefix="_",
        style_sites=STYLE_SITES,
    )


def _block(x, name, kernel_size, stride, expansion, filters, spec):
    shortcut = x
    if expansion > 1:
        width = x.shape[-1] * expansion
        x = _conv(x, f"{name}.expand_conv", width, 1, 1, spec)
        x = _batch_norm(x, f"{name}.bn0", activate=True)
    x = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=_normal(f"{name}.depthwise_conv", spec),
        name=f"{name}.depthwise_conv",
    )(x)
    x = _batch_norm(x, f"{name}.bn1", activate=True)
    x = _conv(x, f"{name}.project_conv", filters, 1, 1, spec)
    x = _batch_norm(x, f"{name}.bn2", activate=False)
    if x.shape[-1] == shortcut.shape[-1] and stride == 1:
        x = keras.layers.Add()([x, shortcut])
    return x


def _conv(x, name, filters, kernel_size, stride, spec):
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=_normal(name, spec),
        name=name,
    )(x)


def _normal(name, spec):
    # The original's: normal, scaled by the outputs. A depthwise kernel counts
    # as one with a single output.
    return keras.initializers.VarianceScaling(
        2.0,
        "fan_out",
        "untruncated_normal",
        seed=place_seed(name, spec.seed),
    )


def _batch_norm(x, name, activate):
    # The original's constants: PyTorch's momentum of 0.01 is 0.99 here.
    x = FusedBatchNorm(epsilon=1e-3, momentum=0.99, name=name)(x)
    return keras.layers.ReLU(6.0)(x) if activate else x
