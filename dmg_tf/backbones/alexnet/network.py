"""AlexNet in torchvision's architecture (Krizhevsky, 2014)."""

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import (
    Backbone,
    NetworkSpec,
    PaddedConv2D,
    PaddedMaxPool,
    classifier,
    linear,
    place_seed,
    uniform_bias,
    uniform_by_fan_in,
)
from dmg_tf.layers.replica_random import RowDropout

# Paper, Sec. 4.1: the inputs of the three fully connected layers.
MASK_SITES = ("classifier.1", "classifier.4", "classifier.6")
# Our choice: behind the first two convolutions, pooled.
STYLE_SITES = ("features.3", "features.6")

# (torchvision's index, filters, kernel, stride, padding, pooled afterwards)
_CONVOLUTIONS = (
    (0, 64, 11, 4, 2, True),
    (3, 192, 5, 1, 2, True),
    (6, 384, 3, 1, 1, False),
    (8, 256, 3, 1, 1, False),
    (10, 256, 3, 1, 1, True),
)


@keras.saving.register_keras_serializable("dmg_tf")
class AdaptiveAveragePool(keras.layers.Layer):
    """Averages into a fixed grid, with PyTorch's bins.

    Bin i of n over a side of s pixels covers floor(i * s / n) up to, not
    including, ceil((i + 1) * s / n); bins overlap where n does not divide s.

    Args:
        size: Side of the grid.

    Call arguments:
        inputs: [B, H, W, C] of any size.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        """Returns [B, size, size, C]."""
        if inputs.shape[1] == inputs.shape[2] == self.size:
            return inputs
        dynamic = tf.shape(inputs)
        # A known side makes the weights a constant of the graph.
        height, width = (inputs.shape[i] or dynamic[i] for i in (1, 2))
        return tf.einsum(
            "bhwc,yh,xw->byxc",
            inputs,
            self._weights(height, inputs.dtype),
            self._weights(width, inputs.dtype),
        )

    def _weights(self, side, dtype):
        index = tf.range(self.size)[:, tf.newaxis]
        start = index * side // self.size
        # Rounded up without negative numbers, which ONNX rounds to zero.
        end = ((index + 1) * side + self.size - 1) // self.size
        pixel = tf.range(side)[tf.newaxis, :]
        inside = tf.logical_and(pixel >= start, pixel < end)
        weights = tf.cast(inside, tf.float32) / tf.cast(end - start, tf.float32)
        return tf.cast(weights, dtype)  # [size, side]

    def compute_output_shape(self, input_shape):
        """Returns [B, size, size, C]."""
        return (input_shape[0], self.size, self.size, input_shape[3])

    def get_config(self):
        """Returns the arguments that rebuild the layer."""
        return {**super().get_config(), "size": self.size}


def alexnet(spec: NetworkSpec) -> Backbone:
    """Returns AlexNet; its three dense layers are stages of their own.

    Dropout stands before `classifier.1` and `classifier.4`, where torchvision
    has it, and is left out when `spec.dropout` is False.
    """

    def dropout(x, name):
        if not spec.dropout:
            return x
        return RowDropout(0.5, seed=place_seed(name, spec.seed), name=name)(x)

    inputs = x = keras.Input((None, None, 3))
    for index, filters, kernel, stride, pixels, pooled in _CONVOLUTIONS:
        name = f"features.{index}"
        fan_in = x.shape[-1] * kernel**2
        x = PaddedConv2D(
            filters,
            kernel,
            pixels=pixels,
            strides=stride,
            kernel_initializer=uniform_by_fan_in(name, spec.seed),
            bias_initializer=uniform_bias(name, fan_in, spec.seed),
            name=name,
        )(x)
        x = keras.layers.ReLU()(x)
        if pooled:
            x = PaddedMaxPool()(x)
    x = AdaptiveAveragePool(6)(x)
    # PyTorch flattens (channel, height, width).
    x = keras.layers.Flatten()(keras.layers.Permute((3, 1, 2))(x))
    x = dropout(x, "classifier.0")
    stages = [keras.Model(inputs, x, name="features")]

    inputs = keras.Input((256 * 6 * 6,))
    x = linear("classifier.1", 256 * 6 * 6, 4096, spec.seed)(inputs)
    x = dropout(keras.layers.ReLU()(x), "classifier.3")
    # A layer inside has the stage's name too; that is torchvision's.
    stages.append(keras.Model(inputs, x, name="classifier.1"))

    inputs = keras.Input((4096,))
    x = linear("classifier.4", 4096, 4096, spec.seed)(inputs)
    x = keras.layers.ReLU()(x)
    stages.append(keras.Model(inputs, x, name="classifier.4"))

    stages.append(classifier("classifier.6", 4096, spec))
    return Backbone(tuple(stages), MASK_SITES, style_sites=STYLE_SITES)
