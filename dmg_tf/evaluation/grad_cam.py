"""Where a network looks: Grad-CAM under each domain's own prediction."""

import contextlib
import threading
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.backbones.last_map import last_map_reader
from dmg_tf.rules import PredictionRule
from dmg_tf.runs.facts import compared_rules

# A layer is watched by one at a time.
_WATCHING = threading.Lock()


def model_rules(model) -> tuple[PredictionRule, tuple[PredictionRule, ...]]:
    """Returns a model's first rule, and those its domains are compared by.

    Args:
        model: A built `DomainModel`.
    """
    known = [r for r in model.rules() if r.shown and not r.needs_domain]
    return known[0], compared_rules(known, tuple(model.source_domains))


class GradCam:
    """Tells which places of an image speak for the class that is predicted.

    Selvaraju et al., "Grad-CAM", ICCV 2017, Sec. 3: with the score y of a
    class (its logit) and the last feature map A,

        α_k = mean over space of ∂y / ∂A_k,    L = ReLU(Σ_k α_k A_k).

    A is what the last convolution gives with the activations behind it, before
    any pooling (see `last_map_reader`): in a ResNet the output of layer4. The
    masks of DMG act as in evaluation, soft and the same each time: one on the
    input of the last stage changes A, one behind A (on the input of the
    classifier) changes α, so that both count. Differs: the class is that of
    the model's first rule for all maps of an image, which may then be compared.

    Args:
        model: A built `DomainModel`.

    Attributes:
        rules: Whose maps there are: the domains' own predictions, or the first
            rule where they have none.
    """

    def __init__(self, model):
        self._model = model
        self._reader = last_map_reader(
            [*model.feature_extractor.layers, *model.task_network.stages]
        )
        first, own = model_rules(model)
        self._first = first.name
        self.rules: Sequence[PredictionRule] = own or (first,)

    @property
    def possible(self) -> bool:
        """Whether the network has a feature map."""
        return self._reader is not None

    def __call__(self, images) -> tuple[np.ndarray, np.ndarray]:
        """Computes the maps of a batch; any thread may, one at a time.

        Args:
            images: float [B, H, W, 3], normalised.

        Returns:
            The classes int64 [B], and float32 [B, R, h, w]: of each of the R
            rules how much a place speaks for the class, not below 0. All maps
            of an image are in logits: where the network behind A is linear,
            a map's sum, with what ReLU cuts off, is the logit without its
            bias.
        """
        model = self._model
        images = tf.cast(images, model.compute_dtype)
        names = [rule.name for rule in self.rules]
        with (
            _WATCHING,
            tf.GradientTape(
                persistent=True, watch_accessed_variables=False
            ) as tape,
        ):
            with _watched(self._reader, tape) as seen:
                logits = model.logits_by_rule(
                    images, list(dict.fromkeys([self._first, *names]))
                )
            class_ids = tf.argmax(logits[self._first], axis=-1)
            scores = [
                tf.gather(logits[name], class_ids, axis=1, batch_dims=1)
                for name in names
            ]
        found = [
            sum(_map(tape, score, features) for features in seen)
            for score in scores
        ]
        return class_ids.numpy(), tf.stack(found, axis=1).numpy()


def _map(tape, score, features):
    """Returns L of a score [B]: float32 [B, h, w].

    Args:
        tape: It has recorded all from the map to the score.
        score: float32 [B].
        features: The map [N * B, h, w, F], with N copies of the images one
            after the other, of which a score may depend on some.
    """
    gradient = tape.gradient(
        score, features, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    features = tf.cast(features, tf.float32)
    gradient = tf.cast(gradient, tf.float32)
    weights = tf.reduce_mean(gradient, axis=(1, 2))
    found = tf.nn.relu(tf.einsum("bhwf,bf->bhw", features, weights))
    shape = [-1, tf.shape(score)[0], *found.shape[1:]]
    return tf.reduce_sum(tf.reshape(found, shape), axis=0)


@contextlib.contextmanager
def _watched(layer: keras.Operation, tape: tf.GradientTape):
    """Lets a tape watch what a layer takes; gives the list of these maps."""
    seen, call = [], layer.call

    def watching(inputs, *args, **kwargs):
        tape.watch(inputs)
        seen.append(inputs)
        return call(inputs, *args, **kwargs)

    layer.call = watching
    try:
        yield seen
    finally:
        del layer.call
