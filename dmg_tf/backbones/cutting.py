"""The graph of a stage: who reads what, and cutting it finer than it comes."""

from collections.abc import Sequence

import keras

from dmg_tf.errors import UserError, unknown_name


def nodes_of(model: keras.Model) -> list:
    """Returns the calls that a functional model is made of, in an order.

    A layer that is called twice has two of them, and one that is in several
    models has some that are not this model's.

    Args:
        model: A functional model.

    Returns:
        Keras' nodes, each behind those it depends on; inputs have none.
    """
    by_depth = model._nodes_by_depth
    return [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
        if not node.is_input
    ]


def readers(model: keras.Model, tensor) -> list:
    """Returns the layers that take a tensor of a functional model."""
    return [
        node.operation
        for node in nodes_of(model)
        if any(each is tensor for each in node.input_tensors)
    ]


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
    node = next(n for n in nodes_of(stage) if n.operation is layer)
    entries = list(node.input_tensors)
    entry = entries[0] if len(entries) == 1 else entries
    if entry is stage.inputs[0]:
        raise UserError(
            f"{backbone} has nothing to cut before {name!r}: it begins "
            f"{stage.name!r}"
        )
    try:
        return [
            keras.Model(stage.inputs[0], entry, name=stage.name),
            keras.Model(entry, stage.outputs[0], name=name),
        ]
    except ValueError as error:
        raise UserError(
            f"{backbone} can't be cut before {name!r}: a shortcut goes around "
            "it"
        ) from error
