"""Where a network's last feature map is: before space is averaged away."""

from collections.abc import Sequence

import keras

# Any size that a pooling changes and that is not the number of features.
_HEIGHT, _WIDTH = 48, 60


def last_map_reader(
    stages: Sequence[keras.layers.Layer],
) -> keras.Operation | None:
    """Returns the layer that takes the last feature map [B, H, W, F].

    The map is what the last convolution made, with the activations behind it
    and all its places: pooling, which takes some of them away, and what only
    puts numbers in another order read it. In a ResNet it is what the average
    over space takes, in AlexNet what the last max pooling takes.

    Args:
        stages: Of a `Backbone` or of a built model, in the order of
            computation.

    Returns:
        The layer, whose first argument is the map; None of a network that has
        no layer from a map to something else, such as a transformer of tokens.
    """
    for stage in reversed(stages):
        layers = _layers_of(stage)
        if not layers or _is_map(stage.output):
            continue  # what loses places there comes back, as in an attention
        for layer in reversed(layers):
            if _is_map(layer.input) and not _is_map(layer.output):
                return _before_pooling(layer, layers)
    return None


def _layers_of(stage) -> list[keras.Operation]:
    if not isinstance(stage, keras.Model):
        return []
    layers = getattr(stage, "operations", None) or stage.layers
    return [x for x in layers if not isinstance(x, keras.layers.InputLayer)]


def _before_pooling(reader, layers):
    """Goes back to the first layer behind the weights that loses places."""
    makers = {id(layer.output): layer for layer in layers}
    layer = makers.get(id(reader.input))
    while layer is not None and _is_map(layer.input):
        if getattr(layer, "weights", None):
            break
        if _changes_shape(layer):
            reader = layer
        layer = makers.get(id(layer.input))
    return reader


def _is_map(tensor) -> bool:
    # Of one place, it is a vector that kept its axes.
    return (
        isinstance(tensor, keras.KerasTensor)
        and len(tensor.shape) == 4
        and tuple(tensor.shape[1:3]) != (1, 1)
    )


def _changes_shape(layer) -> bool:
    shape = (1, _HEIGHT, _WIDTH, layer.input.shape[-1])
    spec = keras.KerasTensor(shape, layer.input.dtype)
    return tuple(layer.compute_output_spec(spec).shape) != shape
