"""Cutting a backbone's stages finer than they come."""

from collections.abc import Sequence

import keras

from dmg_tf.errors import UserError, unknown_name


def cut_before(
    stages: Sequence[keras.Layer], names: Sequence[str], backbone: str
) -> tuple[keras.Layer, ...]:
    """Returns stages cut such that each of the names begins one.

    The layers are the same ones, and so is what they compute one after the
    other. What is cut off is called by the name.

    Args:
        stages: Of a `Backbone`.
        names: Names of stages behind the first, which are left as they are; of
            layers within a stage, e.g. "features.3"; or of blocks of layers,
            by what their layers' names begin with, e.g. "blocks.3".
        backbone: The backbone's name, for errors.

    Raises:
        UserError: If there is no such name, it begins the network, or a
            shortcut goes around it.
    """
    stages, places = list(stages), {}
    known = [stage.name for stage in stages[1:]]
    for name in names:
        if name not in known:
            places[name] = _place(stages, name)
            if places[name] is None:
                raise unknown_name(f"layer of {backbone}", name, known)
    # From behind: Keras makes new nodes of layers that are cut off.
    for name in sorted(places, key=places.get, reverse=True):
        index, layer = places[name]
        stages[index : index + 1] = _halves(
            stages[index], stages[index].layers[layer], name, backbone
        )
    return tuple(stages)


def _place(stages, name):
    """Returns (number of the stage, of the layer in it), or None."""
    for index, stage in enumerate(stages):
        for number, layer in enumerate(getattr(stage, "layers", ())):
            if layer.name == name or layer.name.startswith(f"{name}."):
                return index, number
    return None


def _halves(stage, layer, name, backbone):
    """Returns a stage up to a layer's input, and the rest of it."""
    if layer.input is stage.input:
        raise UserError(
            f"{backbone} has nothing to cut before {name!r}: it begins "
            f"{stage.name!r}"
        )
    try:
        return [
            keras.Model(stage.input, layer.input, name=stage.name),
            keras.Model(layer.input, stage.output, name=name),
        ]
    except ValueError as error:
        raise UserError(
            f"{backbone} can't be cut before {name!r}: a shortcut goes around "
            "it"
        ) from error
