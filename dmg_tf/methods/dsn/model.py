"""DSN: a shared code to classify by, private ones for what is a domain's."""

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import linear
from dmg_tf.layers.reverse_gradient import reverse_gradient
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.domain_logits import own
from dmg_tf.methods.dsn.losses import (
    difference,
    median,
    mmd_of_pairs,
    reconstruction,
    squared_distances,
)
from dmg_tf.methods.dsn.spec import SPEC
from dmg_tf.methods.source_classifier import (
    dense_layers,
    domain_loss,
    over_space,
    ramp,
)
from dmg_tf.methods.steps import Step, accuracy

# Side of what the decoder rebuilds, pixels.
SIDE = 32


@keras.saving.register_keras_serializable("dmg_tf")
class DSN(DomainModel):
    """Splits what is encoded into a part that domains share and one they don't.

    Bousmalis et al., "Domain Separation Networks", NeurIPS 2016. With shared
    codes c, private codes p of each image's own domain, decoder R, classifier G
    and domain classifier Z, a step minimises

        CE(G(c), y) + α L_rec(R(c, p)) + β L_diff(c, p) + γ L_sim(c)

    where L_diff wants c and p unrelated, and L_sim, through a gradient
    reversal, or as MMD, the domains' c alike. Private encoders, decoder and Z
    are for training alone.

    Differs: sources only, no target, from whose images DSN learns (that form is
    of the PACS benchmark, whose code is not public). c is the input of the last
    layer, so that the network is the plain one. p is a linear layer a domain,
    with a ReLU, on what the task network takes, averaged over space, without
    gradient to it: or else the network would learn to feed it. R rebuilds the
    image averaged down to 32 x 32 pixels by dense layers, of c and p side by
    side (theirs: of their sum, by convolutions). L_rec and L_diff are means, of
    pairs of images in L_diff, where the paper has sums: weights are for these
    (the defaults are those of a PyTorch port on digits, none are known for
    PACS). MMD's widths follow the codes' distances. Z learns from the start;
    the strength of the reversal grows from `dsn_start` on as DANN's, MMD's
    weight is 0 until then. AlexNet's c has its dropout.

    On several devices L_diff and MMD are means of what each has.
    """

    spec = SPEC
    learns_domains = True

    def build_task_network(self, features):
        """Calls the task network on symbolic features, makes the rest."""
        super().build_task_network(features)
        options, domains = self.options, len(self.source_domains)
        self.private = [
            linear(
                f"private.{domain}",
                features.shape[-1],
                options.dsn_code,
                self.seed,
            )
            for domain in range(domains)
        ]
        for encoder in self.private:
            encoder.build((None, features.shape[-1]))
        self.decoder = dense_layers(
            "decoder",
            self.num_features + options.dsn_code,
            [options.dsn_decoder_width, SIDE * SIDE * 3],
            self.seed,
        )
        if options.dsn_similarity == "adversary":
            self.adversary = dense_layers(
                "adversary",
                self.num_features,
                [options.dsn_adversary_width, domains],
                self.seed,
            )

    def tracked(self):
        """Returns the names of the training metrics, in order."""
        names = super().tracked()
        if self.options.dsn_similarity == "adversary":
            return names
        adversary = ("domain_accuracy", "reversal")
        return tuple(name for name in names if name not in adversary)

    def objective(self, inputs, labels, weights=None):
        """Returns what a step minimises."""
        options = self.options
        outputs = self.forward(inputs, training=True)
        domain_ids = self.domain_ids_of(inputs)
        private = self.private_codes(outputs.entry, domain_ids)
        codes = tf.concat([outputs.hidden, private], axis=1)
        rebuilt = tf.cast(self.decoder(codes), tf.float32)
        shared = tf.cast(outputs.hidden, tf.float32)
        private = tf.cast(private, tf.float32)
        weight, similarity, metrics = self.similarity(
            shared, domain_ids, weights
        )
        norms = tf.norm(tf.stop_gradient(private), axis=1)
        return Step(
            outputs.logits,
            {
                "cross_entropy": (
                    1.0,
                    self.cross_entropy(labels, outputs.logits, weights),
                ),
                "reconstruction": (
                    options.dsn_reconstruction_weight,
                    reconstruction(
                        thumbnails(inputs["image"]),
                        rebuilt,
                        options.dsn_reconstruction,
                        weights,
                    ),
                ),
                "difference": (
                    options.dsn_difference_weight,
                    difference(
                        shared, private, domain_ids, options.dsn_difference
                    ),
                ),
                "similarity": (weight, similarity),
            },
            {**metrics, "private_norm": tf.reduce_mean(norms)},
        )

    def private_codes(self, entry, domain_ids):
        """Returns the codes of each image's own private encoder, [B, P].

        Args:
            entry: [B, ...], what the task network took.
            domain_ids: int32 [B].
        """
        entry = tf.stop_gradient(entry)
        pooled = over_space(entry)
        each = tf.stack([encode(pooled) for encode in self.private], axis=1)
        return tf.nn.relu(own(each, domain_ids))

    def similarity(self, shared, domain_ids, weights=None):
        """Returns what tells the domains' shared codes apart.

        Args:
            shared: [B, F].
            domain_ids: int32 [B].
            weights: float [B], how much each image counts, or None; not heeded
                by MMD.

        Returns:
            (weight, value, {metric: value}).
        """
        weight, start = (
            self.options.dsn_similarity_weight,
            self.options.dsn_start,
        )
        progress = self.progress
        if self.options.dsn_similarity == "mmd":
            distances = tf.stop_gradient(squared_distances(shared))
            pairs = mmd_of_pairs(
                shared,
                domain_ids,
                len(self.source_domains),
                # Codes that are all alike have no width.
                tf.maximum(median(distances), 1e-6)
                * tf.constant(self.options.dsn_mmd_widths, shared.dtype),
            )
            started = tf.cast(progress >= start, tf.float32)
            return weight * started, tf.reduce_mean(pairs), {}
        strength = ramp(tf.nn.relu(progress - start) / (1.0 - start))
        told = self.adversary(reverse_gradient(shared, strength))
        told = tf.cast(told, tf.float32)
        return (
            weight,
            domain_loss(domain_ids, told, weights),
            {
                "domain_accuracy": accuracy(domain_ids, told),
                "reversal": strength,
            },
        )


def thumbnails(images, side: int = SIDE):
    """Averages images down to squares, float32 [B, side * side * 3].

    By products of matrices, as resizing by area has kernels for CPUs alone.

    Args:
        images: float [B, H, W, 3].
        side: Pixels.
    """
    images = tf.cast(images, tf.float32)
    rows, columns = (_area(tf.shape(images)[axis], side) for axis in (1, 2))
    small = tf.einsum("ih,bhwc,jw->bijc", rows, images, columns)
    return tf.reshape(small, [-1, side * side * 3])


def _area(length, side: int):
    """Returns the share of each old pixel in each new one, [side, length]."""
    length = tf.cast(length, tf.float32)
    scale = length / side
    begin = scale * tf.range(side, dtype=tf.float32)[:, tf.newaxis]
    pixel = tf.range(length)
    overlap = tf.minimum(begin + scale, pixel + 1.0) - tf.maximum(begin, pixel)
    return tf.nn.relu(overlap) / scale
