"""MLDG: a step on some sources that also serves the others."""

import itertools
from typing import NamedTuple

import keras
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.by_domain import flat, mean_losses
from dmg_tf.methods.grouped import GroupedModel
from dmg_tf.methods.inner_steps import moved, sources_of, values_of
from dmg_tf.methods.mldg.spec import SPEC
from dmg_tf.methods.replicas import mean_over_replicas
from dmg_tf.methods.steps import Step

# The inner step where the options give none.
RATE, RATE_UNDER_ADAM = 5e-4, 1e-4
ADAM_EPSILON = 1e-8


class Episode(NamedTuple):
    """What one inner step was good for.

    Attributes:
        trained: The losses of the sources in S at θ, scalars.
        held_out: The mean loss of the sources in V after the step.
        logits: float32 [R, C]: of S at θ, then of V after the step.
        rows: int32 [R], the images of the batch that these are of.
    """

    trained: list[tf.Tensor]
    held_out: tf.Tensor
    logits: tf.Tensor
    rows: tf.Tensor


@keras.saving.register_keras_serializable("dmg_tf")
class MLDG(GroupedModel):
    """Trains on some sources such that a step on them lowers the others' loss.

    Li, Yang, Song and Hospedales, "Learning to Generalize: Meta-Learning for
    Domain Generalization", AAAI 2018. Each step draws the sources V that it
    holds out, S are the rest, and minimises

        F(θ) + β G(θ - α ∇F(θ)),   F = Σ_S L_d,   G = mean of L_d over V

    over θ, L_d the mean cross entropy of a source's images. As in the authors'
    code F is a sum, the inner step is plain, and its gradient is differentiated
    (unless `mldg_order` is "first").

    Differs: α is 1e-4 under Adam, of which the paper says nothing. With batch
    normalisation S are normalised together and V by themselves; running
    statistics move by S alone. Dropout draws the same in both passes.

    `mldg_variant="domainbed"` is what DomainBed calls MLDG: for each source i
    of S, and j of V in turn, L_i(θ) + β L_j(θ - α sign ∇L_i), where the sign
    is the first step of an Adam; gradients of first order, and everything is
    divided by the number of sources however few the pairs are. There α is the
    network's rate, and two are held out (`mldg_held_out`).

    The reported cross entropy is the mean over S at θ, `held_out` is G, and the
    accuracy has the images of V after the inner step. The inner step is the
    same on all replicas, taken on all their images.

    Randomness:
        Which sources are held out is a function of seed and step.

    Raises:
        UserError: If no source is left to train on.
    """

    spec = SPEC

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        held_out, total = self.options.mldg_held_out, len(self.source_domains)
        if held_out >= total:
            raise UserError(
                f"{self.spec.title} holds out {held_out} of the source domains "
                f"in each step and trains on the others: give more than "
                f"{held_out}, got {total}"
            )

    @property
    def inner_rate(self) -> float:
        """α."""
        if self.options.mldg_inner_rate is not None:
            return self.options.mldg_inner_rate
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        is_adam = isinstance(optimizer, keras.optimizers.Adam)
        return RATE_UNDER_ADAM if is_adam else RATE

    def objective(self, inputs, labels, weights=None):
        """Returns F and G of a batch."""
        total = len(self.source_domains)
        # The last of the drawn order are held out.
        groups = self.groups(inputs, labels, weights, self.draw_order())
        share = 1 / total if self.domainbed else 1.0
        seen = [
            self._episode(groups.at(train), groups.at(held_out), index == 0)
            for index, (train, held_out) in enumerate(self._episodes())
        ]
        trained = [loss for episode in seen for loss in episode.trained]
        held_out = [episode.held_out for episode in seen]
        return Step(
            tf.concat([episode.logits for episode in seen], axis=0),
            {
                "cross_entropy": (share * len(trained), _mean(trained)),
                "held_out": (
                    share * len(held_out) * self.options.mldg_beta,
                    _mean(held_out),
                ),
            },
            rows=tf.concat([episode.rows for episode in seen], axis=0),
        )

    @property
    def domainbed(self) -> bool:
        """Whether a step is DomainBed's."""
        return self.options.mldg_variant == "domainbed"

    def _episodes(self):
        """Yields (S, V) as slices of the drawn order."""
        total = len(self.source_domains)
        middle = total - self.options.mldg_held_out
        if not self.domainbed:
            yield slice(middle), slice(middle, None)
            return
        turns = itertools.cycle(range(middle, total))
        for train, held_out in zip(range(middle), turns, strict=False):
            yield slice(train, train + 1), slice(held_out, held_out + 1)

    def _episode(self, train, held_out, is_first):
        weights = self.network_weights()
        sources, values = sources_of(weights), values_of(weights)
        with tf.GradientTape() as tape:
            tape.watch([*sources, *values])
            if is_first:  # running statistics move once a step
                logits = self.forward(_inputs(train), training=True).logits
            else:
                logits = self.logits_with(values, _inputs(train))
            losses = mean_losses(self, train, logits)
            total = tf.add_n(losses)
        gradients = tape.gradient(total, sources if is_first else values)
        fast = self._inner_step(values, mean_over_replicas(gradients))
        logits_after = self.logits_with(fast, _inputs(held_out))
        return Episode(
            losses,
            _mean(mean_losses(self, held_out, logits_after)),
            tf.concat([logits, logits_after], axis=0),
            tf.concat([flat(train.rows), flat(held_out.rows)], axis=0),
        )

    def _inner_step(self, values, gradients):
        if self.domainbed:
            gradients = [
                g if g is None else g / (tf.abs(g) + ADAM_EPSILON)
                for g in gradients
            ]
        first_order = self.domainbed or self.options.mldg_order == "first"
        return moved(values, gradients, self.inner_rate, first_order)


def _inputs(groups):
    return {"image": flat(groups.images)}


def _mean(losses):
    return tf.add_n(losses) / len(losses)
