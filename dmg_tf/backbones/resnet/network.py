"""ResNet-18 and ResNet-50 in torchvision's architecture (He et al., 2016).

Torchvision's ResNet-50 has the stride in the 3 x 3 convolution of a block
("v1.5"), and so has this one: its weights and published numbers need it.
"""

import keras

from dmg_tf.backbones.blocks import (
    Backbone,
    NetworkSpec,
    PaddedConv2D,
    PaddedMaxPool,
    classifier,
    place_seed,
)
from dmg_tf.layers.batch_norm import FusedBatchNorm

# Paper, Sec. 4.1: the inputs of the last residual stage and of the classifier.
# The official job script masks `layer3` as well; `--mask-sites` can.
MASK_SITES = ("layer4", "fc")
# MixStyle's on PACS: behind the first three residual stages.
STYLE_SITES = ("layer2", "layer3", "layer4")


def resnet18(spec: NetworkSpec) -> Backbone:
    """Returns ResNet-18: blocks of two 3 x 3 convolutions, 2-2-2-2."""
    return _resnet(spec, (2, 2, 2, 2), _basic_block, expansion=1)


def resnet50(spec: NetworkSpec) -> Backbone:
    """Returns ResNet-50: bottleneck blocks, 3-4-6-3."""
    return _resnet(spec, (3, 4, 6, 3), _bottleneck_block, expansion=4)


def _resnet(spec, depths, block, expansion) -> Backbone:
    inputs = keras.Input((None, None, 3))
    x = _conv(inputs, "conv1", 64, 7, 2, spec)
    x = FusedBatchNorm(name="bn1")(x)
    x = keras.layers.ReLU()(x)
    x = PaddedMaxPool(pixels=1)(x)
    stages = [keras.Model(inputs, x, name="stem")]

    for number, depth in enumerate(depths, start=1):
        inputs = x = keras.Input((None, None, x.shape[-1]))
        width = 64 * 2 ** (number - 1)
        for index in range(depth):
            name = f"layer{number}.{index}"
            stride = 2 if number > 1 and index == 0 else 1
            shortcut = x
            if stride > 1 or x.shape[-1] != width * expansion:
                shortcut = _conv(
                    x,
                    f"{name}.downsample.0",
                    width * expansion,
                    1,
                    stride,
                    spec,
                )
                shortcut = FusedBatchNorm(name=f"{name}.downsample.1")(shortcut)
            x = block(x, name, width, stride, spec)
            x = keras.layers.ReLU()(keras.layers.Add()([x, shortcut]))
        features = x.shape[-1]
        if number == len(depths):
            x = keras.layers.GlobalAveragePooling2D()(x)
        stages.append(keras.Model(inputs, x, name=f"layer{number}"))

    stages.append(classifier("fc", features, spec))
    return Backbone(tuple(stages), MASK_SITES, style_sites=STYLE_SITES)


def _basic_block(x, name, width, stride, spec):
    x = _conv(x, f"{name}.conv1", width, 3, stride, spec)
    x = keras.layers.ReLU()(FusedBatchNorm(name=f"{name}.bn1")(x))
    x = _conv(x, f"{name}.conv2", width, 3, 1, spec)
    return FusedBatchNorm(name=f"{name}.bn2")(x)


def _bottleneck_block(x, name, width, stride, spec):
    x = _conv(x, f"{name}.conv1", width, 1, 1, spec)
    x = keras.layers.ReLU()(FusedBatchNorm(name=f"{name}.bn1")(x))
    x = _conv(x, f"{name}.conv2", width, 3, stride, spec)
    x = keras.layers.ReLU()(FusedBatchNorm(name=f"{name}.bn2")(x))
    x = _conv(x, f"{name}.conv3", 4 * width, 1, 1, spec)
    return FusedBatchNorm(name=f"{name}.bn3")(x)


def _conv(x, name, filters, kernel_size, stride, spec):
    return PaddedConv2D(
        filters,
        kernel_size,
        pixels=kernel_size // 2,
        strides=stride,
        use_bias=False,
        # torchvision's ResNets: normal, scaled by the outputs.
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0,
            "fan_out",
            "untruncated_normal",
            seed=place_seed(name, spec.seed),
        ),
        name=name,
    )(x)
