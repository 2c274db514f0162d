"""Methods whose penalty gets its weight after a number of steps."""

import tensorflow as tf

from dmg_tf.methods.risks import RiskModel


class AnnealedModel(RiskModel):
    """A `RiskModel` whose penalty has the weight 1 before it gets its own.

    As in DomainBed, the optimiser forgets its moments at that step: those of
    small gradients would let the first large ones take far too long steps.
    """

    def annealing(self) -> tuple[float, int]:
        """Returns the penalty's weight, and the steps before it has it."""
        raise NotImplementedError

    @property
    def restarts_at(self):
        """The first step with the penalty's weight, or None."""
        _, steps = self.annealing()
        return steps or None

    @property
    def penalty_weight(self):
        """The penalty's weight in the next step, a float32 scalar."""
        weight, steps = self.annealing()
        over = self.optimizer.iterations.value >= steps
        return tf.where(over, tf.constant(weight, tf.float32), 1.0)

    def describe(self):
        """Says if the run is too short for the penalty's weight."""
        weight, steps = self.annealing()
        total = self.total_steps
        if total is None or steps < total or weight == 1:
            return ()
        return (
            f"the penalty's weight stays 1: it is {weight:g} after {steps} "
            f"steps, and the run has {total}",
        )
