"""Small methods, each of which needs some of what a training calls."""

import contextlib
import dataclasses

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.inner_steps import stepped, values_of
from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.methods.steps import Step, cross_entropies
from dmg_tf.settings import setting

HERE = "tests.training.toy_methods"
HIDDEN = 8  # of the network "stub"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpreadOptions:
    spread_weight: float = setting("how much unequal losses cost", 1.0)


SPREAD = MethodSpec(
    title="Spread",
    model=f"{HERE}:Spread",
    options=SpreadOptions,
    batches=Batches.BY_DOMAIN,
    metrics={"spread": "spread of the losses", "worst": "worst"},
)


@keras.saving.register_keras_serializable("tests")
class Spread(DomainModel):
    """Wants equal losses of the domains: needs batches by domain."""

    spec = SPREAD

    def objective(self, inputs, labels, weights=None):
        ids = self.by_domain(self.domain_ids_of(inputs))
        domains = tf.range(len(self.source_domains))[:, tf.newaxis]
        sorted_out = tf.debugging.assert_equal(ids, ids * 0 + domains)
        with tf.control_dependencies([sorted_out]):
            logits = tf.cast(self(inputs, training=True), tf.float32)
        each = self.by_domain(cross_entropies(labels, logits))
        losses = tf.reduce_mean(each, axis=1)
        return Step(
            logits,
            {
                "cross_entropy": (1.0, tf.reduce_mean(losses)),
                "spread": (
                    self.options.spread_weight,
                    tf.math.reduce_variance(losses),
                ),
            },
            {"worst": tf.reduce_max(losses)},
        )


ADVERSARY = MethodSpec(
    title="Adversary",
    model=f"{HERE}:Adversary",
    metrics={"domain_accuracy": "domains"},
)


@keras.saving.register_keras_serializable("tests")
class Adversary(DomainModel):
    """Hides the domain from a classifier that has an optimiser of its own."""

    spec = ADVERSARY

    def build(self, input_shape=None):
        super().build(input_shape)
        self.adversary = keras.layers.Dense(
            len(self.source_domains),
            kernel_initializer=keras.initializers.GlorotUniform(self.seed),
            name="adversary",
        )
        self.adversary.build((None, HIDDEN))

    def trained_apart(self):
        return {"adversary": self.adversary.trainable_variables}

    def rate_of(self, variable, learning_rate):
        mine = {id(v) for v in self.adversary.trainable_variables}
        return 10.0 if id(variable) in mine else 1.0

    def train_step(self, data):
        inputs, labels, _ = self.unpack(data)
        ids = self.domain_ids_of(inputs)

        def hide():
            outputs = self.forward(inputs, training=True)
            domains = tf.cast(self.adversary(outputs.hidden), tf.float32)
            return Step(
                outputs.logits,
                {
                    "cross_entropy": (
                        1.0,
                        self.cross_entropy(labels, outputs.logits),
                    ),
                    "hiding": (
                        -0.1,
                        tf.reduce_mean(cross_entropies(ids, domains)),
                    ),
                },
            )

        def seek():
            hidden = self.forward(inputs, training=True).hidden
            domains = tf.cast(
                self.adversary(tf.stop_gradient(hidden)), tf.float32
            )
            hits = tf.argmax(domains, -1, tf.int32) == ids
            return Step(
                domains,
                {
                    "seeking": (
                        1.0,
                        tf.reduce_mean(cross_entropies(ids, domains)),
                    )
                },
                {"domain_accuracy": tf.reduce_mean(tf.cast(hits, tf.float32))},
            )

        network = self.minimise(hide)
        adversary = self.minimise(seek, optimizer="adversary")
        return self.track(inputs, labels, network, adversary)


RIDGE = MethodSpec(title="Ridge", model=f"{HERE}:Ridge", least_epochs=0)


@keras.saving.register_keras_serializable("tests")
class Ridge(DomainModel):
    """Its last layer is a ridge regression on all training images."""

    spec = RIDGE

    def before_validation(self, images):
        size = HIDDEN + 1
        inner = np.eye(size) * 1e-3
        outer = np.zeros((size, self.num_classes))
        for hidden, labels, _ in images.features("train"):
            x = np.concatenate([hidden, np.ones((len(hidden), 1))], axis=1)
            inner += x.T @ x
            outer += x.T @ (np.eye(self.num_classes)[labels] - 0.5)
        found = np.linalg.solve(inner, outer).astype(np.float32)
        last = self.task_network.stages[-1]
        last.kernel.assign(found[:-1])
        last.bias.assign(found[-1])


AVERAGED = MethodSpec(
    title="Averaged", model=f"{HERE}:Averaged", selects="last"
)


@keras.saving.register_keras_serializable("tests")
class Averaged(DomainModel):
    """Predicts by the mean of its weights since the first validation."""

    spec = AVERAGED

    def build(self, input_shape=None):
        super().build(input_shape)
        further = {"trainable": False, "aggregation": "mean"}
        self.sums = [
            self.add_weight(
                name=f"sum_{i}", shape=w.shape, initializer="zeros", **further
            )
            for i, w in enumerate(self.network_weights())
        ]
        self.counted = self.add_weight(name="counted", shape=(), **further)
        self.counts = self.add_weight(name="counts", shape=(), **further)
        self.counted.assign(0.0)
        self.counts.assign(0.0)

    def train_step(self, data):
        logs = super().train_step(data)
        for total, weight in zip(
            self.sums, self.network_weights(), strict=True
        ):
            total.assign(total + self.counts * weight)
        self.counted.assign(self.counted + self.counts)
        return logs

    def on_validation(self, history):
        assert [row["epoch"] for row in history] == list(
            range(1, len(history) + 1)
        )
        self.seen = [row["validation_overall"] for row in history]
        self.counts.assign(1.0)

    def averages(self):
        count = float(self.counted.numpy())
        if not count:
            return values_of(self.network_weights())
        return [total / count for total in values_of(self.sums)]

    @contextlib.contextmanager
    def scored_weights(self):
        before = values_of(self.network_weights())
        self._put(self.averages())
        yield
        self._put(before)

    def finish(self, images):
        self.finished_on = sum(len(y) for _, y in images.batches("train"))
        self._put(self.averages())

    def _put(self, values):
        for weight, value in zip(self.network_weights(), values, strict=True):
            weight.assign(value)


RIDGE_AVERAGED = MethodSpec(
    title="Ridge, averaged", model=f"{HERE}:RidgeAveraged", selects="last"
)


@keras.saving.register_keras_serializable("tests")
class RidgeAveraged(Ridge, Averaged):
    """All hooks around validation at once, for what is slow to start."""

    spec = RIDGE_AVERAGED


AHEAD = MethodSpec(
    title="Ahead",
    model=f"{HERE}:Ahead",
    uses_length=True,
    metrics={"after": "loss after a step", "share": "share"},
)


@keras.saving.register_keras_serializable("tests")
class Ahead(DomainModel):
    """Minimises the loss after a step too, the more the run is over."""

    spec = AHEAD

    def objective(self, inputs, labels, weights=None):
        now = super().objective(inputs, labels, weights)

        def loss(values):
            logits = self.logits_with(values, inputs)
            return tf.reduce_mean(cross_entropies(labels, logits))

        ahead = stepped(loss, values_of(self.network_weights()), 0.1)
        return Step(
            now.logits,
            {**now.terms, "after": (self.progress, loss(ahead))},
            {"share": self.progress},
        )


NAMES = {
    "spread": f"{HERE}:SPREAD",
    "adversary": f"{HERE}:ADVERSARY",
    "ridge": f"{HERE}:RIDGE",
    "averaged": f"{HERE}:AVERAGED",
    "ahead": f"{HERE}:AHEAD",
}
# Known to processes of their own too.
IN_PROCESSES = {**NAMES, "ridge_averaged": f"{HERE}:RIDGE_AVERAGED"}
