"""Small methods, each of which needs some of what a training calls."""

import contextlib
import dataclasses

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.inner_steps import values_of
from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.methods.steps import Step, cross_entropies
from dmg_tf.settings import setting

HERE = "tests.training.toy_methods"
HIDDEN = 8  # of the network "stub"


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpreadOptions:
    spread_weight: float = setting("how much unequal losses cost", 1.0)


ALL_HOOKS = MethodSpec(
    title="All hooks",
    model=f"{HERE}:AllHooks",
    options=SpreadOptions,
    batches=Batches.BY_DOMAIN,
    selects="last",
    metrics={"spread": "spread of the losses", "worst": "worst"},
)


@keras.saving.register_keras_serializable("tests")
class AllHooks(Ridge):
    """Wants equal losses of the domains: needs batches by domain.

    It predicts by the mean of its weights since the first validation, and by a
    last layer that is fitted on them.
    """

    spec = ALL_HOOKS

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


NAMES = {"ridge": f"{HERE}:RIDGE", "all_hooks": f"{HERE}:ALL_HOOKS"}
