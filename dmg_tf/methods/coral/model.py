"""CORAL: features with the same mean and covariance in all domains."""

import keras
import tensorflow as tf

from dmg_tf.methods.coral.distances import distances_of_pairs
from dmg_tf.methods.coral.spec import SPEC
from dmg_tf.methods.risks import RiskModel, mean_of
from dmg_tf.methods.steps import Step


@keras.saving.register_keras_serializable("dmg_tf")
class CORAL(RiskModel):
    """Trains on all sources and aligns mean and covariance of their features.

    Sun and Saenko, "Deep CORAL: Correlation Alignment for Deep Domain
    Adaptation", ECCV Workshops 2016, among source domains as in DomainBed. A
    step minimises

        mean_d L_d + γ mean over pairs (d, e) of
            [mean_k (μ_d - μ_e)_k² + mean_kl (C_d - C_e)_kl²]

    where L_d is the mean cross entropy of a source's images, and μ, C are mean
    and covariance (n - 1) of their features, the input of the last layer.

    Differs from the paper, as DomainBed does: there is no target to align to;
    means are aligned too; ‖C_d - C_e‖² is divided by F², not by 4 F². The
    paper weighs it so that both losses are alike in the end; γ = 1 is
    DomainBed's, for its features, and the distance depends on their scale.

    Everything is computed on the images of all replicas, in float32.

    Raises:
        UserError: If there is one source only.
    """

    spec = SPEC

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ask_for_two_sources("makes the features of source domains alike")

    def objective(self, inputs, labels, weights=None):
        """Returns cross entropy and distance of a batch."""
        outputs, seen = self.seen(inputs, labels, weights)
        distances, there = distances_of_pairs(
            tf.cast(seen.hidden, tf.float32), seen.weights
        )
        return Step(
            outputs.logits,
            {
                "cross_entropy": (1.0, mean_of(self.risks(seen), seen.there)),
                "distance": (
                    self.options.coral_weight,
                    mean_of(distances, there),
                ),
            },
        )
