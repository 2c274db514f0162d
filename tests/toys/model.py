"""The model of the toy method."""

import keras
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.domain_logits import by_rule, own
from dmg_tf.methods.steps import Step
from dmg_tf.rules import PredictionRule, domain_rules
from tests.toys.method import SPEC


@keras.saving.register_keras_serializable("toys")
class Experts(DomainModel):
    """Adds to the network's logits those of each domain's own expert."""

    spec = SPEC

    def build(self, input_shape=None):
        super().build(input_shape)
        size = len(self.source_domains) * self.num_classes
        self.experts = keras.layers.Dense(
            size,
            use_bias=self.options.expert_bias,
            kernel_initializer=keras.initializers.RandomNormal(
                0.0, 0.1, seed=self.seed
            ),
            name="experts",
        )
        width = self.task_network.stages[-1].kernel.shape[0]
        self.experts.build((None, width))

    def inference_layers(self):
        return [*super().inference_layers(), self.experts]

    def rules(self):
        return (
            PredictionRule("mean_expert", "mean of experts"),
            PredictionRule("shared", "without experts"),
            PredictionRule(
                "own_expert", "own expert", needs_domain=True, selects=True
            ),
            *domain_rules("expert", self.source_domains),
        )

    def _per_domain(self, outputs):
        shape = [-1, len(self.source_domains), self.num_classes]
        experts = tf.reshape(self.experts(outputs.hidden), shape)
        return outputs.logits[:, tf.newaxis] + tf.cast(experts, tf.float32)

    def objective(self, inputs, labels, weights=None):
        outputs = self.forward(inputs, training=True)
        per_domain = self._per_domain(outputs)
        logits = own(per_domain, self.domain_ids_of(inputs))
        # Equal shares of the domains, or it fails.
        losses = [
            self.cross_entropy(y, z)
            for y, z in zip(
                tf.unstack(self.by_domain(labels), len(self.source_domains)),
                tf.unstack(self.by_domain(logits), len(self.source_domains)),
                strict=True,
            )
        ]
        spread = tf.math.reduce_std(per_domain, axis=1)
        return Step(
            logits,
            {
                "cross_entropy": (1.0, tf.add_n(losses) / len(losses)),
                "spread": (self.options.spread, tf.reduce_mean(spread)),
            },
        )

    def call(self, inputs, training=False):
        rule = self.prediction_rules[0]
        images = self.as_inputs(inputs)["image"]
        return self.logits_by_rule(images, [rule])[rule]

    def logits_by_rule(self, images, rules, domain_ids=None):
        outputs = self.forward({"image": images})
        found = by_rule(
            self._per_domain(outputs),
            self.rules_named(r for r in rules if r != "shared"),
            self.source_domains,
            domain_ids,
        )
        return {**found, "shared": outputs.logits}
