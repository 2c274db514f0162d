"""The image backbones of KerasHub, by the names of their presets."""

import dataclasses

import keras
import numpy as np

from dmg_tf.backbones.blocks import Backbone, NetworkSpec
from dmg_tf.backbones.keras_model.network import (
    backbone_of,
    drawn_from,
    entries_of,
)
from dmg_tf.backbones.keras_model.spec import KerasSpec
from dmg_tf.backbones.weights.untrusted import one_line
from dmg_tf.errors import UserError


def hub(network_spec: NetworkSpec, spec: KerasSpec) -> Backbone:
    """Returns the backbone of a preset.

    A vision transformer is cut between its blocks, and its features are those
    of its class token; of other models they are the mean over space.
    """
    with drawn_from(network_spec.seed):
        model, spec = _loaded(spec, weights=False)
    return backbone_of(model, network_spec, spec)


def weights(spec: KerasSpec, path=None) -> tuple[str, dict[str, np.ndarray]]:
    """Returns the preset's name and the entries of its weights.

    KerasHub downloads them on first use.

    Args:
        spec: The model's.
        path: None.

    Raises:
        UserError: If they can't be had.
    """
    if path is not None:
        raise UserError(
            f"--weights {path}: of a preset of KerasHub expected a folder, "
            "as --backbone keras_hub:FOLDER"
        )
    model, spec = _loaded(spec, weights=True)
    return f"keras_hub:{spec.model}", entries_of(model, spec)


def _loaded(spec, weights: bool) -> tuple[keras.Model, KerasSpec]:
    """Returns the preset's model in one graph, and its spec with its pixels."""
    import keras_hub  # it takes seconds to import

    try:
        model = keras_hub.models.Backbone.from_preset(
            spec.model, load_weights=weights
        )
        converter = keras_hub.layers.ImageConverter.from_preset(spec.model)
    except Exception as error:  # KerasHub raises many kinds
        raise UserError(
            f"KerasHub cannot load the image backbone {spec.model!r}: "
            f"{one_line(error)}; expected the name of a preset, or its folder"
        ) from error
    models, graph = keras_hub.models, model
    if isinstance(model, models.ViTBackbone):
        graph = keras.models.clone_model(
            model, clone_function=lambda layer: layer, call_function=_unrolled
        )
    if isinstance(model, (models.ViTBackbone, models.DeiTBackbone)):
        graph = keras.Model(graph.inputs[0], graph.outputs[0][:, 0])
    # Pixels of 0-255 times the scale, plus the offset.
    ones = np.ones(3)
    scale = 255.0 * ones * (1.0 if converter.scale is None else converter.scale)
    offset = ones * (0.0 if converter.offset is None else converter.offset)
    return graph, dataclasses.replace(
        spec, mean=tuple(-offset / scale), std=tuple(1.0 / scale)
    )


def _unrolled(layer, *args, **kwargs):
    """Calls a layer; of a transformer's encoder each block by itself."""
    if not hasattr(layer, "encoder_layers"):
        return layer(*args, **kwargs)
    x = layer.dropout(args[0])
    for block in layer.encoder_layers:
        x = block(x)
    return layer.layer_norm(x)
