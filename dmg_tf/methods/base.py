"""What a method is: a network, how it learns, and how it predicts.

A method overrides what it does otherwise; see CONTRIBUTING.md for a complete
one.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from dmg_tf.errors import UserError, unknown_name
from dmg_tf.methods.learning import Learning
from dmg_tf.methods.network import DomainNetwork
from dmg_tf.rules import PredictionRule


class PlainNetwork(NamedTuple):
    """A plain network that predicts what a method does by one of its rules.

    Attributes:
        rule: The method's rule.
        model: A `DomainModel`, whose first rule gives these predictions.
    """

    rule: PredictionRule
    model: "DomainModel"


class DomainModel(Learning, DomainNetwork):
    """A classifier trained on several domains.

    Args:
        backbone: Name in `BACKBONES`.
        num_classes: Number of classes C.
        source_domains: Names of the source domains, in the order of their ids.
        options: The method's own, an object of its spec's `options` or a dict;
            None takes them from `**kwargs`.
        class_names: Names of the classes in the order of the labels, or None.
        image_size: Side of the images it is made for, pixels. Other sizes
            work too.
        classifier_init: See `NetworkSpec`.
        seed: Seed of initial weights, masks and dropout.
        task_network_from: The stage that begins the task network; None for
            what the method says.
        trained: What learns: "all", the "task_network", or the "classifier"
            alone, which is then the task network.
        calibration: {rule: the fields of its `Calibration`}, or None.
        **kwargs: The method's options by name, and as for `keras.Model`.

    Call arguments:
        inputs: {"image": float [B, H, W, 3], normalised with `self.mean` and
            `self.std`; "domain_ids": int [B], where the method needs them}, or
            the images alone.
        training: Whether to compute as in training.

    Attributes:
        total_steps: Steps of the whole run, for methods that ask for
            `progress`; set by whoever trains.

    Raises:
        UserError: If an option or a stage is unknown.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.trackers = {
            name: keras.metrics.Mean(name=name) for name in self.tracked()
        }

    # Around the steps.

    def before_validation(self, images) -> None:
        """Fits, in closed form or by itself, what validation then scores.

        Called before each validation, on every machine.

        Args:
            images: The `SourceImages` of the run.
        """

    def on_validation(self, history: Sequence[dict]) -> None:
        """Looks at all validations so far, the last one included.

        What it changes is a function of all rows: a run that goes on calls it
        with the same rows again.
        """

    def scored_weights(self) -> contextlib.AbstractContextManager:
        """Puts the weights in place that are scored and kept, for a while."""
        return contextlib.nullcontext()

    def finish(self, images) -> None:
        """Makes the model of a run that `selects` the last; after all steps.

        Args:
            images: The `SourceImages` of the run.
        """

    # Prediction.

    def rules(self) -> tuple[PredictionRule, ...]:
        """Returns the ways to predict, the default first.

        One of them `selects`: it scores an epoch on the sources' validation
        images.
        """
        return (PredictionRule("pred_ens", "Pred-Ens", selects=True),)

    def logits_by_rule(self, images, rules, domain_ids=None):
        """Predicts by several rules at once; shared work is done once.

        Args:
            images: float [B, H, W, 3], normalised.
            rules: Names of prediction rules.
            domain_ids: int [B]; needed by rules that `needs_domain`.

        Returns:
            {rule: float32 [B, C]}.
        """
        del domain_ids
        logits = tf.cast(self({"image": images}, training=False), tf.float32)
        return {rule: logits for rule in rules}

    def plain_network(self) -> PlainNetwork | None:
        """Returns a plain network with the same predictions, if there is one.

        Raises:
            UserError: If this model's weights can't be brought into one.
        """
        return None

    def new_plain_network(self, task_network_from: str) -> "DomainModel":
        """Returns a plain network of the same parts, with fresh weights.

        Args:
            task_network_from: The stage that begins its task network.
        """
        plain = DomainModel(
            self.backbone,
            self.num_classes,
            self.source_domains,
            class_names=self.class_names,
            image_size=self.image_size,
            classifier_init=self.classifier_init,
            seed=self.seed,
            task_network_from=task_network_from,
        )
        plain.build()
        return plain

    def measures(self) -> dict[str, Any]:
        """Returns what the results say of the model beside its accuracy."""
        return {}

    def describe(self) -> tuple[str, ...]:
        """Returns lines on the model, for the plan of a run."""
        return ()

    @property
    def prediction_rules(self) -> tuple[str, ...]:
        """Names of the rules that a table shows, the default first."""
        return tuple(rule.name for rule in self.rules() if rule.shown)

    @property
    def selection_rule(self) -> str:
        """Name of the rule that scores an epoch."""
        return next(rule.name for rule in self.rules() if rule.selects)

    def rules_named(self, names) -> list[PredictionRule]:
        """Returns rules by their names, in the order of the names."""
        known = {rule.name: rule for rule in self.rules()}
        return [known[name] for name in names]

    def logits(self, images, prediction_rule=None, domain_ids=None):
        """Predicts by one rule.

        Paper: Sec. 3.2 ("Prediction at Test-time"), Sec. 4.2 (known domain)
        and Sec. 7.3 (Mask-Ens).

        Args:
            images: float [B, H, W, 3], normalised.
            prediction_rule: A name of `rules`; None for the default.
            domain_ids: int [B], index into `source_domains`.

        Returns:
            float32 [B, C].

        Raises:
            UserError: If the method has no such rule, or the rule needs the
                domain ids and got none.
        """
        rule = prediction_rule or self.prediction_rules[0]
        self.check_rules([rule], domain_ids)
        images = tf.cast(images, self.compute_dtype)
        return self.logits_by_rule(images, [rule], domain_ids)[rule]

    def check_rules(self, rules, domain_ids=None) -> None:
        """Raises UserError for an unknown rule or missing domain ids."""
        known = {rule.name: rule for rule in self.rules()}
        for name in rules:
            if name not in known:
                raise unknown_name("prediction rule", name, known)
            if known[name].needs_domain and domain_ids is None:
                raise UserError(
                    f"the prediction rule {name!r} needs `domain_ids`, "
                    "one source domain an image"
                )
