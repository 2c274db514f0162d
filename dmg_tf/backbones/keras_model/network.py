"""Any functional Keras model as a backbone."""

import collections
import contextlib
import random
import re

import keras
import numpy as np

from dmg_tf.backbones.blocks import (
    Backbone,
    NetworkSpec,
    classifier,
    layers_of,
    place_seed,
    torchvision_entries,
)
from dmg_tf.backbones.cutting import nodes_of
from dmg_tf.backbones.keras_model.spec import KerasSpec
from dmg_tf.backbones.keras_model.stages import cut
from dmg_tf.backbones.weights.untrusted import one_line
from dmg_tf.errors import UserError
from dmg_tf.layers.batch_norm import FusedBatchNorm
from dmg_tf.registry import imported

_DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
)
_POOLING = {
    4: keras.layers.GlobalAveragePooling2D,
    3: keras.layers.GlobalAveragePooling1D,
}


def network(network_spec: NetworkSpec, spec: KerasSpec) -> Backbone:
    """Returns the backbone of the model that a spec names."""
    with drawn_from(network_spec.seed):
        model = imported(spec.model)(**spec.arguments)
    return backbone_of(model, network_spec, spec)


@contextlib.contextmanager
def drawn_from(seed: int):
    """Makes what is built within a function of a seed.

    Keras takes the seeds of layers that are given none from Python's own
    generator, which is as it was afterwards.
    """
    state = random.getstate()
    random.seed(place_seed("keras", seed))
    try:
        yield
    finally:
        random.setstate(state)


def backbone_of(
    model: keras.Model, network_spec: NetworkSpec, spec: KerasSpec
) -> Backbone:
    """Returns a model in stages, with the classifier behind it.

    By default masks are on the input of the last stage, if half of the model
    or more is before it, and of the classifier.

    Args:
        model: Functional: from images [B, H, W, 3] to features. Its layers
            become the backbone's.
        network_spec: Of the backbone.
        spec: The model's.

    Raises:
        UserError: If it is no such model.
    """
    model = _pooled(model, spec)
    _check_size(model, network_spec.image_size, spec)
    _rename(model)
    model = _with_other_layers(model)
    if not network_spec.dropout:
        for layer in model._flatten_layers():
            if isinstance(layer, _DROPOUTS):
                layer.rate = 0.0
    stages = cut(model)
    last = classifier("fc", model.outputs[0].shape[-1], network_spec)
    sites = [last.name]
    lengths = [len(nodes_of(stage)) for stage in stages]
    if len(stages) > 1 and lengths[-1] <= sum(lengths) / 2:
        sites.insert(0, stages[-1].name)
    return Backbone(
        (*stages, last),
        spec.mask_sites or tuple(sites),
        spec.mean,
        spec.std,
        # As of a ResNet: the inputs of the last three stages.
        style_sites=tuple(
            stage.name for stage in stages[1:] if len(stage.input.shape) == 4
        )[-3:],
    )


def entries_of(model: keras.Model, spec: KerasSpec) -> dict[str, np.ndarray]:
    """Returns a model's weights as `load_torchvision` takes them.

    The classifier's are of no class, so that it stays fresh.

    Args:
        model: As for `backbone_of`.
        spec: The model's.
    """
    stages = backbone_of(model, NetworkSpec(1), spec).stages
    *layers, last = layers_of(stages)
    features = stages[-2].output.shape[-1]
    return {
        **{
            name: variable.numpy().transpose(np.argsort(axes))
            for name, (variable, axes) in torchvision_entries(layers).items()
        },
        f"{last.name}.weight": np.zeros((0, features), np.float32),
        f"{last.name}.bias": np.zeros((0,), np.float32),
    }


def _pooled(model, spec) -> keras.Model:
    """Returns the model with features [B, F]; checks that it is one."""
    inputs = getattr(model, "inputs", None) or ()
    outputs = getattr(model, "outputs", None) or ()
    shapes = [tuple(tensor.shape) for tensor in (*inputs, *outputs)]
    if (
        (len(inputs), len(outputs)) != (1, 1)
        or len(shapes[0]) != 4
        or shapes[0][-1] != 3
        or len(shapes[1]) not in (2, 3, 4)
    ):
        raise UserError(
            f"{spec.model} must return a functional keras.Model from images "
            "[B, H, W, 3] to features [B, H, W, F], [B, T, F] or [B, F], got "
            + (
                f"{type(model).__name__} of shapes "
                f"{', '.join(map(str, shapes))}"
                if shapes
                else f"{type(model).__name__} without a graph"
            )
        )
    features = outputs[0]
    if len(features.shape) in _POOLING:
        features = _POOLING[len(features.shape)](name="pool")(features)
    return keras.Model(inputs[0], features)


def _check_size(model, side, spec) -> None:
    """Raises UserError where a map would be empty, as of unpadded layers."""
    if model.inputs[0].shape[1] is not None:
        return  # it takes one size alone
    try:
        model.compute_output_shape((None, side, side, 3))
    except ValueError as error:
        raise UserError(
            f"{spec.title} can't take images of {side} x {side} pixels "
            f"({one_line(error)}): give a larger --image-size"
        ) from error


def _with_other_layers(model) -> keras.Model:
    """Returns the model with other layers, of the same numbers, in it.

    Its batch normalisation alone can be frozen, is the same on all replicas
    and is estimated anew for averaged weights. Of a convolution whose groups
    are single features, as ConvNeXt has them, Keras makes a function of XLA's
    on a CPU, which ONNX has none of; the depthwise layer is TensorFlow's own.
    """
    copies = []

    def replaced(layer):
        if (
            type(layer) is keras.layers.Normalization
            and layer.input_mean is None
        ):
            ours = StoredNormalization.from_config(layer.get_config())
        elif _is_plain_batch_norm(layer):
            ours = FusedBatchNorm(
                layer.epsilon,
                layer.momentum,
                layer.scale,
                layer.center,
                name=layer.name,
                dtype=layer.dtype_policy,
            )
        elif _is_depthwise(layer):
            ours = keras.layers.DepthwiseConv2D(
                layer.kernel_size,
                layer.strides,
                layer.padding,
                dilation_rate=layer.dilation_rate,
                activation=layer.activation,
                use_bias=layer.use_bias,
                depthwise_initializer="zeros",  # it gets the other's weights
                name=layer.name,
                dtype=layer.dtype_policy,
            )
        else:
            return layer
        copies.append((layer, ours))
        return ours

    def called(layer, *args, mask=None, **kwargs):
        if mask is not None:
            kwargs["mask"] = mask
        return layer(*args, **kwargs)

    model = keras.models.clone_model(
        model, clone_function=replaced, call_function=called, recursive=True
    )
    for theirs, ours in copies:
        _copy(theirs, ours)
    return model


def _is_plain_batch_norm(layer) -> bool:
    """Returns whether the fused kernel computes what the layer does."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not layer.renorm
        and layer.epsilon >= 1e-5  # the least that cuDNN takes
    )


def _is_depthwise(layer) -> bool:
    """Returns whether a convolution makes each feature of one alone."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.groups == layer.filters > 1
        and layer.kernel.shape[2] == 1
        and len(set(layer.strides)) == 1
    )


def _copy(theirs, ours) -> None:
    """Gives a layer that stands in another's place the other's weights."""
    for name in (
        *("gamma", "beta", "moving_mean", "moving_variance"),
        *("adapt_mean", "adapt_variance", "kernel", "bias"),
    ):
        value = getattr(theirs, name, None)
        if value is not None:
            if name == "kernel":  # [h, w, 1, F] -> [h, w, F, 1]
                value = keras.ops.swapaxes(value, 2, 3)
            getattr(ours, name).assign(value)


def _rename(model) -> None:
    """Gives layers the names that they have in a process of their own.

    Keras numbers layers without a name through the whole process, and names
    stand for a layer's weights and for where a stage is cut.
    """
    numbers = collections.Counter()
    for operation in model.operations:
        stem = re.sub(r"_\d+$", "", operation.name)
        if stem.replace("_", "") == type(operation).__name__.lower():
            operation.name = f"{stem}_{numbers[stem]}"
            numbers[stem] += 1


@keras.saving.register_keras_serializable("dmg_tf")
class StoredNormalization(keras.layers.Normalization):
    """Keras' normalisation by statistics that are weights.

    Keras' own layer keeps copies of them, which what is assigned to the
    weights does not reach.
    """

    def call(self, inputs):
        """Returns the normalised inputs."""
        self.finalize_state()
        return super().call(inputs)
