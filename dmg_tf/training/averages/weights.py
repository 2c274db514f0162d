"""Averages of the weights that a model takes on as it learns."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from dmg_tf.config import RunConfig
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.layers.batch_norm import batch_norms
from dmg_tf.methods.base import DomainModel
from dmg_tf.training.averages.valley import Valley, find_valley


class Average:
    """No average: the weights are scored and kept as they are.

    What is averaged is what prediction reads: the trained variables of
    `inference_layers`, of masks the logits. Networks that a method has beside
    its own are left as they are.

    Attributes:
        at_end: Whether there is an average at the end alone, so that no epoch
            is selected.
        variables: What a checkpoint must keep.
    """

    at_end = False
    variables: Sequence[tf.Variable] = ()

    def after_step(self) -> None:
        """Looks at the weights behind a step."""

    def after_validation(self, losses: Sequence[float]) -> bool:
        """Looks at the validation losses so far.

        Args:
            losses: At the end of each period, the last one included.

        Returns:
            Whether the training has nothing left to add.
        """
        del losses
        return False

    def in_place(self) -> contextlib.AbstractContextManager:
        """Puts the average in the weights' place, for a while."""
        return contextlib.nullcontext()

    def finish(self, losses: Sequence[float], stream: TrainingStream) -> None:
        """Makes the average the model's weights, for good.

        Args:
            losses: As for `after_validation`, all of them.
            stream: What is learned from.
        """

    def summary(self) -> dict:
        """Returns what the results say of it."""
        return {}


class Ema(Average):
    """An exponential moving average of the weights, scored in their place.

    After step t: a <- d a + (1 - d) w, with d = min(decay, (1 + t) / (10 + t)),
    so that a short training does not remember its first weights. Running batch
    statistics are averaged like weights.

    Args:
        model: Built and compiled.
        decay: The greatest d.
    """

    def __init__(self, model: DomainModel, decay: float):
        self._optimizer, self._decay = model.optimizer, decay
        self._weights = [
            *_trained(model),
            *(
                running
                for layer in batch_norms(model.inference_layers())
                for running in (layer.moving_mean, layer.moving_variance)
            ),
        ]
        self.variables = _copies(self._weights)
        self._step = tf.function(self._add, autograph=False)

    def after_step(self) -> None:
        """Moves the average towards the weights."""
        self._step()

    def _add(self):
        step = tf.cast(self._optimizer.iterations.value, tf.float32)
        kept = tf.minimum(self._decay, (1.0 + step) / (10.0 + step))
        for average, weight in zip(self.variables, self._weights, strict=True):
            average.assign_add((1.0 - kept) * (weight.value - average))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the average in the weights' place, for a while."""
        before = _copies(self._weights)
        _assign(self._weights, self.variables)
        try:
            yield
        finally:
            _assign(self._weights, before)

    def finish(self, losses, stream) -> None:
        """Makes the average the model's weights, for good."""
        _assign(self._weights, self.variables)


class Swad(Average):
    """The mean of the weights of all steps in a valley of the validation loss.

    Source: see `find_valley`. The weights of a valley's steps count alike;
    where none was found, those of the last period are averaged. Running batch
    statistics are then made anew by the averaged weights, from batches of the
    training.

    Args:
        model: Built and compiled.
        converge, patience, tolerance: See `find_valley`.
    """

    at_end = True
    # As the authors do.
    _MOST_BATCHES = 500

    def __init__(
        self,
        model: DomainModel,
        converge: int,
        patience: int,
        tolerance: float,
    ):
        self._model = model
        self._weights = _trained(model)
        self._rule = (converge, patience, tolerance)
        self._valley = Valley()
        self._count = 0
        # The steps of this period; of a run that goes on it is empty.
        self._sums = _copies(self._weights, zeros=True)
        with tf.device("CPU:0"):
            self._means = [
                _copies(self._weights, zeros=True)
                for _ in range(max(converge, patience))
            ]
            self._total = _copies(self._weights, zeros=True)
        self.variables = [v for s in (*self._means, self._total) for v in s]
        self._step = tf.function(self._add, autograph=False)

    def after_step(self) -> None:
        """Adds the weights to those of the period."""
        self._step()
        self._count += 1

    def _add(self):
        for total, weight in zip(self._sums, self._weights, strict=True):
            total.assign_add(weight.value)

    def after_validation(self, losses: Sequence[float]) -> bool:
        """Ends the period; returns whether the valley has ended."""
        now = find_valley(losses, *self._rule)
        if self._count:  # else they were seen before the run was stopped
            mean_of_period = self._mean(len(losses) - 1)
            for mean, total in zip(mean_of_period, self._sums, strict=True):
                mean.assign(total / self._count)
                total.assign(tf.zeros_like(total))
            self._count = 0
            self._take(now)
        self._valley = now
        return now.end is not None

    def finish(self, losses, stream) -> None:
        """Makes the average the model's weights, and its batch statistics."""
        valley = find_valley(losses, *self._rule, ended=True)
        self._take(valley)
        self._valley = valley
        count = len(valley.segments)
        if count:
            _assign(self._weights, [total / count for total in self._total])
        else:
            _assign(self._weights, self._mean(len(losses) - 1))
        self._renew_statistics(stream)

    def summary(self) -> dict:
        """Returns which periods were averaged, counted from 1."""
        segments = [segment + 1 for segment in self._valley.segments]
        return {"average": {"kind": "swad", "periods": segments}}

    def _mean(self, segment: int) -> list[tf.Variable]:
        """Returns the mean of a segment's weights, one of the last few."""
        return self._means[segment % len(self._means)]

    def _take(self, now: Valley):
        """Adds up the segments that were not yet known to be the valley's."""
        for segment in sorted({*now.segments} - {*self._valley.segments}):
            means = self._mean(segment)
            for total, mean in zip(self._total, means, strict=True):
                total.assign_add(mean)

    def _renew_statistics(self, stream):
        layers = [
            layer
            for layer in batch_norms(self._model.inference_layers())
            if not layer.frozen
        ]
        if not layers:
            return
        momentums = [layer.momentum for layer in layers]
        count = min(stream.steps_per_epoch, self._MOST_BATCHES)
        try:
            for number, (inputs, _) in enumerate(stream.dataset().take(count)):
                for layer in layers:
                    layer.momentum = number / (number + 1)
                self._model(inputs, training=True)
        finally:
            for layer, momentum in zip(layers, momentums, strict=True):
                layer.momentum = momentum


def make_average(model: DomainModel, config: RunConfig) -> Average:
    """Returns a run's average.

    Args:
        model: Built and compiled.
        config: Resolved.
    """
    if config.average == "ema":
        return Ema(model, config.ema_decay)
    if config.average == "swad":
        return Swad(
            model,
            config.swad_converge,
            config.swad_patience,
            config.swad_tolerance,
        )
    return Average()


def _trained(model: DomainModel) -> list[keras.Variable]:
    found = {
        id(weight): weight
        for layer in model.inference_layers()
        for weight in layer.trainable_weights
    }
    return list(found.values())


def _copies(weights, zeros: bool = False) -> list[tf.Variable]:
    make = tf.zeros_like if zeros else tf.identity
    return [tf.Variable(make(w.value), trainable=False) for w in weights]


def _assign(weights, values) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)
