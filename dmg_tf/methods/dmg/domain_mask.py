"""Domain-specific masks on the input of a layer."""

import keras
import tensorflow as tf

from dmg_tf.layers.replica_random import uniform


@tf.custom_gradient
def straight_through(sampled_mask, mask_probs):
    """Passes the sampled mask on, and its gradient to the probabilities.

    Paper: Sec. 3.2, the straight-through estimator: the gradient with respect
    to the drawn mask is taken for the gradient with respect to the mask
    probabilities. Differs: nothing.

    Args:
        sampled_mask: [B, F] of 0 and 1.
        mask_probs: [B, F]. The probabilities it was drawn from.

    Returns:
        [B, F], equal to `sampled_mask`.
    """

    def gradient(upstream):
        return None, upstream

    return tf.identity(sampled_mask), gradient


@keras.saving.register_keras_serializable("dmg_tf")
class DomainMask(keras.layers.Layer):
    """Multiplies activations with the mask of each image's domain.

    Paper: Sec. 3.2. In training a binary mask is drawn for each image from its
    domain's probabilities, and gradients reach the probabilities straight
    through. Otherwise activations are scaled by the soft masks. On a
    convolutional input a mask has one entry a channel, shared over space
    (Sec. 4.1, footnote on ResNet). Differs: nothing; of tokens, which the
    paper has none of, a mask is shared likewise.

    Args:
        num_domains: Number of source domains D, at least 2.
        seed: Seed of the draws and of the initial mask parameters.
        shared: Whether all domains have one mask.

    Call arguments:
        inputs: [B, F], [B, H, W, F] or tokens [B, T, F], any float type.
        domain_ids: int [B]. Which domain each image belongs to. Needed in
            training and for scaling by an image's own mask.
        training: Whether to draw binary masks.
        scale: [F] or [B, F], used instead of `domain_ids` outside training:
            multiplies the activations as it is. Prediction rules pass
            averaged or thresholded masks here.

    Weights:
        mask_logits: float32 [D, F], trainable, from U(0, 1) (Sec. 7.5); [1, F]
            where one mask is shared.

    Randomness:
        One Bernoulli draw of [B, F] a training call. The n-th draw is a
        function of the seed, n and the row in the batch of all replicas. A
        run's checkpoint keeps n; a model loaded from a `.keras` file counts
        from 0 again.

    Raises:
        ValueError: On fewer than two domains, an input of other rank, or a
            call without the domain ids it needs.
    """

    # An export in 16 bits keeps its few parameters as they are.
    stored_whole = True

    def __init__(
        self, num_domains: int, seed: int = 0, shared: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        if num_domains < 2:
            raise ValueError(
                f"`num_domains` must be at least 2, got {num_domains}"
            )
        self.num_domains = num_domains
        self.seed = seed
        self.shared = shared
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """Makes the mask parameters for the last axis of the input."""
        if len(input_shape) not in (2, 3, 4):
            raise ValueError(
                "DomainMask takes [B, F], [B, T, F] or [B, H, W, F], got "
                f"shape {tuple(input_shape)}"
            )
        self.mask_logits = self.add_weight(
            name="mask_logits",
            shape=(1 if self.shared else self.num_domains, input_shape[-1]),
            dtype="float32",
            initializer=keras.initializers.RandomUniform(
                0.0, 1.0, seed=self.seed
            ),
            autocast=False,
        )

    @property
    def mask_probs(self):
        """float32 [D, F]: the soft masks, m = σ(m̃)."""
        probs = tf.sigmoid(tf.convert_to_tensor(self.mask_logits))
        return tf.repeat(probs, self.num_domains, 0) if self.shared else probs

    @property
    def binary_masks(self):
        """float32 [D, F] of 0 and 1: soft masks thresholded at 0.5."""
        return tf.cast(self.mask_probs > 0.5, tf.float32)

    def draw(self, mask_probs):
        """Draws one binary mask an image.

        Args:
            mask_probs: float32 [B, F]. Probability that a unit is kept.

        Returns:
            float32 [B, F] of 0 and 1.
        """
        numbers = uniform(tf.shape(mask_probs), self.seed_generator)
        return tf.cast(numbers < mask_probs, tf.float32)

    def call(self, inputs, domain_ids=None, training=False, scale=None):
        """Returns the masked activations, of the shape of `inputs`."""
        if scale is None:
            if domain_ids is None:
                raise ValueError(
                    "DomainMask needs `domain_ids` [B] in training, and "
                    "`domain_ids` or `scale` otherwise"
                )
            # Keras hands integers over as floats when it builds a model.
            domain_ids = tf.cast(domain_ids, tf.int32)
            scale = tf.gather(self.mask_probs, domain_ids)  # [B, F]
            if training:
                scale = straight_through(self.draw(scale), scale)
        if len(scale.shape) == 2:
            for _ in inputs.shape[2:]:
                scale = scale[:, tf.newaxis]  # [B, 1, ..., F]
        return inputs * tf.cast(scale, inputs.dtype)

    def compute_output_shape(self, input_shape, *args, **kwargs):
        """Returns the input's shape."""
        return input_shape

    def get_config(self):
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "num_domains": self.num_domains,
            "seed": self.seed,
            "shared": self.shared,
        }
