"""The layer that mixes the styles of a batch's images."""

from typing import NamedTuple

import keras
import tensorflow as tf

from dmg_tf.layers.replica_random import beta, own_rows, permutation, uniform
from dmg_tf.methods.replicas import gathered, num_replicas
from dmg_tf.methods.styles import per_image, style_of

_EPSILON = 1e-6


class Draw(NamedTuple):
    """What one mixing draws.

    Attributes:
        mixes: bool scalar, whether it mixes at all.
        partners: int32 [B], rows of the whole batch of all replicas.
        shares: float32 [B], λ, of an image's own style.
    """

    mixes: tf.Tensor
    partners: tf.Tensor
    shares: tf.Tensor


@keras.saving.register_keras_serializable("dmg_tf")
class StyleMixer(keras.layers.Layer):
    """Gives each image of a batch some of another one's style, in training.

    Zhou et al., ICLR 2021, Sec. 2.2: with probability p, by one coin for the
    batch, and with mean μ and deviation σ of an image's map over space, its
    partner's μ' and σ', and λ from Beta(α, α) for each image,

        (x - μ) / σ · (λ σ + (1 - λ) σ') + λ μ + (1 - λ) μ'

    without a gradient through any μ and σ. σ is the root of the unbiased
    variance and 1e-6, as in the authors' code. Statistics are float32 whatever
    the precision, and partners may be on another replica.

    Differs: nothing with `random` partners, which are a permutation of the
    batch. With `crossdomain` each image draws its partner among all images of
    other domains, for any number of domains and any batch; in the authors' code
    a batch is of two domains, and each half has the other's images, permuted.
    An image without one of another domain keeps its own style.

    Args:
        probability: p.
        alpha: α.
        partners: "random" or "crossdomain".
        seed: Seed of the draws.

    Call arguments:
        inputs: [B, H, W, K], any float type.
        domain_ids: int [B], needed for partners of other domains.
        training: Whether to mix.

    Randomness:
        The n-th mixing's draws are a function of the seed, n and the row in the
        batch of all replicas; a run's checkpoint keeps n.

    Raises:
        ValueError: If the input is no map.
    """

    def __init__(
        self,
        probability: float = 0.5,
        alpha: float = 0.1,
        partners: str = "random",
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.probability = probability
        self.alpha = alpha
        self.partners = partners
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """Checks that there is space to take statistics over."""
        if len(input_shape) != 4:
            raise ValueError(
                "StyleMixer takes maps [B, H, W, K], got shape "
                f"{tuple(input_shape)}"
            )

    def draw(self, rows, domain_ids=None) -> Draw:
        """Draws what the next mixing does.

        Args:
            rows: Number of this replica's images.
            domain_ids: int32 [B], of the partners' kind "crossdomain".
        """
        coin = keras.random.uniform((), seed=self.seed_generator)
        shares = beta(self.alpha, rows, self.seed_generator)
        if self.partners == "random":
            partners = permutation(rows, self.seed_generator)
        else:
            partners = self._of_other_domains(rows, domain_ids)
        return Draw(coin < self.probability, partners, shares)

    def _of_other_domains(self, rows, domain_ids):
        whole = rows * num_replicas()
        lots = uniform([rows, whole], self.seed_generator)
        others = gathered(domain_ids)[tf.newaxis] != domain_ids[:, tf.newaxis]
        own = own_rows(lambda shape: tf.range(shape[0]), [rows])
        # Behind all others' lots, and before those of the same domain.
        own = tf.one_hot(own, whole, on_value=-0.5, off_value=-1.0)
        lots = tf.where(others, lots, own)
        return tf.argmax(lots, axis=1, output_type=tf.int32)

    def call(self, inputs, domain_ids=None, training=False):
        """Returns the map, in training with other styles."""
        if not training:
            return inputs
        mixes, partners, shares = self.draw(tf.shape(inputs)[0], domain_ids)
        x = tf.cast(inputs, tf.float32)
        mean, variance = style_of(x)
        style = tf.stack([mean, tf.sqrt(variance + _EPSILON)], axis=1)
        style = tf.stop_gradient(style)  # [B, 2, 1, 1, K]
        others = tf.gather(gathered(style), partners)
        shares = per_image(shares, style)
        mixed = shares * style + (1.0 - shares) * others
        plain = (x - style[:, 0]) / style[:, 1]
        mixed = plain * mixed[:, 1] + mixed[:, 0]
        return tf.cast(tf.where(mixes, mixed, x), inputs.dtype)

    def compute_output_shape(self, input_shape, *args, **kwargs):
        """Returns the input's shape."""
        return input_shape

    def get_config(self):
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "probability": self.probability,
            "alpha": self.alpha,
            "partners": self.partners,
            "seed": self.seed,
        }
