"""Methods whose penalty gets its weight when a part of the run is over."""

import tensorflow as tf

from dmg_tf.methods.risks import RiskModel


class AnnealedModel(RiskModel):
    """A `RiskModel` whose penalty has the weight 1 before it gets its own.

    As in DomainBed, the optimiser forgets its moments at that step: those of
    small gradients would let the first large ones take far too long steps.
    """

    def annealing(self) -> tuple[float, float]:
        """Returns the penalty's weight, and the share of the run before it."""
        raise NotImplementedError

    @property
    def anneal_steps(self) -> int:
        """The number of steps before the penalty has its weight."""
        _, share = self.annealing()
        return round(share * self.steps_of_run()) if share else 0

    @property
    def restarts_at(self):
        """The first step with the penalty's weight, or None."""
        return self.anneal_steps or None

    @property
    def penalty_weight(self):
        """The penalty's weight in the next step, a float32 scalar."""
        weight, _ = self.annealing()
        over = self.optimizer.iterations.value >= self.anneal_steps
        return tf.where(over, tf.constant(weight, tf.float32), 1.0)
