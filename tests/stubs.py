"""A small network that stands in for a backbone."""

import keras

from dmg_tf.backbones.blocks import (
    Backbone,
    PaddedConv2D,
    classifier,
    uniform_by_fan_in,
)
from dmg_tf.backbones.spec import BackboneSpec
from dmg_tf.layers.batch_norm import FusedBatchNorm

# Where the registry finds the stub.
STUB = "tests.stubs:STUB_SPEC"
STUB_SPEC = BackboneSpec(title="stub", make="tests.stubs:stub")
NORMED = "tests.stubs:NORMED_SPEC"
NORMED_SPEC = BackboneSpec(title="normed stub", make="tests.stubs:normed_stub")
WIDE = "tests.stubs:WIDE_SPEC"
WIDE_SPEC = BackboneSpec(title="wide stub", make="tests.stubs:wide_stub")


def stub(spec):
    """Two convolutions, quick to trace and the same in every process.

    There is no batch normalisation; first weights depend on the seed alone.
    """
    return _stub(spec, normed=False)


def normed_stub(spec):
    """The same with batch normalisation behind each convolution."""
    return _stub(spec, normed=True)


def wide_stub(spec):
    """The latter with so many weights that they are most of a file."""
    return _stub(spec, normed=True, features=256)


def _stub(spec, normed, features=8):
    stages, width = [], 3
    for name in ("stem", "body"):
        inputs = keras.Input((None, None, width))
        x = PaddedConv2D(
            features,
            3,
            pixels=1,
            strides=2,
            kernel_initializer=uniform_by_fan_in(name, spec.seed),
            name=f"{name}.conv",
        )(inputs)
        if normed:
            x = FusedBatchNorm(name=f"{name}.norm")(x)
        x = keras.layers.ReLU()(x)
        if name == "body":
            x = keras.layers.GlobalAveragePooling2D()(x)
        stages.append(keras.Model(inputs, x, name=name))
        width = features
    return Backbone((*stages, classifier("fc", width, spec)), ("body", "fc"))
