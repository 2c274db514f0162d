"""Adam, AdamW and SGD as PyTorch has them, with a rate for each variable.

Weight decay is PyTorch's `weight_decay` of `torch.optim.Adam` and `SGD`: the
decay times the parameter is added to the gradient of every parameter (biases,
batch normalisation and masks too), before the moments. Keras' own
`weight_decay` is the decoupled one, which trains differently; that is
`AdamW`'s here.

Each variable is updated by one fused kernel instead of a dozen operations.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf


class _OwnRates:
    """Adds weight decay, each variable's share of the rate, and a restart."""

    # Whether decay moves the weights by itself, not through the gradient.
    decoupled = False

    def build(self, variables):
        """Makes the moments; the rates are those of these variables."""
        super().build(variables)
        if self.rates is not None and len(self.rates) != len(variables):
            raise ValueError(
                f"`rates` must be as many as the {len(variables)} variables, "
                f"got {len(self.rates)}"
            )

    def get_config(self):
        """Returns the arguments that rebuild the optimizer."""
        return {
            **super().get_config(),
            "l2": self.l2,
            "rates": self.rates,
            "restart_at": self.restart_at,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuilds the optimizer, one of version 0.1 too."""
        config = dict(config)
        # Its method says what that meant; see `compile_from_config`.
        config.pop("mask_rate_ratio", None)
        return super().from_config(config, custom_objects=custom_objects)

    def _prepare(self, gradient, variable, learning_rate):
        """Returns index, gradient with decay, and the variable's rate."""
        index = self._get_variable_index(variable)
        gradient = tf.cast(gradient, variable.dtype)
        learning_rate = tf.cast(learning_rate, variable.dtype)
        if self.rates is not None and self.rates[index] != 1.0:
            learning_rate *= self.rates[index]
        if self.l2 and self.decoupled:
            variable.assign_sub(learning_rate * self.l2 * variable)
        elif self.l2:
            gradient += self.l2 * variable
        return index, gradient, learning_rate

    def _forget(self, *moments):
        """Sets moments to zero if this is the step to restart before."""
        if not self.restart_at:
            return

        def zeros():
            for moment in moments:
                tf.raw_ops.AssignVariableOp(
                    resource=moment.value.handle,
                    value=tf.zeros(moment.shape, moment.dtype),
                )
            return True

        # A step that loss scaling skips is not counted: the next one is it.
        now = tf.equal(tf.cast(self.iterations, tf.int64), self.restart_at)
        tf.cond(now, zeros, lambda: False)

    def _steps(self):
        """Returns the number of this step, from 1, since the restart."""
        done = tf.cast(self.iterations, tf.int64)
        if self.restart_at:
            before = tf.where(done < self.restart_at, 0, self.restart_at)
            done -= tf.cast(before, tf.int64)
        return done + 1


@keras.saving.register_keras_serializable("dmg_tf")
class Adam(_OwnRates, keras.optimizers.Adam):
    """Adam with PyTorch's update rule and constants (Sec. 7.5).

    PyTorch divides by sqrt(v) / sqrt(1 - beta_2^t) + epsilon; Keras adds
    epsilon before that correction.

    Args:
        learning_rate: Number or schedule.
        l2: Weight decay, added to the gradient.
        rates: A multiple of the learning rate for each variable, in their
            order; None for 1 everywhere. All follow the same schedule.
        restart_at: The number of steps after which the moments, and how many
            gradients are in them, begin anew; None for never.
        epsilon: PyTorch's 1e-8.
        **kwargs: As for `keras.optimizers.Adam`.
    """

    def __init__(
        self,
        learning_rate=1e-4,
        l2: float = 0.0,
        rates: Sequence[float] | None = None,
        restart_at: int | None = None,
        epsilon: float = 1e-8,
        **kwargs,
    ):
        super().__init__(learning_rate, epsilon=epsilon, **kwargs)
        self.l2 = l2
        self.rates = rates and list(rates)
        self.restart_at = restart_at

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable."""
        index, gradient, rate = self._prepare(gradient, variable, learning_rate)
        self._forget(self._momentums[index], self._velocities[index])
        step = tf.cast(self._steps(), variable.dtype)
        beta_1_power = tf.pow(tf.cast(self.beta_1, variable.dtype), step)
        beta_2_power = tf.pow(tf.cast(self.beta_2, variable.dtype), step)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            # The kernel wants an epsilon that is not yet bias-corrected.
            epsilon=self.epsilon * tf.sqrt(1 - beta_2_power),
            grad=gradient,
        )


@keras.saving.register_keras_serializable("dmg_tf")
class AdamW(Adam):
    """Adam whose weight decay is decoupled from the gradient's moments.

    Before a step a variable shrinks by its learning rate times `l2`, as in
    PyTorch's `AdamW`. Source: Loshchilov, Hutter, "Decoupled Weight Decay
    Regularization", ICLR 2019.
    """

    decoupled = True


@keras.saving.register_keras_serializable("dmg_tf")
class SGD(_OwnRates, keras.optimizers.SGD):
    """Stochastic gradient descent with PyTorch's momentum.

    The learning rate multiplies the accumulated gradient, not each gradient
    before it is accumulated.

    Args:
        learning_rate: Number or schedule.
        momentum: Share of the old accumulated gradient that is kept.
        l2: Weight decay, added to the gradient.
        rates: As for `Adam`.
        restart_at: As for `Adam`.
        **kwargs: As for `keras.optimizers.SGD`.
    """

    def __init__(
        self,
        learning_rate=1e-3,
        momentum: float = 0.9,
        l2: float = 0.0,
        rates: Sequence[float] | None = None,
        restart_at: int | None = None,
        **kwargs,
    ):
        super().__init__(learning_rate, momentum=momentum, **kwargs)
        self.l2 = l2
        self.rates = rates and list(rates)
        self.restart_at = restart_at

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable."""
        index, gradient, rate = self._prepare(gradient, variable, learning_rate)
        if not self.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(
                var=variable.handle, alpha=rate, delta=gradient
            )
            return
        self._forget(self.momentums[index])
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=self.momentums[index].value.handle,
            lr=rate,
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
        )


OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "sgd": SGD}
