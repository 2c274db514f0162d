"""A model's inference on weights of its own: folded, or stored in 16 bits."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.errors import UserError, unknown_name
from dmg_tf.export.metadata import FOLDED_RULE, PRECISIONS

# Layers that multiply each feature of their input by weights of its own, the
# feature being the last axis but one of `kernel`.
_FOLDABLE = (
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
)


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """What a SavedModel holds of a model: no Keras object is in it.

    Attributes:
        variables: Plain variables with all weights, in the stored dtype.
        rules: Names of the prediction rules that it knows.
        logits: (images float32 [B, S, S, 3] normalised, rules, domain_ids
            int32 [B] or None) -> {rule: float32 [B, C]}.
    """

    variables: list[tf.Variable]
    rules: tuple[str, ...]
    logits: Callable


def stored_network(
    model, fold: bool = False, precision: str = "float32"
) -> StoredNetwork:
    """Copies a model's weights and returns its inference on the copies.

    Args:
        model: A built `DomainModel`; it is not changed.
        fold: Multiply the mean soft mask into the weights behind it, so that
            one plain network is left (Mask-Ens, paper, Sec. 7.3).
        precision: Dtype that kernels are stored in. They are cast to float32
            at each call, so 16 bits halve the size and not the computation.

    Raises:
        UserError: If a mask can't be folded, the precision is unknown, or a
            weight is too large for it.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    folded = folded_kernels(model) if fold else {}
    stages = model.task_network.stages
    layers = [model.feature_extractor, *stages]
    if not fold:
        layers += model.domain_masks.values()
    # A mask's parameters are few, and a vector's: batch normalisation's
    # variances can be too large for 16 bits.
    whole = {id(mask.mask_logits) for mask in model.domain_masks.values()}

    pairs = []  # (the model's variable, ours)
    for variable in (weight for layer in layers for weight in layer.weights):
        value = folded.get(id(variable))
        if value is None:
            value = variable.numpy()
        if value.ndim > 1 and id(variable) not in whole:
            value = _as_precision(value, precision, variable.path)
        pairs.append((variable, tf.Variable(value, trainable=False)))

    dtype = model.feature_extractor.compute_dtype

    def logits(images, rules, domain_ids=None):
        images = tf.cast(images, dtype)
        values = [
            (theirs, tf.cast(ours, theirs.dtype)) for theirs, ours in pairs
        ]
        # Within the scope the model's layers read these values for their own.
        with keras.StatelessScope(state_mapping=values):
            if not fold:
                return model.logits_by_rule(images, rules, domain_ids)
            x = model.feature_extractor(images, training=False)
            for stage in stages:
                x = stage(x, training=False)
            return {FOLDED_RULE: tf.cast(x, tf.float32)}

    return StoredNetwork(
        variables=[ours for _, ours in pairs],
        rules=(FOLDED_RULE,) if fold else model.prediction_rules,
        logits=logits,
    )


def folded_kernels(model) -> dict[int, np.ndarray]:
    """Multiplies the mean soft masks into the kernels that they scale.

    Paper: Sec. 7.3 (Mask-Ens). A mask scales features, and a linear layer's
    output is the same when its weights are scaled instead. Every layer that
    reads the masked features is changed: a residual block's first convolution
    and the convolution of its shortcut.

    Args:
        model: A built `DomainModel` with masks; it is not changed.

    Returns:
        {id of the kernel's variable: float32 array of the kernel's shape}.

    Raises:
        UserError: If there are no masks, or something else than a linear layer
            reads the masked features, such as a shortcut without weights.
    """
    if not model.domain_masks:
        raise UserError(
            f"{type(model).__name__} has no masks to fold; export it without "
            "--fold"
        )
    stages = {stage.name: stage for stage in model.task_network.stages}
    kernels = {}
    for site, mask in model.domain_masks.items():
        probs = mask.mask_probs.numpy().astype(np.float64)
        scale = probs.mean(axis=0)  # [F]
        for layer in _readers(stages[site]):
            if not isinstance(layer, _FOLDABLE) or _is_grouped(layer):
                raise UserError(
                    f"the mask at {site!r} cannot be folded: "
                    f"{type(layer).__name__} {layer.name!r} takes the masked "
                    "features past the weights; export it without --fold"
                )
            kernel = layer.kernel.numpy() * scale[:, np.newaxis]
            kernels[id(layer.kernel)] = kernel.astype(np.float32)
    return kernels


def _readers(stage) -> list[keras.layers.Layer]:
    """Returns the layers that take a stage's input."""
    if not isinstance(stage, keras.Model):
        return [stage]
    entry = stage.inputs[0]
    return [
        layer
        for layer in stage.layers
        if not isinstance(layer, keras.layers.InputLayer)
        and any(tensor is entry for tensor in keras.tree.flatten(layer.input))
    ]


def _is_grouped(layer) -> bool:
    # Each group reads a part of the features alone, and the kernel's axis is
    # as short. A depthwise convolution's kernel has all of them.
    return isinstance(layer, keras.layers.Conv2D) and layer.groups > 1


def _as_precision(value, precision, name) -> np.ndarray:
    with np.errstate(over="ignore"):
        stored = value.astype(precision)
    if np.isfinite(value).all() and not np.isfinite(stored).all():
        raise UserError(
            f"the weights {name!r} reach {np.abs(value).max():.3g}, which does "
            f"not fit {precision}; export in float32"
        )
    return stored
