"""Learning from where the loss is worst nearby: SAM and SAGM."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from dmg_tf.methods.in_place import ValuesInPlace
from dmg_tf.methods.inner_steps import values_of
from dmg_tf.methods.replicas import sum_over_replicas

KINDS = ("sam", "sagm")
# As in both sources, against a norm of 0.
_TINY = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sharpness:
    """What an update learns from, in place of the gradient at the weights.

    "sam": the gradient at θ + e, e = ρ g / ‖g‖ with g the gradient at θ.
    "sagm": the mean of the gradients at θ and at θ + e, e = (ρ / ‖g‖ - α) g.
    The norm is over all that an optimiser changes, masks and further networks
    too, and of the gradient of all replicas together.

    Sources: Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-Aware Minimization
    for Efficiently Improving Generalization", ICLR 2021; Wang, Zhang, Lei,
    Zhang, "Sharpness-Aware Gradient Matching for Domain Generalization", CVPR
    2023. Differs: weight decay, which the optimiser adds, has no part in e; a
    second pass draws the same random numbers and begins with the same state as
    the first, and what it would change (batch statistics, a method's own
    state) is dropped.

    Attributes:
        kind: "sam" or "sagm".
        radius: ρ.
        alpha: α, of "sagm" alone.
    """

    kind: str
    radius: float = 0.05
    alpha: float = 1e-3

    def gradients(
        self,
        loss: Callable[[], tf.Tensor],
        variables: Sequence,
        gradients: Sequence,
        state: ValuesInPlace,
        scale=1.0,
    ) -> list:
        """Returns what is handed to the optimiser.

        Args:
            loss: Computes this replica's share of the loss anew, times `scale`.
            variables: θ.
            gradients: Of that share at θ, a tensor a variable; None for what
                has no part in it.
            state: All else that a pass may change, as it was before the first.
            scale: What losses are multiplied with, lest 16 bits be too few.
        """
        offsets = self.offsets(gradients, scale)
        values = [
            value if offset is None else value + offset
            for value, offset in zip(values_of(variables), offsets, strict=True)
        ]
        with (
            tf.GradientTape(watch_accessed_variables=False) as tape,
            state,
            ValuesInPlace(variables, values),
        ):
            tape.watch(values)
            there = loss()
        nearby = tape.gradient(there, values)
        if self.kind == "sam":
            return nearby
        return [
            None if here is None or there is None else 0.5 * (here + there)
            for here, there in zip(gradients, nearby, strict=True)
        ]

    def offsets(self, gradients: Sequence, scale=1.0) -> list:
        """Returns e; see `gradients`."""
        total = sum_over_replicas(gradients)
        factor = self.radius / (tf.linalg.global_norm(total) + _TINY)
        if self.kind == "sagm":
            factor -= self.alpha / scale
        return [None if g is None else factor * g for g in total]
