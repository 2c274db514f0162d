"""What the backbones share: layers as torchvision computes them, and stages."""

import dataclasses
import zlib

import keras
import tensorflow as tf

from dmg_tf.backbones.pixels import IMAGENET_MEAN, IMAGENET_STD
from dmg_tf.layers.batch_norm import FusedBatchNorm


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network cut into named stages, in the order of computation.

    A stage's name is torchvision's name of its first weighted layer, and the
    input of every stage but the first can carry a mask. The last stage is the
    classifier, a plain linear layer.

    Attributes:
        stages: Layers [B, ...] -> [B, ...]; the first takes normalised images
            [B, H, W, 3], the last returns logits [B, C].
        mask_sites: Names of the stages that are masked by default (Sec. 4.1).
        mean: Mean of RGB in [0, 1] that images are normalised with.
        std: Standard deviation of RGB in [0, 1], likewise.
        entry_prefix: What weight files have before each word of a layer's
            name.
        style_sites: Where methods that change a map's mean and deviation do so
            by default, from early to late: what `cut_before` takes. Without
            any, on the input of the second stage.
    """

    stages: tuple[keras.Layer, ...]
    mask_sites: tuple[str, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    entry_prefix: str = ""
    style_sites: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """What a backbone is built from.

    Attributes:
        num_classes: Number of classes C.
        dropout: Whether dropout layers act. Off while masks train (Sec. 4.1).
        classifier_init: "pytorch" (uniform) or "normal" (standard deviation
            0.001): initial weights of the last layer (Sec. 7.5); one that a
            run fits ("fitted") is uniform before.
        seed: Seed of all initial weights and of dropout.
        image_size: Side of the images, pixels, for networks of one size alone.
    """

    num_classes: int
    dropout: bool = True
    classifier_init: str = "pytorch"
    seed: int = 0
    image_size: int = 224


def place_seed(name: str, seed: int) -> int:
    """Returns a seed that depends on the place's name and the run's seed."""
    return zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF


@keras.saving.register_keras_serializable("dmg_tf")
class PaddedConv2D(keras.layers.Conv2D):
    """A convolution with PyTorch's symmetric padding.

    "SAME" pads unevenly at stride 2, so it shifts features against weights
    trained in PyTorch. At stride 1 the two agree, and "SAME" is used. The
    kernel's own explicit padding is not: its gradients leave the fast path on
    a CPU (15 times slower on [64, 2, 2, 512]).

    Args:
        filters: Number of output channels.
        kernel_size: Side of the square kernel.
        pixels: Zeros added on each side.
        **kwargs: As for `keras.layers.Conv2D`.
    """

    def __init__(self, filters, kernel_size, pixels: int = 0, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.pixels = pixels

    def convolution_op(self, inputs, kernel):
        """Returns the convolution [B, H', W', filters]."""
        padding = "VALID"
        if self.pixels:
            even = tuple(2 * self.pixels + 1 for _ in self.kernel_size)
            if set(self.strides) == {1} and self.kernel_size == even:
                padding = "SAME"
            else:
                pad = [self.pixels, self.pixels]
                inputs = tf.pad(inputs, [[0, 0], pad, pad, [0, 0]])
        return tf.nn.conv2d(
            inputs, tf.cast(kernel, inputs.dtype), self.strides, padding
        )

    def compute_output_shape(self, input_shape):
        """Returns [B, H', W', filters]; sizes stay None where unknown."""
        sizes = [
            size and (size + 2 * self.pixels - kernel) // stride + 1
            for size, kernel, stride in zip(
                input_shape[1:3], self.kernel_size, self.strides, strict=True
            )
        ]
        return (input_shape[0], *sizes, self.filters)

    def get_config(self):
        """Returns the arguments that rebuild the layer."""
        return {**super().get_config(), "pixels": self.pixels}


@keras.saving.register_keras_serializable("dmg_tf")
class PaddedMaxPool(keras.layers.Layer):
    """3 x 3 max pooling at stride 2 with PyTorch's padding, for inputs >= 0.

    Padding is with zeros, which never win over activations behind a ReLU. An
    input smaller than the window is padded up to it, so that AlexNet takes
    images below 63 pixels, where torchvision's stops.

    Args:
        pixels: Zeros added on each side.

    Call arguments:
        inputs: [B, H, W, C], not negative.
    """

    def __init__(self, pixels: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.pixels = pixels

    def call(self, inputs):
        """Returns the pooled activations."""
        amounts = [[0, 0]]
        for axis in (1, 2):
            size = inputs.shape[axis]
            if size is None:
                size = tf.shape(inputs)[axis]
            short = 3 - (size + 2 * self.pixels)
            short = (
                tf.maximum(short, 0) if tf.is_tensor(short) else max(short, 0)
            )
            amounts.append([self.pixels, self.pixels + short])
        amounts.append([0, 0])
        if any(tf.is_tensor(n) or n for pair in amounts for n in pair):
            inputs = tf.pad(inputs, amounts)
        return tf.nn.max_pool2d(inputs, 3, 2, "VALID")

    def compute_output_shape(self, input_shape):
        """Returns the pooled shape; sizes stay None where unknown."""
        sizes = [
            size and max(size + 2 * self.pixels - 3, 0) // 2 + 1
            for size in input_shape[1:3]
        ]
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self):
        """Returns the arguments that rebuild the layer."""
        return {**super().get_config(), "pixels": self.pixels}


def uniform_by_fan_in(name: str, seed: int):
    """Returns PyTorch's default initializer of kernels: U(±1/sqrt(fan_in))."""
    return keras.initializers.VarianceScaling(
        1 / 3, "fan_in", "uniform", seed=place_seed(name, seed)
    )


def uniform_bias(name: str, fan_in: int, seed: int):
    """Returns PyTorch's default initializer of biases: U(±1/sqrt(fan_in))."""
    bound = fan_in**-0.5
    return keras.initializers.RandomUniform(
        -bound, bound, seed=place_seed(f"{name}.bias", seed)
    )


def linear(name: str, fan_in: int, units: int, seed: int) -> keras.layers.Dense:
    """Returns a dense layer [B, fan_in] -> [B, units] with PyTorch's start."""
    return keras.layers.Dense(
        units,
        kernel_initializer=uniform_by_fan_in(name, seed),
        bias_initializer=uniform_bias(name, fan_in, seed),
        name=name,
    )


def classifier(name: str, fan_in: int, spec: NetworkSpec) -> keras.layers.Dense:
    """Returns the last layer [B, fan_in] -> [B, C].

    Paper: Sec. 7.5, "N(0, 0.001)" or PyTorch's uniform. 0.001 is taken for the
    standard deviation, as the official code does; biases then start at zero.

    Args:
        name: torchvision's name of the layer.
        fan_in: Number of inputs.
        spec: Gives the number of classes, the initializer and the seed.
    """
    layer = linear(name, fan_in, spec.num_classes, spec.seed)
    if spec.classifier_init == "normal":
        layer.kernel_initializer = keras.initializers.RandomNormal(
            0.0, 0.001, seed=place_seed(name, spec.seed)
        )
        layer.bias_initializer = keras.initializers.Zeros()
    return layer


def entry_name(layer_name: str, prefix: str = "") -> str:
    """Returns what a weight file calls a layer.

    Args:
        layer_name: The layer's name, words and numbers between dots.
        prefix: See `Backbone.entry_prefix`; numbers have none.
    """
    return ".".join(
        part if part.isdigit() else prefix + part
        for part in layer_name.split(".")
    )


def layers_of(stages) -> list[keras.layers.Layer]:
    """Returns the layers that stages are made of."""
    layers = []
    for stage in stages:
        layers += getattr(stage, "layers", None) or [stage]
    return layers


def torchvision_entries(
    layers, prefix: str = ""
) -> dict[str, tuple[object, tuple[int, ...]]]:
    """Maps torchvision's entry names to our variables.

    Args:
        layers: Built layers that carry torchvision's names.
        prefix: See `Backbone.entry_prefix`.

    Returns:
        {entry name: (variable, axes)}: a torchvision array transposed by
        `axes` has the variable's layout. What torchvision has no like of is
        called by the layer's name and a number, in the variable's layout.
    """
    entries = {}
    for layer in layers:
        name = entry_name(layer.name, prefix)
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            # (C, 1, H, W) -> (H, W, C, 1)
            entries[f"{name}.weight"] = (layer.kernel, (2, 3, 0, 1))
        elif isinstance(layer, keras.layers.Conv2D):
            entries[f"{name}.weight"] = (layer.kernel, (2, 3, 1, 0))
        elif isinstance(layer, keras.layers.Dense):
            entries[f"{name}.weight"] = (layer.kernel, (1, 0))
        elif isinstance(layer, FusedBatchNorm):
            entries[f"{name}.weight"] = (layer.gamma, (0,))
            entries[f"{name}.bias"] = (layer.beta, (0,))
            entries[f"{name}.running_mean"] = (layer.moving_mean, (0,))
            entries[f"{name}.running_var"] = (
                layer.moving_variance,
                (0,),
            )
        else:
            entries |= {
                f"{name}.{number}": (weight, tuple(range(len(weight.shape))))
                for number, weight in enumerate(layer.weights)
                if weight.dtype == "float32"
            }
            continue
        if getattr(layer, "use_bias", False):
            entries[f"{name}.bias"] = (layer.bias, (0,))
    return entries
