"""A method of its own kind: an expert a domain, and gates between them."""

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.methods.base import DomainModel, PlainNetwork
from dmg_tf.methods.domain_heads import DomainHeads
from dmg_tf.methods.domain_logits import own
from dmg_tf.methods.task_network import TaskNetwork
from dmg_tf.rules import PredictionRule, domain_rules

GATES = (0.5, 0.3, 0.2)
GATED = PredictionRule("gated", "gated experts")
SUREST = PredictionRule("surest", "surest expert")
OWN = PredictionRule("own_expert", "own expert", needs_domain=True)
HIDDEN = PredictionRule("half", "half of it", selects=True, shown=False)


def rules_of_domains(domains):
    return (GATED, SUREST, OWN, *domain_rules("expert", domains), HIDDEN)


@keras.saving.register_keras_serializable("tests")
class Experts(DomainModel):
    """Its default rule is a weighted sum, which no other rule gives."""

    def make_task_network(self, stages):
        """Returns the task network with an expert a domain at its end."""
        experts = DomainHeads(len(self.source_domains), self.num_classes)
        return TaskNetwork([*stages[:-1], experts], name="task_network")

    def rules(self):
        """Returns the ways to predict, the default first."""
        return rules_of_domains(self.source_domains)

    def logits_by_rule(self, images, rules, domain_ids=None):
        """Predicts by several rules at once."""
        features = self.feature_extractor(images, training=False)
        each = tf.cast(self.task_network(features), tf.float32)  # [B, D, C]
        gated = tf.einsum("bdc,d->bc", each, tf.constant(GATES))
        found = {
            GATED.name: gated,
            SUREST.name: tf.reduce_max(each, axis=1),
            HIDDEN.name: gated / 2,
        }
        for index, rule in enumerate(
            domain_rules("expert", self.source_domains)
        ):
            found[rule.name] = each[:, index]
        if OWN.name in rules:
            found[OWN.name] = own(each, domain_ids)
        return {name: found[name] for name in rules}

    def plain_network(self):
        """Returns the weighted sum as one linear layer."""
        plain = DomainModel(
            self.backbone,
            self.num_classes,
            self.source_domains,
            image_size=self.image_size,
        )
        plain.build()
        plain.feature_extractor.set_weights(
            self.feature_extractor.get_weights()
        )
        for mine, theirs in zip(
            self.task_network.stages[:-1],
            plain.task_network.stages[:-1],
            strict=True,
        ):
            theirs.set_weights(mine.get_weights())
        experts = self.task_network.stages[-1].layers
        weights = zip(*(e.get_weights() for e in experts), strict=True)
        plain.task_network.stages[-1].set_weights(
            [np.tensordot(GATES, np.stack(w), axes=1) for w in weights]
        )
        return PlainNetwork(GATED, plain)


def make_experts(domains, size, classes=5):
    model = Experts("stub", classes, domains, image_size=size)
    model.build()
    rng = np.random.default_rng(3)
    for head in model.task_network.stages[-1].layers:
        head.kernel.assign(rng.normal(0, 2, head.kernel.shape))
        head.bias.assign(rng.normal(0, 1, head.bias.shape))
    return model
