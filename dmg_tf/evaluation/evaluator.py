"""Predicting whole datasets by several rules, each image exactly once."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from dmg_tf.evaluation.probabilities import probabilities
from dmg_tf.runs.predictions import Predictions

# Beside a rule's name: what its class gets of one.
_PROBABILITY = "/probability"
_LOG_PROBABILITIES = "/log_probabilities"
_LOGITS = "/logits"


class Evaluator:
    """Predicts whole datasets by several rules, each image exactly once.

    The compiled step is made once and serves every call, so validation after
    each epoch costs no new trace. A model made under a strategy predicts on all
    replicas of this machine; no other machine has a part in it.

    Args:
        model: A `DomainModel`.
        rules: Names of its prediction rules.
        with_losses: Whether each image's cross entropy is told, too.
        per_image: What else is told of each image: (rule, logits float32
            [B, C], labels [B]) -> {name: array [B, ...]}, of each batch. So no
            more than a batch of logits is in memory.
    """

    def __init__(
        self,
        model,
        rules: Sequence[str],
        with_losses: bool = False,
        per_image: Callable | None = None,
    ):
        # Datasets bring the domain ids that rules of known domain need.
        model.check_rules(rules, domain_ids=())
        self.model = model
        self.rules = tuple(rules)
        self._with_losses, self._per_image = with_losses, per_image
        self._steps = {}
        self._replicas = _LocalReplicas(model.distribute_strategy)

    def __call__(
        self, dataset: tf.data.Dataset, on_batch: Callable | None = None
    ) -> Predictions:
        """Predicts a dataset.

        Args:
            dataset: Batches of ({"image": float32 [B, H, W, 3],
                "domain_ids": int32 [B]}, labels int32 [B]); B may differ.
            on_batch: Called with the number of images of each batch.

        Returns:
            The predictions of all images.
        """
        step = self.step_for(dataset.element_spec[0])
        found, labels, domain_ids, further = [], [], [], []
        for inputs, batch_labels in dataset:
            batch = step(inputs["image"], inputs["domain_ids"])
            batch = {name: np.asarray(v) for name, v in batch.items()}
            if self._per_image:
                further.append(self._further(batch, batch_labels.numpy()))
            found.append(batch)
            labels.append(batch_labels.numpy())
            domain_ids.append(inputs["domain_ids"].numpy())
            if on_batch:
                on_batch(len(batch_labels))

        def of_rules(suffix):
            return {
                rule: np.concatenate([batch[rule + suffix] for batch in found])
                for rule in self.rules
            }

        labels = np.concatenate(labels)
        losses = {}
        if self._with_losses:
            rows = np.arange(len(labels))
            losses = {
                rule: -values[rows, labels]
                for rule, values in of_rules(_LOG_PROBABILITIES).items()
            }
        return Predictions(
            of_rules(""),
            labels,
            np.concatenate(domain_ids),
            of_rules(_PROBABILITY),
            losses,
            _joined(further),
        )

    def _further(self, batch, labels):
        """Returns {rule: what else is told of a batch}; drops its logits."""
        return {
            rule: self._per_image(rule, batch.pop(rule + _LOGITS), labels)
            for rule in self.rules
        }

    def step_for(self, spec):
        """Returns the step compiled for such inputs, for any batch size."""
        size = tuple(spec["image"].shape[1:])
        if size not in self._steps:
            # The batch's size stays open, or the last batch would be traced
            # once more.
            signature = [
                tf.TensorSpec((None, *size), spec["image"].dtype),
                tf.TensorSpec((None,), spec["domain_ids"].dtype),
            ]
            self._steps[size] = (
                tf.function(
                    self._predict, input_signature=signature, autograph=False
                )
                if self._replicas.count == 1
                else self._replicas.step(self._predict)
            )
        return self._steps[size]

    def _predict(self, images, domain_ids):
        images = tf.cast(images, self.model.compute_dtype)
        logits = self.model.logits_by_rule(images, self.rules, domain_ids)
        found = {}
        for rule in self.rules:
            found[rule] = tf.argmax(logits[rule], axis=-1, output_type=tf.int32)
            temperature = self.model.calibration_of(rule).temperature
            found[rule + _PROBABILITY] = tf.reduce_max(
                probabilities(logits[rule], temperature), axis=-1
            )
            if self._per_image:
                found[rule + _LOGITS] = logits[rule]
            if self._with_losses:
                found[rule + _LOG_PROBABILITIES] = tf.nn.log_softmax(
                    logits[rule]
                )
        return found


def _joined(batches):
    """Returns {name: {rule: array of all images}} of what batches hold."""
    if not batches:
        return {}
    first = next(iter(batches[0].values()))
    return {
        name: {
            rule: np.concatenate([batch[rule][name] for batch in batches])
            for rule in batches[0]
        }
        for name in first
    }


class _LocalReplicas:
    """Shares a batch out among the replicas of this machine.

    Args:
        strategy: The model's.
    """

    def __init__(self, strategy):
        self._strategy = strategy
        self.count = 1
        if strategy.num_replicas_in_sync > 1:
            self.count = len(strategy.extended.worker_devices)
        self._rows = 0

    def step(self, function):
        """Compiles a function of (images, domain_ids) for all replicas.

        Returns:
            A function of the same, which returns {rule: int32 [B]}.
        """

        @tf.function(autograph=False)
        def run(images, domain_ids):
            return self._strategy.run(function, args=(images, domain_ids))

        def step(images, domain_ids):
            count = len(domain_ids)
            found = run(*self._shared_out(images, domain_ids, count))
            return {
                rule: np.concatenate(
                    self._strategy.experimental_local_results(value)
                )[:count]
                for rule, value in found.items()
            }

        return step

    def _shared_out(self, images, domain_ids, count):
        # Filled up to the size of the batches before with copies of the last
        # image, which are dropped again: a replica can't work on none, and
        # every new size would be traced anew.
        even = -(-count // self.count) * self.count
        self._rows = max(self._rows, even)
        rows = tf.minimum(tf.range(self._rows), count - 1)
        return tuple(
            self._per_replica(tf.split(tf.gather(part, rows), self.count))
            for part in (images, domain_ids)
        )

    def _per_replica(self, parts):
        # Asked for this machine's replicas alone, in their order.
        parts = iter(parts)
        return self._strategy.experimental_distribute_values_from_function(
            lambda replica: next(parts)
        )
