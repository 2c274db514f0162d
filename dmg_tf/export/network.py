"""A model's inference on weights of its own: folded, or stored in 16 bits."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.errors import UserError, unknown_name
from dmg_tf.export.metadata import PRECISIONS
from dmg_tf.rules import PredictionRule


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """What a SavedModel holds of a model: no Keras object is in it.

    Attributes:
        variables: Plain variables with all weights, in the stored dtype.
        rules: The prediction rules that it knows, the default first.
        logits: (images float32 [B, S, S, 3] normalised, names of rules,
            domain_ids int32 [B] or None) -> {name: float32 [B, C]}.
    """

    variables: list[tf.Variable]
    rules: tuple[PredictionRule, ...]
    logits: Callable


def stored_network(
    model, fold: bool = False, precision: str = "float32"
) -> StoredNetwork:
    """Copies a model's weights and returns its inference on the copies.

    Args:
        model: A built `DomainModel`; it is not changed.
        fold: Store the plain network that predicts the same in its place.
        precision: Dtype that kernels are stored in. They are cast to float32
            at each call, so 16 bits halve the size and not the computation.

    Raises:
        UserError: If the model can't be folded, the precision is unknown, or a
            weight is too large for it.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    rules = tuple(rule for rule in model.rules() if rule.shown)
    logits_by_rule = model.logits_by_rule
    if fold:
        folded = model.plain_network()
        if folded is None:
            raise UserError(
                f"{model.spec.title} has nothing to fold; export it without "
                "--fold"
            )
        model, rules = folded.model, (folded.rule,)
        logits_by_rule = _by_the_only_rule(model)
    pairs = _copies(model.inference_layers(), precision)
    dtype = model.feature_extractor.compute_dtype

    def logits(images, names, domain_ids=None):
        images = tf.cast(images, dtype)
        values = [
            (theirs, tf.cast(ours, theirs.dtype)) for theirs, ours in pairs
        ]
        # Within the scope the model's layers read these values for their own.
        with keras.StatelessScope(state_mapping=values):
            return logits_by_rule(images, names, domain_ids)

    return StoredNetwork([ours for _, ours in pairs], rules, logits)


def _by_the_only_rule(plain) -> Callable:
    """Returns `logits_by_rule` of a plain network, whatever its rule is called.

    The method that it was made of has a name of its own for its predictions.
    """
    own = plain.rules()[0].name

    def logits_by_rule(images, names, domain_ids=None):
        logits = plain.logits_by_rule(images, [own], domain_ids)[own]
        return {name: logits for name in names}

    return logits_by_rule


def _copies(layers, precision) -> list[tuple[keras.Variable, tf.Variable]]:
    """Returns (a layer's variable, its copy) of all weights of some layers."""
    whole = {
        id(weight)
        for layer in layers
        for part in layer._flatten_layers()
        if getattr(part, "stored_whole", False)
        for weight in part.weights
    }
    pairs = []
    for weight in (weight for layer in layers for weight in layer.weights):
        value = weight.numpy()
        # Vectors are few numbers, and batch normalisation's variances can be
        # too large for 16 bits.
        if value.ndim > 1 and id(weight) not in whole:
            value = _as_precision(value, precision, weight.path)
        pairs.append((weight, tf.Variable(value, trainable=False)))
    return pairs


def _as_precision(value, precision, name) -> np.ndarray:
    with np.errstate(over="ignore"):
        stored = value.astype(precision)
    if np.isfinite(value).all() and not np.isfinite(stored).all():
        raise UserError(
            f"the weights {name!r} reach {np.abs(value).max():.3g}, which does "
            f"not fit {precision}; export in float32"
        )
    return stored
