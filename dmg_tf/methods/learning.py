"""How a method learns: what a step minimises, and what it reports."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.in_place import ValuesInPlace
from dmg_tf.methods.inner_steps import values_of
from dmg_tf.methods.replicas import num_replicas, sum_over_replicas
from dmg_tf.methods.sharpness import Sharpness
from dmg_tf.methods.steps import Step, accuracy, cross_entropies, mean_loss

MAIN = "main"


class Learning:
    """The training side of a `DomainModel`.

    A method overrides the first of `penalties`, `objective` and `train_step`
    that suffices.

    Attributes:
        total_steps: Steps of the whole run, for methods that ask for
            `progress`; set by whoever trains.
        learns_domains: Whether a step needs the domain of each image.
        sharpness: How a step looks nearby for its gradient, or None.
        gradient_clip: The greatest norm of a step's gradient, or None.
        class_weights: float32 [C], how much an image counts by its class, or
            None.
    """

    total_steps: int | None = None
    sharpness: Sharpness | None = None
    gradient_clip: float | None = None
    class_weights: Sequence[float] | None = None
    learns_domains = False

    def tracked(self) -> tuple[str, ...]:
        """Returns the names of the training metrics, in order."""
        further = (
            *self.spec.metrics,
            *(
                f"{name}_{domain}"
                for name in self.spec.metrics_by_domain
                for domain in self.source_domains
            ),
        )
        return (
            ("loss", "accuracy", "cross_entropy", *further)
            if further
            else ("loss", "accuracy")
        )

    def penalties(self) -> dict[str, tuple[float, tf.Tensor]]:
        """Returns {name: (weight, value)} of what is added to the loss."""
        return {}

    def objective(self, inputs, labels, weights=None) -> Step:
        """Returns what a step minimises.

        Args:
            inputs: {"image": ..., "domain_ids": ...}, as for a call.
            labels: int [B], or float [B, C] of shares.
            weights: float [B], how much each image counts, or None.
        """
        logits = tf.cast(self(inputs, training=True), tf.float32)
        cross_entropy = self.cross_entropy(labels, logits, weights)
        return Step(
            logits, {"cross_entropy": (1.0, cross_entropy), **self.penalties()}
        )

    def train_step(self, data):
        """Updates the weights with one batch; returns running means.

        Paper: Sec. 3.2, Eq. 2. Differs: cross entropy is the mean over the
        batch, as in the official code.
        """
        inputs, labels, weights = self.unpack(data)
        step = self.minimise(lambda: self.objective(inputs, labels, weights))
        return self.track(inputs, labels, step, weights=weights)

    def minimise(
        self,
        objective: Callable[[], Step],
        variables: Sequence | None = None,
        optimizer: str = MAIN,
    ) -> Step:
        """Takes one step of an optimiser.

        Args:
            objective: What to minimise; called under a gradient tape, and
                twice where `sharpness` says so.
            variables: What to change; None for all that the optimiser has.
            optimizer: "main", or a name of `trained_apart`.

        Returns:
            What the objective returned.
        """
        chosen = self.optimizers[optimizer]
        if variables is None:
            variables = self.trained_by(optimizer)

        def scaled(step):
            return chosen.scale_loss(_share_of_replica(step.loss))

        scale = chosen.scale_loss(1.0)
        state = self.non_trainable_variables if self.sharpness else ()
        before = values_of(state)
        with tf.GradientTape() as tape:
            step = objective()
            loss = scaled(step)
        gradients = tape.gradient(loss, variables)
        if self.sharpness:
            gradients = self.sharpness.gradients(
                lambda: scaled(objective()),
                variables,
                gradients,
                # As the first pass found what passes change.
                ValuesInPlace(state, before),
                scale,
            )
        if self.gradient_clip:
            gradients = self._clipped(gradients, scale)
        chosen.apply_gradients(zip(gradients, variables, strict=True))
        return step

    def _clipped(self, gradients, scale):
        """Returns gradients that, of all replicas, have at most the norm."""
        norm = tf.linalg.global_norm(sum_over_replicas(gradients)) / scale
        # In this order a norm that is no number is kept, and seen.
        factor = self.gradient_clip / tf.maximum(norm, self.gradient_clip)
        return [None if g is None else factor * g for g in gradients]

    def track(self, inputs, labels, *steps: Step, weights=None) -> dict:
        """Updates the running means and returns them.

        Args:
            inputs: The batch's, as for a call.
            labels: Its labels.
            *steps: What its updates learned from; loss and accuracy are the
                first one's.
            weights: float [B], or None.
        """
        values = {"loss": steps[0].loss}
        for step in reversed(steps):
            values |= {name: value for name, (_, value) in step.terms.items()}
            values |= step.metrics
        rows = steps[0].rows
        if rows is not None:
            labels = tf.gather(labels, rows)
            weights = None if weights is None else tf.gather(weights, rows)
        return self._track(inputs, labels, steps[0].logits, values, weights)

    def by_domain(self, x):
        """Sorts a batch by domain: [B, ...] -> [D, B / D, ...].

        For methods whose spec asks for batches `BY_DOMAIN`.
        """
        if x is None:
            return None
        x, num_domains = tf.convert_to_tensor(x), len(self.source_domains)
        shape = tf.shape(x)
        if x.dtype.is_integer:  # oneDNN says on most processors that it can't
            columns = num_domains * tf.range(shape[0] // num_domains)
            return tf.gather(x, tf.range(num_domains)[:, tf.newaxis] + columns)
        rows = tf.reshape(x, tf.concat([[-1, num_domains], shape[1:]], axis=0))
        order = [1, 0, *range(2, len(x.shape) + 1)]
        return tf.transpose(rows, order)

    def rate_of(self, variable, learning_rate: float) -> float:
        """Returns a variable's learning rate as a multiple of the network's.

        Args:
            variable: One of `trainable_variables`.
            learning_rate: The network's.
        """
        del variable, learning_rate
        return 1.0

    def trained_apart(self) -> Mapping[str, Sequence]:
        """Returns {name: variables} that optimisers of their own train."""
        return {}

    def trained_by(self, optimizer: str) -> list:
        """Returns the variables of an optimiser, by its name."""
        apart = self.trained_apart()
        if optimizer != MAIN:
            return list(apart[optimizer])
        others = {id(v) for group in apart.values() for v in group}
        return [v for v in self.trainable_weights if id(v) not in others]

    def compile_from_config(self, config):
        """Compiles a loaded model; its optimiser has what "main" trains."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trained_by(MAIN))

    @property
    def optimizers(self) -> dict[str, keras.optimizers.Optimizer]:
        """{name: optimiser}: the compiled one is "main"."""
        return {MAIN: self.optimizer, **getattr(self, "_further", {})}

    def use_optimizers(self, further: Mapping[str, Any]) -> None:
        """Sets the optimisers of `trained_apart`, by name; after `compile`."""
        # An object that Keras looks into would be saved with the weights.
        object.__setattr__(self, "_further", dict(further))

    @property
    def restarts_at(self) -> int | None:
        """The step before which optimisers forget all gradients, or None."""
        return None

    @property
    def progress(self):
        """The share of the run's steps that were taken: float32 in [0, 1]."""
        if self.total_steps is None:
            raise UserError(
                f"{self.spec.title} asks how far the run is: set "
                "model.total_steps to the number of its steps before fit"
            )
        done = tf.cast(self.optimizer.iterations, tf.float32)
        return tf.minimum(done / float(self.total_steps), 1.0)

    def unpack(self, data):
        """Returns (inputs as a dict, labels, weights or None) of a batch.

        Raises:
            UserError: If domain ids are missing that the method learns from.
        """
        inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        inputs = self.as_inputs(inputs)
        # Within a call, Keras would add lines of its own to the error.
        if self.learns_domains:
            self.domain_ids_of(inputs)
        if self.class_weights is not None:
            own = self._weights_of(labels)
            weights = own if weights is None else own * weights
        return inputs, labels, weights

    def _weights_of(self, labels):
        """Returns how much each image counts by its class, float32 [B]."""
        by_class = tf.constant(self.class_weights, tf.float32)
        if labels.dtype.is_integer:
            return tf.gather(by_class, labels)
        return tf.linalg.matvec(tf.cast(labels, tf.float32), by_class)

    def cross_entropy(self, labels, logits, weights=None):
        """Returns the mean loss of some images, a float32 scalar.

        That is the compiled loss, or else the cross entropy.

        Args:
            labels: int [B], or float [B, C] of shares.
            logits: float32 [B, C].
            weights: float [B], how much each image counts, or None.
        """
        return self.compute_loss(None, labels, logits, weights)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Returns the compiled loss, or else the mean cross entropy.

        Not divided by the number of replicas: `minimise` does that.
        """
        if getattr(self, "loss", None) is not None:
            loss = super().compute_loss(x, y, y_pred, sample_weight)
            # Keras has divided it by their number already.
            return loss * float(num_replicas())
        return mean_loss(cross_entropies(y, y_pred), sample_weight)

    @property
    def metrics(self):
        """The training metrics and compiled ones, reset before each epoch."""
        compiled = getattr(self, "_compile_metrics", None)
        return [*self.trackers.values(), *([compiled] if compiled else [])]

    def test_step(self, data):
        """Scores one batch by the default rule; returns running means."""
        inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        inputs = self.as_inputs(inputs)
        logits = tf.cast(self(inputs, training=False), tf.float32)
        values = {"loss": self.cross_entropy(labels, logits, weights)}
        return self._track(inputs, labels, logits, values, weights)

    def _track(self, inputs, labels, logits, values, weights):
        count = tf.shape(logits)[0]
        values["accuracy"] = accuracy(labels, logits)
        for name, tracker in self.trackers.items():
            if name in values:
                tracker.update_state(values[name], sample_weight=count)
        results = self.compute_metrics(inputs, labels, logits, weights)
        left_out = set(self.trackers) - set(values)
        return {k: v for k, v in results.items() if k not in left_out}


def _share_of_replica(loss):
    """Returns what a replica adds to the loss; gradients are summed up."""
    replicas = num_replicas()
    return loss / replicas if replicas > 1 else loss
