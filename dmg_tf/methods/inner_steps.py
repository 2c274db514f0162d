"""Gradient steps within a step, on values in place of variables."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from dmg_tf.methods.replicas import mean_over_replicas


def values_of(variables) -> list[tf.Tensor]:
    """Returns the values of variables."""
    return [tf.convert_to_tensor(v.value) for v in variables]


def sources_of(variables) -> list:
    """Returns what a tape takes gradients by: variables, or what is in place.

    A tape that starts within `ValuesInPlace` must be told to watch them.
    """
    return [v.value for v in variables]


def stepped(
    loss: Callable[[list[tf.Tensor]], tf.Tensor],
    values: Sequence[tf.Tensor],
    rate: float,
    steps: int = 1,
    first_order: bool = False,
    shared: bool = False,
) -> list[tf.Tensor]:
    """Takes plain gradient steps and returns where they lead.

    Args:
        loss: (values) -> scalar.
        values: Where to start.
        rate: Size of a step.
        steps: How many.
        first_order: Whether the result is constant but for `values`; else it
            can be differentiated through the gradients too.
        shared: Whether replicas take the same steps, along the mean of their
            gradients.

    Returns:
        Tensors of the shapes of `values`. What the loss does not depend on
        stays as it is.
    """
    values = list(values)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(values)
            result = loss(values)
        gradients = tape.gradient(result, values)
        if shared:
            gradients = mean_over_replicas(gradients)
        values = moved(values, gradients, rate, first_order)
    return values


def moved(
    values: Sequence[tf.Tensor],
    gradients: Sequence[tf.Tensor | None],
    rate: float,
    first_order: bool = False,
) -> list[tf.Tensor]:
    """Returns where one plain gradient step leads.

    Args:
        values: Where to start.
        gradients: One of each value; None for what stays as it is.
        rate: Size of the step.
        first_order: See `stepped`.
    """
    if first_order:
        gradients = [
            None if gradient is None else tf.stop_gradient(gradient)
            for gradient in gradients
        ]
    return [
        value if gradient is None else value - rate * gradient
        for value, gradient in zip(values, gradients, strict=True)
    ]


def with_gradients(
    value, sources: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor | None]
):
    """Returns a scalar whose gradients are the given ones, taken elsewhere.

    Args:
        value: What to return.
        sources: What to give gradients to.
        gradients: One of each source; None for zeros.
    """
    gradients = [
        tf.zeros_like(source) if gradient is None else gradient
        for source, gradient in zip(sources, gradients, strict=True)
    ]

    @tf.custom_gradient
    def carrier(*_):
        def backward(upstream):
            return [tf.cast(upstream, g.dtype) * g for g in gradients]

        return tf.stop_gradient(value), backward

    return carrier(*sources)
