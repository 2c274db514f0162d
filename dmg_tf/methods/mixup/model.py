"""Mixup: images and labels of two domains, mixed."""

import keras
import tensorflow as tf

from dmg_tf.layers.replica_random import NUMBERS_OF_BETA, beta_of
from dmg_tf.methods.by_domain import Groups, flat, mean_losses
from dmg_tf.methods.grouped import GroupedModel
from dmg_tf.methods.mixup.spec import SPEC
from dmg_tf.methods.steps import Step, step_key


@keras.saving.register_keras_serializable("dmg_tf")
class Mixup(GroupedModel):
    """Trains on mixtures of the images of two sources each.

    Yan et al., "Improve Unsupervised Domain Adaptation with Mixup Training",
    2020; Wang, Li and Kot, "Heterogeneous Domain Generalization via Domain
    Mixup", ICASSP 2020; the form is DomainBed's. Each step draws an order o of
    the sources and, for each pair of neighbours in it, the last and the first
    too, a share λ ~ Beta(α, α). The images x_i of o[k] are mixed with those of
    o[k + 1], x_j, one with one, and a step minimises the mean over pairs of

        λ CE(z, y_i) + (1 - λ) CE(z, y_j)

    with z the logits of λ x_i + (1 - λ) x_j.

    Differs: nothing from DomainBed. There is one λ a pair and step, not one an
    image. Images are mixed after they are normalised, which is the same.

    The training accuracy has the label of the image with the greater share.

    Randomness:
        Order and shares are functions of seed and step.

    Raises:
        UserError: If there is one source only.
    """

    spec = SPEC

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ask_for_two_sources("mixes images of different source domains")

    def objective(self, inputs, labels, weights=None):
        """Returns the cross entropy of the mixed images."""
        count = len(self.source_domains)
        first = self.groups(inputs, labels, weights, self.draw_order())
        second = Groups(*(tf.roll(x, -1, axis=0) for x in first))
        shares = self.draw_shares()
        mixed = _mix(first.images, second.images, shares)
        logits = self.forward({"image": flat(mixed)}, training=True).logits
        losses = shares * tf.stack(mean_losses(self, first, logits))
        losses += (1.0 - shares) * tf.stack(mean_losses(self, second, logits))
        rows = tf.where(shares[:, tf.newaxis] >= 0.5, first.rows, second.rows)
        return Step(
            logits,
            {"cross_entropy": (1.0, tf.reduce_sum(losses) / count)},
            rows=flat(rows),
        )

    def draw_shares(self):
        """Returns a share λ of each pair, float32 [D].

        They are functions of the run's seed and the step.
        """
        key = step_key(self.seed, self.optimizer.iterations)
        # The order is drawn by the key itself.
        key = tf.random.experimental.stateless_fold_in(key, 1)
        shape = [len(self.source_domains), *NUMBERS_OF_BETA]
        numbers = tf.random.stateless_uniform(shape, key)
        return beta_of(self.options.mixup_alpha, numbers)


def _mix(first, second, shares):
    """Returns the mixtures of two groups of images, [G, N, H, W, 3]."""
    shares = tf.reshape(tf.cast(shares, first.dtype), [-1, 1, 1, 1, 1])
    return shares * first + (1.0 - shares) * second
