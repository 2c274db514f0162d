"""IRM: one classifier that is the best in each domain."""

import keras
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.annealed import AnnealedModel
from dmg_tf.methods.by_domain import Seen
from dmg_tf.methods.irm.spec import SPEC
from dmg_tf.methods.risks import mean_of
from dmg_tf.methods.steps import Step


@keras.saving.register_keras_serializable("dmg_tf")
class IRM(AnnealedModel):
    """Trains features on which one classifier is the best in each source.

    Arjovsky, Bottou, Gulrajani and Lopez-Paz, "Invariant Risk Minimization",
    2019, the form IRMv1. With L_d(s) the mean cross entropy of a source's
    images, their logits multiplied by s, a step minimises

        mean_d [L_d(1) + λ P_d],    P_d = L_d'(1) on even images times L_d'(1)
                                          on odd ones

    with λ = 1 at first (`irm_anneal_steps`), as in DomainBed; then the
    optimiser begins anew. The product is an unbiased estimate of the square of
    the expected derivative, and can be negative. Which images are even is their
    order in the batch, which is random. The derivative is one of the logits
    alone, so that a step costs no more than the cross entropy's.

    `irm_variant="authors"` is theirs: P_d = L_d'(1)² on all images, the whole
    loss divided by λ where that is above 1, and no restart. That square is
    greater by the variance of the derivative between batches.

    Everything is computed on the images of all replicas, in float32. The losses
    by source are reported.

    Raises:
        UserError: If a batch has a single image of each source.
    """

    spec = SPEC

    @property
    def by_authors(self) -> bool:
        """Whether a step is the authors'."""
        return self.options.irm_variant == "authors"

    @property
    def restarts_at(self):
        """The first step with the weight λ, or None."""
        return None if self.by_authors else super().restarts_at

    def annealing(self):
        """Returns λ, and the steps before it."""
        return self.options.irm_weight, self.options.irm_anneal_steps

    def objective(self, inputs, labels, weights=None):
        """Returns the mean of the sources' losses, and of their penalties."""
        outputs, seen = self.seen(inputs, labels, weights)
        risks, weight = self.risks(seen), self.penalty_weight
        scale = 1.0
        if self.by_authors:
            penalties = tf.square(self.slopes(seen)[0])
            scale = 1.0 / tf.maximum(weight, 1.0)
        else:
            penalties = tf.reduce_prod(self.slopes(*self._halves(seen)), axis=0)
        return Step(
            outputs.logits,
            {
                "cross_entropy": (scale, mean_of(risks, seen.there)),
                "penalty": (scale * weight, mean_of(penalties, seen.there)),
            },
            self.of_each_source("risk", risks),
        )

    def slopes(self, *parts: Seen):
        """Returns L_d'(1) on each of some parts of a batch: float32 [P, D].

        That is the mean over images of Σ_c softmax(z)_c z_c - z_y, unless the
        model was compiled with another loss.
        """
        factors = tf.ones([len(parts), len(self.source_domains), 1, 1])
        with tf.GradientTape() as tape:
            tape.watch(factors)
            scaled = [
                part._replace(logits=factor * part.logits)
                for factor, part in zip(tf.unstack(factors), parts, strict=True)
            ]
            total = tf.add_n(
                [tf.reduce_sum(self.risks(part)) for part in scaled]
            )
        slopes = tape.gradient(
            total, factors, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return slopes[..., 0, 0]

    def _halves(self, seen):
        size = seen.labels.shape[1]
        if size is not None and size < 2:
            raise UserError(
                f"{self.spec.title} takes at least 2 images of each source "
                f"domain in a batch, got {size}: raise --batch-size"
            )
        return [Seen(*(x[:, start::2] for x in seen)) for start in (0, 1)]
