"""VREx: a loss that is the same in all domains."""

import keras
import tensorflow as tf

from dmg_tf.methods.annealed import AnnealedModel
from dmg_tf.methods.risks import mean_of
from dmg_tf.methods.steps import Step
from dmg_tf.methods.vrex.spec import SPEC


@keras.saving.register_keras_serializable("dmg_tf")
class VREx(AnnealedModel):
    """Trains on all sources and lowers the variance of their losses.

    Krueger et al., "Out-of-Distribution Generalization via Risk Extrapolation
    (REx)", ICML 2021, the form called V-REx. With R̄ the mean over sources of
    their mean cross entropy L_d, a step minimises

        R̄ + β mean_d (L_d - R̄)²

    with β = 1 at first (`vrex_anneal_steps`), as in DomainBed; then the
    optimiser begins anew.

    Differs: the mean of losses, as in DomainBed; the authors sum them. Their
    code for PACS passes one source twice and another not at all to the
    variance; here all sources are in it. Their division of the loss by β > 1 on
    other data is left out.

    Everything is computed on the images of all replicas. The losses by source
    are reported.

    Raises:
        UserError: If there is one source only.
    """

    spec = SPEC

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ask_for_two_sources("makes the losses of source domains alike")

    def annealing(self):
        """Returns β, and the steps before it."""
        return self.options.vrex_weight, self.options.vrex_anneal_steps

    def objective(self, inputs, labels, weights=None):
        """Returns mean and variance of the sources' losses."""
        outputs, seen = self.seen(inputs, labels, weights)
        risks = self.risks(seen)
        mean = mean_of(risks, seen.there)
        variance = mean_of(tf.square(risks - mean), seen.there)
        return Step(
            outputs.logits,
            {
                "cross_entropy": (1.0, mean),
                "variance": (self.penalty_weight, variance),
            },
            self.of_each_source("risk", risks),
        )
