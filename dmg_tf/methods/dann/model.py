"""DANN: features in which a classifier can't tell the domains apart."""

import keras
import tensorflow as tf

from dmg_tf.layers.reverse_gradient import reverse_gradient
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.dann.spec import SPEC
from dmg_tf.methods.source_classifier import (
    dense_layers,
    ramp,
)
from dmg_tf.methods.steps import Step, accuracy, cross_entropies, mean_loss


@keras.saving.register_keras_serializable("dmg_tf")
class DANN(DomainModel):
    """Trains a network against a classifier of its features' domains.

    Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation",
    ICML 2015; Ganin et al., JMLR 2016, among source domains. With the domain
    classifier K on the features f, the input of the last layer, a step
    minimises CE(y) + μ CE(K(f), d) over K, and CE(y) - λ μ CE(K(f), d) over the
    network: K sees f through a gradient reversal of strength λ.

    Differs: it tells the sources apart, as there is no target to adapt to. K
    has two hidden layers of 256 units without dropout (theirs 1024, dropout
    0.5) and the network's rate (theirs 10 times that). `alternating` is
    DomainBed's form with its gradient penalty, but both update in every step,
    from the same features, where DomainBed takes a batch for each in turn;
    there λ starts from 0 too, unless `dann_schedule` is constant.

    What tells domains apart can be their shares of the classes: where these
    differ, K's accuracy will not come down to chance without harm.
    """

    spec = SPEC
    learns_domains = True

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        hidden = [self.options.dann_width] * self.options.dann_layers
        self.discriminator = dense_layers(
            "discriminator",
            self.num_features,
            [*hidden, len(self.source_domains)],
            self.seed,
        )

    def tracked(self):
        """Returns the names of the training metrics, in order."""
        names = super().tracked()
        if self.options.dann_gradient_penalty:
            return names
        return tuple(name for name in names if name != "gradient_penalty")

    def trained_apart(self):
        """Returns the domain classifier, if updates alternate."""
        if self.options.dann_update == "joint":
            return {}
        return {"discriminator": self.discriminator.trainable_variables}

    def rate_of(self, variable, learning_rate):
        """Returns the domain classifier's multiple of the network's rate."""
        own = {id(v) for v in self.discriminator.trainable_variables}
        return self.options.dann_rate_ratio if id(variable) in own else 1.0

    @property
    def reversal(self):
        """The strength λ of the next step, a float32 scalar."""
        strength = self.options.dann_reversal
        if self.options.dann_schedule == "constant":
            return tf.constant(strength, tf.float32)
        return strength * ramp(self.progress)

    def objective(self, inputs, labels, weights=None):
        """Returns what a joint step minimises, the reversal in it."""
        outputs, strength = self.forward(inputs, training=True), self.reversal
        features = reverse_gradient(outputs.hidden, strength)
        terms, metrics = self.telling(features, inputs, weights)
        return self._step(outputs, labels, weights, terms, strength, metrics)

    def train_step(self, data):
        """Updates network and domain classifier with one batch."""
        if self.options.dann_update == "joint":
            return super().train_step(data)
        inputs, labels, weights = self.unpack(data)
        features = []

        def hide():
            outputs = self.forward(inputs, training=True)
            features.append(outputs.hidden)
            terms, metrics = self.telling(outputs.hidden, inputs, weights)
            strength = self.reversal
            terms = {k: (-strength * w, v) for k, (w, v) in terms.items()}
            return self._step(
                outputs, labels, weights, terms, strength, metrics
            )

        def tell():
            # Of the first pass: another would move the running statistics.
            seen = tf.stop_gradient(features[0])
            return Step(None, *self.telling(seen, inputs, weights))

        network = self.minimise(hide)
        discriminator = self.minimise(tell, optimizer="discriminator")
        return self.track(
            inputs, labels, network, discriminator, weights=weights
        )

    def telling(self, features, inputs, weights=None):
        """Returns the terms of telling the domains apart, and the accuracy.

        Args:
            features: [B, F].
            inputs: The batch's.
            weights: float [B], or None.

        Returns:
            ({name: (weight, value)}, {name: value}) as of a `Step`.
        """
        domain_ids = self.domain_ids_of(inputs)
        weight = self.options.dann_weight
        penalty = self.options.dann_gradient_penalty
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(features)
            logits = self.discriminator(features, training=True)
            logits = tf.cast(logits, tf.float32)
            each = cross_entropies(domain_ids, logits)
        terms = {"domain_loss": (weight, mean_loss(each, weights))}
        if penalty:
            # The sum's gradient: that of each image's own loss.
            slopes = tf.cast(tape.gradient(each, features), tf.float32)
            squares = tf.reduce_sum(tf.square(slopes), axis=-1)
            terms["gradient_penalty"] = (
                weight * penalty,
                mean_loss(squares, weights),
            )
        return terms, {"domain_accuracy": accuracy(domain_ids, logits)}

    def _step(self, outputs, labels, weights, terms, strength, metrics):
        loss = self.cross_entropy(labels, outputs.logits, weights)
        return Step(
            outputs.logits,
            {"cross_entropy": (1.0, loss), **terms},
            {**metrics, "reversal": strength},
        )
