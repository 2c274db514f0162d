"""Mixup: images and labels of two domains, mixed."""

import keras
import tensorflow as tf

from dmg_tf.methods.by_domain import Groups, flat, mean_losses
from dmg_tf.methods.grouped import GroupedModel
from dmg_tf.methods.mixup.spec import SPEC
from dmg_tf.methods.steps import Step

# All of them are refused once in 10^15 draws.
CANDIDATES = 12


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
        return beta_shares(
            self.seed,
            self.optimizer.iterations,
            self.options.mixup_alpha,
            len(self.source_domains),
        )


def beta_shares(seed: int, step, alpha: float, count: int):
    """Draws from Beta(α, α), float32 [count].

    A share is G / (G + G') with G, G' ~ Gamma(α), and G has the distribution of
    Gamma(α + 1) times U^(1/α): taken in logarithms, as a small α would leave
    nothing but zeros.

    Args:
        seed: The run's.
        step: int, number of the step. The shares are a function of both.
        alpha: α > 0.
        count: How many.
    """
    key = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    keys = tf.random.split(key, 2)
    logs = log_gammas(keys[0], [2, count], alpha + 1.0)
    logs += _log_uniform(keys[1], [2, count]) / alpha
    return tf.sigmoid(logs[0] - logs[1])


def log_gammas(key, shape, a: float):
    """Draws logarithms of Gamma(a), float32 of a shape.

    Marsaglia and Tsang, ACM TOMS 2000: of some candidates, each of which is
    accepted with a probability of 0.95 or more, the first one that is. (XLA,
    which `--jit` asks for, has no such draw.)

    Args:
        key: int64 [2], what the draws are a function of.
        shape: What to return.
        a: At least 1.
    """
    d = a - 1.0 / 3.0
    keys = tf.random.split(key, 2)
    x = tf.random.stateless_normal([CANDIDATES, *shape], keys[0])
    cube = tf.pow(1.0 + x / (9.0 * d) ** 0.5, 3)
    log_v = tf.math.log(tf.maximum(cube, 1e-30))
    limit = 0.5 * tf.square(x) + d * (1.0 - cube + log_v)
    accepted = (cube > 0) & (_log_uniform(keys[1], x.shape) < limit)
    first = tf.argmax(tf.cast(accepted, tf.int32), axis=0)  # of equal ones
    chosen = tf.one_hot(first, CANDIDATES, axis=0)
    return tf.math.log(d) + tf.reduce_sum(chosen * log_v, axis=0)


def _log_uniform(key, shape):
    """Draws logarithms of uniform numbers that are never 0."""
    return tf.math.log(1.0 - tf.random.stateless_uniform(shape, key))


def _mix(first, second, shares):
    """Returns the mixtures of two groups of images, [G, N, H, W, 3]."""
    shares = tf.reshape(tf.cast(shares, first.dtype), [-1, 1, 1, 1, 1])
    return shares * first + (1.0 - shares) * second
