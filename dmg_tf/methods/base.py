"""What all methods share: a network in two parts, and how it learns.

A method overrides the first of `penalties`, `objective` and `train_step` that
suffices; see CONTRIBUTING.md for a complete one.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import (
    NetworkSpec,
    entry_name,
    torchvision_entries,
)
from dmg_tf.errors import UserError, unknown_name
from dmg_tf.methods.spec import MethodSpec
from dmg_tf.methods.steps import Outputs, Step, cross_entropies
from dmg_tf.methods.task_network import TaskNetwork
from dmg_tf.registry import BACKBONES
from dmg_tf.rules import PredictionRule
from dmg_tf.settings import check, names_of

MAIN = "main"


class PlainNetwork(NamedTuple):
    """A plain network that predicts what a method does by one of its rules.

    Attributes:
        rule: The method's rule.
        model: A `DomainModel`, whose first rule gives these predictions.
    """

    rule: PredictionRule
    model: "DomainModel"


class DomainModel(keras.Model):
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

    spec = MethodSpec(title="Network", model=f"{__name__}:DomainModel")
    # AlexNet's dropout acts unless masks train (Sec. 4.1).
    dropout = True

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        source_domains: Sequence[str],
        *,
        options: Any = None,
        class_names: Sequence[str] | None = None,
        image_size: int = 224,
        classifier_init: str = "pytorch",
        seed: int = 0,
        task_network_from: str | None = None,
        **kwargs,
    ):
        if options is None:
            own = [
                name for name in names_of(self.spec.options) if name in kwargs
            ]
            options = {name: kwargs.pop(name) for name in own}
        super().__init__(**kwargs)
        self.options = self.spec.make_options(options)
        check(self.options)
        self.backbone = backbone
        self.num_classes = num_classes
        self.source_domains = tuple(source_domains)
        self.class_names = class_names and tuple(class_names)
        self.image_size = image_size
        self.classifier_init = classifier_init
        self.seed = seed
        self.total_steps = None
        network = BACKBONES[backbone](
            NetworkSpec(num_classes, self.dropout, classifier_init, seed)
        )
        self.mean, self.std = network.mean, network.std
        self.entry_prefix = network.entry_prefix
        self.task_network_from = task_network_from
        names = [stage.name for stage in network.stages]
        first = names.index(task_network_from or self.begins_at(network))
        self.feature_extractor = self.make_feature_extractor(
            network.stages[:first]
        )
        self.task_network = self.make_task_network(network.stages[first:])
        self.trackers = {
            name: keras.metrics.Mean(name=name) for name in self.tracked()
        }

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given.

        The inputs are a dict that Keras cannot shape by itself. A method that
        has further networks or variables makes them behind these; what is not
        to be trained gets `trainable = False`.
        """
        del input_shape
        size = self.image_size
        features = self.feature_extractor(keras.Input((size, size, 3)))
        self.build_task_network(features)
        self.built = True

    def get_build_config(self):
        """Returns what a saved model is built from when it is loaded."""
        return {"input_shape": None}

    # The parts of the network.

    def begins_at(self, network) -> str:
        """Returns the stage that begins the task network.

        Args:
            network: A `Backbone`.
        """
        return network.mask_sites[0]

    def make_feature_extractor(self, stages) -> keras.layers.Layer:
        """Returns the feature extractor made of these stages."""
        return keras.Sequential(stages, name="feature_extractor")

    def make_task_network(self, stages) -> TaskNetwork:
        """Returns the task network made of these stages."""
        return TaskNetwork(stages, name="task_network")

    def build_task_network(self, features) -> None:
        """Calls the task network on symbolic features [B, ...]."""
        self.task_network(features, training=False)

    def inference_layers(self) -> list[keras.layers.Layer]:
        """Returns the layers that prediction reads: what is exported."""
        return [self.feature_extractor, self.task_network]

    def forward(self, inputs, training=False) -> Outputs:
        """Returns logits, and what they were made of.

        Args:
            inputs: As for a call.
            training: As for a call.
        """
        inputs = self.as_inputs(inputs)
        entry = self.feature_extractor(inputs["image"], training=training)
        logits, hidden = self.task_network(
            entry, training=training, with_hidden=True
        )
        return Outputs(tf.cast(logits, tf.float32), hidden, entry)

    def embed(self, images):
        """Returns what the last layer takes, float32 [B, F].

        Args:
            images: float [B, H, W, 3], normalised.
        """
        images = tf.cast(images, self.compute_dtype)
        return tf.cast(self.forward({"image": images}).hidden, tf.float32)

    def network_weights(self, part: str = "network") -> list:
        """Returns the trainable variables of "network" or "task_network"."""
        if part == "task_network":
            return self.task_network.trainable_variables
        return [
            *self.feature_extractor.trainable_variables,
            *self.task_network.trainable_variables,
        ]

    def logits_with(self, values, x, part: str = "network", training=True):
        """Computes on given values in place of the weights.

        Gradients of any order pass to the values. Batch statistics are used as
        in training and not moved, and random numbers are those of the next
        plain pass.

        Args:
            values: A tensor for each of `network_weights(part)`.
            x: Inputs as for a call; of "task_network" what it takes.
            part: "network" or "task_network".
            training: As for a call.

        Returns:
            float32 [B, C].
        """
        mapping = zip(self.network_weights(part), values, strict=True)
        with keras.StatelessScope(state_mapping=list(mapping)):
            if part == "task_network":
                logits = self.task_network(x, training=training)
            else:
                logits = self.forward(x, training=training).logits
        return tf.cast(logits, tf.float32)

    # Learning.

    def tracked(self) -> tuple[str, ...]:
        """Returns the names of the training metrics, in order."""
        further = tuple(self.spec.metrics)
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
            objective: What to minimise; called under a gradient tape.
            variables: What to change; None for all that the optimiser has.
            optimizer: "main", or a name of `trained_apart`.

        Returns:
            What the objective returned.
        """
        chosen = self.optimizers[optimizer]
        if variables is None:
            variables = self.trained_by(optimizer)
        with tf.GradientTape() as tape:
            step = objective()
            scaled = chosen.scale_loss(_share_of_replica(step.loss))
        gradients = tape.gradient(scaled, variables)
        chosen.apply_gradients(zip(gradients, variables, strict=True))
        return step

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
        return self._track(inputs, labels, steps[0].logits, values, weights)

    def by_domain(self, x):
        """Sorts a batch by domain: [B, ...] -> [D, B / D, ...].

        For methods whose spec asks for batches `BY_DOMAIN`.
        """
        if x is None:
            return None
        num_domains = len(self.source_domains)
        shape = tf.shape(x)
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
    def progress(self):
        """The share of the run's steps that were taken: float32 in [0, 1]."""
        if self.total_steps is None:
            raise UserError(
                f"{self.spec.title} asks how far the run is: set "
                "model.total_steps to the number of its steps before fit"
            )
        done = tf.cast(self.optimizer.iterations, tf.float32)
        return tf.minimum(done / float(self.total_steps), 1.0)

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

    def measures(self) -> dict[str, Any]:
        """Returns what the results say of the model beside its accuracy."""
        return {}

    def describe(self) -> tuple[str, ...]:
        """Returns lines on the model, for the plan of a run."""
        return ()

    def plain_network(self) -> PlainNetwork | None:
        """Returns a plain network with the same predictions, if there is one.

        Raises:
            UserError: If this model's weights can't be brought into one.
        """
        return None

    def call(self, inputs, training=False):
        """Returns logits [B, C]: the default rule's, or what a step takes."""
        return self.task_network(
            self.feature_extractor(
                self.as_inputs(inputs)["image"], training=training
            ),
            training=training,
        )

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

    # What is the same for all methods.

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

    def as_inputs(self, inputs) -> Mapping[str, tf.Tensor]:
        """Returns what a call was given as a dict."""
        return inputs if isinstance(inputs, Mapping) else {"image": inputs}

    def domain_ids_of(self, inputs):
        """Returns the domain ids of a training batch, int32 [B].

        Raises:
            UserError: If there are none.
        """
        ids = self.as_inputs(inputs).get("domain_ids")
        if ids is None:
            raise UserError(
                f"{self.spec.title} learns from the domain of each image: give "
                '{"image": images, "domain_ids": int [B]}, got images alone'
            )
        # Keras hands integers over as floats when it builds a model.
        return tf.cast(ids, tf.int32)

    def unpack(self, data):
        """Returns (inputs as a dict, labels, weights or None) of a batch."""
        inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        return self.as_inputs(inputs), labels, weights

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
            return loss * float(_num_replicas())
        each = cross_entropies(y, y_pred)
        if sample_weight is not None:
            each *= tf.cast(sample_weight, each.dtype)
        return tf.reduce_mean(each)

    @property
    def metrics(self):
        """The training metrics and compiled ones, reset before each epoch."""
        compiled = getattr(self, "_compile_metrics", None)
        return [*self.trackers.values(), *([compiled] if compiled else [])]

    def test_step(self, data):
        """Scores one batch by the default rule; returns running means."""
        inputs, labels, weights = self.unpack(data)
        logits = tf.cast(self(inputs, training=False), tf.float32)
        values = {"loss": self.cross_entropy(labels, logits, weights)}
        return self._track(inputs, labels, logits, values, weights)

    def _track(self, inputs, labels, logits, values, weights):
        count = tf.shape(logits)[0]
        classes = labels
        if len(labels.shape) == len(logits.shape):
            classes = tf.argmax(labels, axis=-1)
        hits = tf.cast(classes, tf.int64) == tf.argmax(logits, axis=-1)
        values["accuracy"] = tf.reduce_mean(tf.cast(hits, tf.float32))
        for name, tracker in self.trackers.items():
            if name in values:
                tracker.update_state(values[name], sample_weight=count)
        results = self.compute_metrics(inputs, labels, logits, weights)
        left_out = set(self.trackers) - set(values)
        return {k: v for k, v in results.items() if k not in left_out}

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Writes the network for serving by Keras' own exporter.

        It takes float32 [B, H, W, 3], normalised. `dmg-tf export` writes a
        model that takes images as they come.

        Args:
            filepath: Where to.
            format: As for `keras.Model.export`.
            **kwargs: As for `keras.Model.export`; `input_signature` is that of
                images of `image_size` unless given.
        """
        size = self.image_size
        kwargs.setdefault(
            "input_signature",
            [keras.InputSpec(dtype="float32", shape=(None, size, size, 3))],
        )
        return super().export(filepath, format=format, **kwargs)

    def named_layers(self):
        """Returns the network's layers that carry torchvision's names."""
        layers = []
        for stage in (
            *self.feature_extractor.layers,
            *self.task_network.stages,
        ):
            layers += getattr(stage, "layers", None) or [stage]
        return layers

    def torchvision_entries(self):
        """Returns {entry name: (variable, axes)} of the whole network."""
        return torchvision_entries(self.named_layers(), self.entry_prefix)

    @property
    def classifier_entries(self) -> tuple[str, ...]:
        """Names, as torchvision has them, of the last layer's entries."""
        last = self.task_network.stages[-1]
        name = entry_name(last.name, self.entry_prefix)
        return (f"{name}.weight", f"{name}.bias")

    def load_torchvision(self, state_dict, source: str = "state_dict") -> None:
        """Loads weights with torchvision's names and layouts.

        The classifier is kept fresh when the number of classes differs;
        `num_batches_tracked` is ignored; mask parameters are not touched.

        Args:
            state_dict: {name: array}, as torchvision saves it.
            source: What to call it in errors, e.g. the file's name.

        Raises:
            UserError: If an entry is missing, left over or misshapen.
        """
        # Reading files is heavy and most models never do it.
        from dmg_tf.backbones.weights.loading import match_state_dict

        entries = self.torchvision_entries()
        expected = {
            name: _torch_shape(variable.shape, axes)
            for name, (variable, axes) in entries.items()
        }
        matched = match_state_dict(
            state_dict,
            expected,
            classifier=self.classifier_entries,
            source=source,
        )
        for name, array in matched.items():
            variable, axes = entries[name]
            variable.assign(array.transpose(axes))

    def get_config(self):
        """Returns the arguments that rebuild the model."""
        config = {
            **super().get_config(),
            "backbone": self.backbone,
            "num_classes": self.num_classes,
            "source_domains": list(self.source_domains),
            "class_names": self.class_names and list(self.class_names),
            "image_size": self.image_size,
            "classifier_init": self.classifier_init,
            "seed": self.seed,
            "task_network_from": self.task_network_from,
        }
        for name in names_of(self.spec.options):
            value = getattr(self.options, name)
            config[name] = list(value) if isinstance(value, tuple) else value
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuilds a model, one of version 0.1 too."""
        del custom_objects
        config = dict(config)
        # There every method had them; those without masks only began the task
        # network at the first.
        if "mask_sites" in config and "mask_sites" not in names_of(
            cls.spec.options
        ):
            config["task_network_from"] = config.pop("mask_sites")[0]
        return cls(**config)


def _num_replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync


def _share_of_replica(loss):
    """Returns what a replica adds to the loss; gradients are summed up."""
    replicas = _num_replicas()
    return loss / replicas if replicas > 1 else loss


def stages_named(network, backbone: str, names, kind: str) -> tuple[str, ...]:
    """Returns stages of a backbone by their names, in its own order.

    Args:
        network: A `Backbone`.
        backbone: Its name, for errors.
        names: Stages behind the first one.
        kind: What they are for, for errors, e.g. "mask site".

    Raises:
        UserError: If a name is unknown or is the first stage.
    """
    known = [stage.name for stage in network.stages[1:]]
    for name in names:
        if name not in known:
            raise unknown_name(f"{kind} of {backbone}", name, known)
    return tuple(name for name in known if name in names)


def _torch_shape(shape, axes) -> tuple[int, ...]:
    torch_shape = [0] * len(axes)
    for size, axis in zip(shape, axes, strict=True):
        torch_shape[axis] = size
    return tuple(torch_shape)
