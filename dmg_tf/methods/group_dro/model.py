"""GroupDRO: domains count the more, the higher their loss is."""

import keras
import tensorflow as tf

from dmg_tf.methods.group_dro.spec import SPEC
from dmg_tf.methods.risks import RiskModel, mean_of
from dmg_tf.methods.steps import Step


@keras.saving.register_keras_serializable("dmg_tf")
class GroupDRO(RiskModel):
    """Trains on all sources, those with a high loss weighing more and more.

    Sagawa, Koh, Hashimoto and Liang, "Distributionally Robust Neural Networks
    for Group Shifts", ICLR 2020, Algorithm 1, with sources for groups. With L_d
    the mean cross entropy of a source's images, a step first makes

        q_d ∝ q_d exp(η L_d)

    and then minimises Σ_d q_d L_d, q being constant.

    Differs: equally many images of each source in each batch, as in DomainBed,
    where the authors draw a group for each image. They show that it takes a
    strong weight decay, or few epochs: a network that fits all of its training
    images has the same loss, zero, everywhere.

    A source that is not in a batch keeps its weight, and a batch with losses
    that are not finite changes none.

    Everything is computed on the images of all replicas. The reported cross
    entropy is the mean over sources, the loss the weighted one; losses and
    weights by source are reported.

    Weights, besides the network's:
        domain_weights: q, float32 [D], not trained; equal at first.

    Raises:
        UserError: If there is one source only.
    """

    spec = SPEC

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ask_for_two_sources("weighs source domains against each other")

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        count = len(self.source_domains)
        self.domain_weights = self.add_weight(
            name="domain_weights",
            shape=(count,),
            initializer=keras.initializers.Constant(1.0 / count),
            trainable=False,
            aggregation="mean",
        )

    def objective(self, inputs, labels, weights=None):
        """Moves q, and returns the losses weighted by it."""
        outputs, seen = self.seen(inputs, labels, weights)
        risks = self.risks(seen)
        q = self.next_weights(tf.stop_gradient(risks), seen.there)
        self.domain_weights.assign(q)
        return Step(
            outputs.logits,
            {"weighted": (1.0, tf.reduce_sum(q * risks))},
            {
                "cross_entropy": mean_of(risks, seen.there),
                "worst": tf.reduce_max(risks),
                **self.of_each_source("risk", risks),
                **self.of_each_source("weight", q),
            },
        )

    def next_weights(self, risks, there):
        """Returns what q is after a batch, float32 [D].

        Args:
            risks: float32 [D].
            there: float32 [D] of 0 and 1, which sources have images.
        """
        q = tf.cast(self.domain_weights, tf.float32)
        # In logarithms, where no loss is too high.
        grown = tf.math.log(q) + self.options.group_dro_step * risks
        grown = tf.where(there > 0, grown, -float("inf"))
        grown = tf.nn.softmax(grown) * tf.reduce_sum(there * q)
        known = tf.reduce_all(tf.math.is_finite(risks)) & (
            tf.reduce_sum(there) > 0
        )
        return tf.where((there > 0) & known, grown, q)
