"""The baseline with a classifier a domain on one shared network."""

import keras
import tensorflow as tf

from dmg_tf.methods.domain_heads import HeadedModel
from dmg_tf.methods.domain_logits import by_rule, own
from dmg_tf.methods.multi_headed.spec import SPEC
from dmg_tf.rules import PredictionRule, domain_rules


@keras.saving.register_keras_serializable("dmg_tf")
class MultiHeaded(HeadedModel):
    """Trains one network with a classifier for each source domain.

    Paper: Sec. 4.1 ("Multi-Headed"). An image of the sources trains the head of
    its own domain only. Differs: the official code's AlexNet has one head that
    all domains share by mistake, which makes it the aggregate baseline; here
    every backbone has a head a domain. An epoch is selected with each image
    under its own domain's head.

    Prediction rules: `pred_ens` (mean of the heads' logits), `known_domain`
    (each image under its own domain's head) and `head/<domain>` (all images
    under one domain's head).
    """

    spec = SPEC

    def rules(self):
        """Returns the ways to predict, the default first."""
        return (
            PredictionRule("pred_ens", "Pred-Ens", mean_of_domains=True),
            PredictionRule(
                "known_domain", "known domain", needs_domain=True, selects=True
            ),
            *domain_rules("head", self.source_domains),
        )

    def call(self, inputs, training=False):
        """Returns logits [B, C]: own heads in training, else Pred-Ens."""
        inputs = self.as_inputs(inputs)
        if training:
            per_head = self.per_head(inputs["image"], training=True)
            return own(per_head, self.domain_ids_of(inputs))
        rule = self.prediction_rules[0]
        return self.logits_by_rule(inputs["image"], [rule])[rule]

    def logits_by_rule(self, images, rules, domain_ids=None):
        """Predicts by several rules at once; the network runs once."""
        per_head = tf.cast(self.per_head(images), tf.float32)  # [B, D, C]
        return by_rule(
            per_head, self.rules_named(rules), self.source_domains, domain_ids
        )

    def forward(self, inputs, training=False):
        """Returns the mean of the heads' logits, and what they are made of."""
        outputs = super().forward(inputs, training)  # logits [B, D, C]
        return outputs._replace(logits=tf.reduce_mean(outputs.logits, axis=1))
