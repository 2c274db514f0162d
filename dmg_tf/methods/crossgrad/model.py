"""CrossGrad: classes learned from images moved towards other domains."""

import keras
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.crossgrad.spec import SPEC
from dmg_tf.methods.inner_steps import values_of
from dmg_tf.methods.networks_beside import load_beside, network_beside
from dmg_tf.methods.replicas import num_replicas
from dmg_tf.methods.source_classifier import domain_loss
from dmg_tf.methods.steps import Step, accuracy


@keras.saving.register_keras_serializable("dmg_tf")
class CrossGrad(DomainModel):
    """Trains on images that another network's gradient moves.

    Shankar, Piratla et al., "Generalizing Across Domains via Cross-Gradient
    Training", ICLR 2018. F tells classes, E, a second whole network, domains.
    With clip to [-0.1, 0.1], images move up the other's loss,

        x_d = x + ε_F clip(∇_x CE(E(x), d)),
        x_y = x + ε_E clip(∇_x CE(F(x), y)),

    both constants, and a step minimises (1 - α) CE(F(x), y) + α CE(F(x_d), y)
    over F and likewise CE of d at x and x_y over E, from the same weights.

    Differs: the gradient is that of each image's own loss. That of the batch's
    mean, as public code has it (`crossgrad_gradient="batch"`), is as many times
    smaller as the batch has images: at ε = 1 these then hardly move and the
    clip never acts. ε is in units of normalised images. E gives F no code of
    the domain, nor does it in public code; no ReLU on logits, as in the
    authors'. One optimiser trains both. Running statistics are of the plain
    images alone.
    """

    spec = SPEC
    learns_domains = True

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        self.domain_network = network_beside(
            self, "domain_network", len(self.source_domains)
        )

    def load_torchvision(self, state_dict, source: str = "state_dict") -> None:
        """Loads weights, into both networks; that of domains keeps its head.

        Args:
            state_dict: {name: array}, as torchvision saves it.
            source: What to call it in errors.

        Raises:
            UserError: As for `DomainModel`.
        """
        super().load_torchvision(state_dict, source)
        load_beside(
            [self.domain_network], state_dict, source, keep_classifier=False
        )

    def objective(self, inputs, labels, weights=None):
        """Returns what a step minimises over both networks."""
        options = self.options
        domain_ids = self.domain_ids_of(inputs)
        images = tf.convert_to_tensor(inputs["image"])
        with tf.GradientTape(
            persistent=True, watch_accessed_variables=False
        ) as tape:
            tape.watch(images)
            logits = self.forward({"image": images}, training=True).logits
            told = self.domain_network.forward(
                {"image": images}, training=True
            ).logits
            # Sums over images: the gradient is each image's own.
            count = tf.cast(tf.shape(images)[0], tf.float32)
            label_sum = count * self.cross_entropy(labels, logits)
            domain_sum = count * domain_loss(domain_ids, told)
        by_domain = self.movement(
            tape.gradient(domain_sum, images), options.crossgrad_label_step
        )
        by_label = self.movement(
            tape.gradient(label_sum, images), options.crossgrad_domain_step
        )
        del tape
        moved = _on_moved(self, images + by_domain)
        moved_told = _on_moved(self.domain_network, images + by_label)
        share, domain_share = (
            options.crossgrad_label_share,
            options.crossgrad_domain_share,
        )
        return Step(
            logits,
            {
                "cross_entropy": (
                    1.0 - share,
                    self.cross_entropy(labels, logits, weights),
                ),
                "moved_cross_entropy": (
                    share,
                    self.cross_entropy(labels, moved, weights),
                ),
                "domain_loss": (
                    1.0 - domain_share,
                    domain_loss(domain_ids, told, weights),
                ),
                "moved_domain_loss": (
                    domain_share,
                    domain_loss(domain_ids, moved_told, weights),
                ),
            },
            {
                "domain_accuracy": accuracy(domain_ids, told),
                "movement": tf.reduce_mean(tf.abs(by_domain)),
            },
        )

    def movement(self, gradient, size: float):
        """Returns what is added to images, a constant.

        Args:
            gradient: [B, H, W, 3], of the sum of the images' losses.
            size: ε.
        """
        if self.options.crossgrad_gradient == "batch":
            rows = tf.shape(gradient)[0] * num_replicas()
            gradient /= tf.cast(rows, gradient.dtype)
        clip = self.options.crossgrad_clip
        return tf.stop_gradient(size * tf.clip_by_value(gradient, -clip, clip))


def _on_moved(network, images):
    """Returns logits in training, without moving running statistics."""
    values = values_of(network.network_weights())
    return network.logits_with(values, {"image": images})
