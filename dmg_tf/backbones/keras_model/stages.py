"""Where a functional model is cut into stages."""

import collections
import itertools
import math
from typing import Any, NamedTuple

import keras

from dmg_tf.backbones.cutting import nodes_of, readers

# The side of an image at which resolutions are compared where a model takes
# any: divided by 32, the most that networks do, it still leaves a map.
_SIDE = 256
# Parts of a model whose resolution never changes.
_PARTS = 4


class Passage(NamedTuple):
    """A tensor that all computation passes through.

    Attributes:
        place: How many of the model's calls come before it.
        tensor: The symbolic tensor.
    """

    place: int
    tensor: Any


def passages(model: keras.Model) -> list[Passage]:
    """Returns the tensors that everything passes through, in order.

    A model can be cut at each of them: no shortcut goes around it, and no
    layer with weights is called on both sides.

    Args:
        model: A functional model of one input and one output, which are the
            first and the last.
    """
    nodes = nodes_of(model)
    last_call = {id(n.operation): i for i, n in enumerate(nodes, start=1)}
    apart_from = 0
    readings = collections.Counter(
        id(tensor) for node in nodes for tensor in node.input_tensors
    )
    readings[id(model.outputs[0])] += 1
    found = [Passage(0, model.inputs[0])]
    needed = {id(model.inputs[0]): model.inputs[0]}
    for place, node in enumerate(nodes, start=1):
        for tensor in node.input_tensors:
            readings[id(tensor)] -= 1
            if not readings[id(tensor)]:
                needed.pop(id(tensor), None)
        needed |= {id(t): t for t in node.outputs if readings[id(t)]}
        # Keras can't cut behind a layer that comes again, weights or none.
        if getattr(node.operation, "weights", None) or len(needed) == 1:
            apart_from = max(apart_from, last_call[id(node.operation)])
        if len(needed) == 1 and place >= apart_from:
            (tensor,) = needed.values()
            if tensor is not found[-1].tensor:
                found.append(Passage(place, tensor))
    return found


def cut(model: keras.Model) -> list[keras.Model]:
    """Returns the model as several that compute the same in a row.

    They share its layers. Each but the first begins where a resolution ends,
    as a residual network's stages do: at the last of its passages, behind its
    first quarter, that only linear layers over all features read, which is the
    end of a block, and a mask there can be folded into their weights; if there
    is none, at the last of all. A model of one resolution is cut into quarters.

    Args:
        model: A functional model of one input and one output.
    """
    (first, *inner, last) = passages(model)
    inner = _behind_weights(model, inner)
    levels = _by_level(model, inner)
    # What comes at the last resolution is the last stage.
    cuts = [_chosen(model, each).tensor for each in levels[:-1]]
    if not cuts:
        cuts = _even(inner, last.place)
    bounds = [first.tensor, *cuts, last.tensor]
    # From behind: Keras makes new nodes of layers that are cut off.
    names = ["stem", *(f"stage{number}" for number in range(1, len(bounds)))]
    parts = [
        keras.Model(begin, end, name=name)
        for (begin, end), name in reversed(
            list(zip(itertools.pairwise(bounds), names, strict=False))
        )
    ]
    return parts[::-1]


def _behind_weights(model, inner) -> list[Passage]:
    """Returns the passages behind the first layer that learns."""
    learns = (
        place
        for place, node in enumerate(nodes_of(model), start=1)
        if getattr(node.operation, "trainable_variables", None)
    )
    begin = next(learns, math.inf)
    return [passage for passage in inner if passage.place >= begin]


def _by_level(model, inner) -> list[list[Passage]]:
    """Returns the passages by how often the side of their map was halved."""
    maps = [each for each in inner if len(each.tensor.shape) == 4]
    if not maps:
        return []
    side = model.inputs[0].shape[1] or _SIDE
    shapes = keras.Model(
        model.inputs[0], [each.tensor for each in maps]
    ).compute_output_shape((None, side, side, 3))
    shapes = shapes if isinstance(shapes, list) else [shapes]
    levels = collections.defaultdict(list)
    for each, shape in zip(maps, shapes, strict=True):
        # Padding and borders that are cut off change a side by some pixels.
        levels[round(math.log2(side / shape[1]))].append(each)
    return [levels[level] for level in sorted(levels)]


def _chosen(model, level) -> Passage:
    begin = (3 * level[0].place + level[-1].place) / 4
    able = [
        each
        for each in level
        if each.place >= begin
        and all(map(_mixes_features, readers(model, each.tensor)))
    ]
    return (able or level)[-1]


def _mixes_features(layer) -> bool:
    if isinstance(layer, keras.layers.Conv2D):
        return layer.groups == 1
    return isinstance(layer, keras.layers.Dense)


def _even(inner, length) -> list:
    """Returns the tensors nearest to the ends of equal parts, in order."""
    chosen = {
        min(inner, key=lambda each: abs(each.place - part * length / _PARTS))
        for part in range(1, _PARTS)
        if inner
    }
    return [each.tensor for each in sorted(chosen, key=lambda p: p.place)]
