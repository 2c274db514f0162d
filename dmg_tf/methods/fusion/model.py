"""Fusion: a classifier a domain, mixed by how much an image is like each."""

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import linear
from dmg_tf.methods.domain_heads import HeadedModel
from dmg_tf.methods.domain_logits import by_rule
from dmg_tf.methods.fusion.spec import SPEC
from dmg_tf.methods.source_classifier import domain_loss
from dmg_tf.methods.steps import Step, accuracy
from dmg_tf.rules import PredictionRule, domain_rules

PREDICTED = PredictionRule("pred_ens", "Pred-Ens", selects=True)
EQUAL = PredictionRule("equal_weights", "equal weights", mean_of_domains=True)
KNOWN = PredictionRule("known_domain", "known domain", needs_domain=True)


@keras.saving.register_keras_serializable("dmg_tf")
class Fusion(HeadedModel):
    """Mixes heads of the domains by what a domain classifier says.

    Mancini, Rota Bulò, Caputo and Ricci, "Best sources forward: domain
    generalization through source-specific nets", ICIP 2018. With heads f_j and
    domain classifier a on the input h of the last layer,

        z = Σ_j [(1 - α) w_j + α / D] f_j(h),    w = softmax a(h),

    and a step minimises CE(z, y) + λ CE(a(h), d) over all weights.

    Differs, where no source was found that says it (no code is public): scores
    are mixed, not probabilities; in training w is the known domain's one-hot
    vector, so that each head becomes its domain's while it still learns from
    the others by α / D (`fusion_weights="predicted"` mixes as at test time);
    λ = 0.5; the gradient of a reaches the network.

    Prediction rules: `pred_ens` (weights as predicted), `equal_weights` (mean
    of the heads' logits, Pred-Ens of Multi-Headed), `known_domain` (w the known
    domain's) and `head/<domain>` (one head alone).
    """

    spec = SPEC

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        domains = len(self.source_domains)
        self.gate = linear("gate", self.num_features, domains, self.seed)
        self.gate.build((None, self.num_features))

    def inference_layers(self):
        """Returns the layers that prediction reads."""
        return [*super().inference_layers(), self.gate]

    def rules(self):
        """Returns the ways to predict, the default first."""
        heads = domain_rules("head", self.source_domains)
        return (PREDICTED, EQUAL, KNOWN, *heads)

    def scores(self, inputs, training=False):
        """Returns a forward pass with all heads' logits, and the domains'.

        Args:
            inputs: As for a call.
            training: As for a call.

        Returns:
            (`Outputs` with logits [B, D, C], domain logits float32 [B, D]).
        """
        outputs = super().forward(inputs, training)
        return outputs, tf.cast(self.gate(outputs.hidden), tf.float32)

    def weights_of(self, shares):
        """Returns the weights of the heads, of each domain's shares [B, D]."""
        equal = self.options.fusion_equal_share
        return (1.0 - equal) * shares + equal / len(self.source_domains)

    def mixed(self, per_head, shares):
        """Returns the mixture of the heads' logits, [B, C].

        Args:
            per_head: float32 [B, D, C].
            shares: float32 [B, D], of a sum of 1 an image.
        """
        return tf.einsum("bd,bdc->bc", self.weights_of(shares), per_head)

    def shares_of(self, domain_ids):
        """Returns the known domains as shares, float32 [B, D]."""
        domain_ids = tf.cast(domain_ids, tf.int32)
        return tf.one_hot(domain_ids, len(self.source_domains))

    def fused(self, inputs, training=False):
        """Returns a forward pass with logits [B, C], and domain logits."""
        outputs, domain_logits = self.scores(inputs, training)
        if training and self.options.fusion_weights == "known":
            shares = self.shares_of(self.domain_ids_of(inputs))
        else:
            shares = tf.nn.softmax(domain_logits)
        logits = self.mixed(outputs.logits, shares)
        return outputs._replace(logits=logits), domain_logits

    def forward(self, inputs, training=False):
        """Returns the mixed logits, and what they are made of."""
        return self.fused(inputs, training)[0]

    def call(self, inputs, training=False):
        """Returns logits [B, C]: mixed as in training, else as predicted."""
        return self.forward(inputs, training).logits

    def objective(self, inputs, labels, weights=None):
        """Returns cross entropy of classes and domains."""
        outputs, domain_logits = self.fused(inputs, training=True)
        domain_ids = self.domain_ids_of(inputs)
        return Step(
            outputs.logits,
            {
                "cross_entropy": (
                    1.0,
                    self.cross_entropy(labels, outputs.logits, weights),
                ),
                "domain_loss": (
                    self.options.fusion_domain_weight,
                    domain_loss(domain_ids, domain_logits, weights),
                ),
            },
            {"domain_accuracy": accuracy(domain_ids, domain_logits)},
        )

    def logits_by_rule(self, images, rules, domain_ids=None):
        """Predicts by several rules at once; the network runs once."""
        outputs, domain_logits = self.scores({"image": images})
        mixtures = {PREDICTED.name: lambda: tf.nn.softmax(domain_logits)}
        mixtures[KNOWN.name] = lambda: self.shares_of(domain_ids)
        found = {
            name: self.mixed(outputs.logits, shares())
            for name, shares in mixtures.items()
            if name in rules
        }
        rest = [name for name in rules if name not in mixtures]
        return found | by_rule(
            outputs.logits, self.rules_named(rest), self.source_domains
        )
