"""The network of a method: two parts, their weights and their files."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import (
    NetworkSpec,
    entry_name,
    layers_of,
    torchvision_entries,
)
from dmg_tf.errors import UserError, unknown_name
from dmg_tf.methods.in_place import ValuesInPlace
from dmg_tf.methods.spec import MethodSpec
from dmg_tf.methods.steps import Outputs
from dmg_tf.methods.task_network import TaskNetwork
from dmg_tf.registry import BACKBONES
from dmg_tf.rules import Calibration, calibrations_of
from dmg_tf.settings import check, names_of


class DomainNetwork(keras.Model):
    """A backbone in two parts: feature extractor and task network.

    Arguments and calls are those of `DomainModel`, which is what to use.
    """

    spec = MethodSpec(title="Network", model=f"{__name__}:DomainNetwork")
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
        trained: str = "all",
        calibration: Mapping[str, Any] | None = None,
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
        network = BACKBONES[backbone](
            NetworkSpec(
                num_classes, self.dropout, classifier_init, seed, image_size
            )
        )
        _check_size(network, backbone, image_size)
        self.mean, self.std = network.mean, network.std
        self.entry_prefix = network.entry_prefix
        self.task_network_from = task_network_from
        self.trained = trained
        if trained == "classifier":
            # What a method does to the task network's layers, it does there.
            last = network.stages[-1].name
            network = dataclasses.replace(network, mask_sites=(last,))
        self.calibration = calibrations_of(calibration)
        stages = self.stages_of(network)
        names = [stage.name for stage in stages]
        first = names.index(task_network_from or self.begins_at(network))
        if trained == "classifier" and first < len(names) - 1:
            raise UserError(
                f"with the classifier trained alone the task network of "
                f"{backbone} is {names[-1]}, got {names[first]}"
            )
        self.feature_extractor = self.make_feature_extractor(stages[:first])
        self.task_network = self.make_task_network(stages[first:])
        self.feature_extractor.trainable = trained == "all"

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

    def stages_of(self, network) -> Sequence[keras.layers.Layer]:
        """Returns the stages that both parts are made of, in their order.

        A method may cut them, or put layers of its own between them.

        Args:
            network: A `Backbone`.
        """
        return network.stages

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

    def call(self, inputs, training=False):
        """Returns logits [B, C]: the default rule's, or what a step takes."""
        return self.task_network(
            self.entry(inputs, training), training=training
        )

    def entry(self, inputs, training=False):
        """Returns what the task network takes: [B, ...].

        Args:
            inputs: As for a call.
            training: As for a call.
        """
        return self.features(self.as_inputs(inputs)["image"], training)

    def features(self, images, training=False):
        """Returns what the feature extractor gives: [B, ...].

        One that is not trained computes as in prediction: its batch statistics
        stay. What it gave before may stand in the place of images.

        Args:
            images: float [B, H, W, 3], normalised; or, where it is frozen,
                features.
            training: As for a call.
        """
        if self.trained == "all":
            return self.feature_extractor(images, training=training)
        if len(images.shape) == 4 and images.shape[-1] == 3:
            return self.feature_extractor(images, training=False)
        return images

    def forward(self, inputs, training=False) -> Outputs:
        """Returns logits, and what they were made of.

        Args:
            inputs: As for a call.
            training: As for a call.
        """
        entry = self.entry(inputs, training)
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

    @property
    def num_features(self) -> int:
        """The number of features F that the last layer takes."""
        return self.task_network.stages[-1].weights[0].shape[0]

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
        if part == "network":
            return self.outputs_with(values, x, training).logits
        with self._values_in_place(values, part):
            logits = self.task_network(x, training=training)
        return tf.cast(logits, tf.float32)

    def outputs_with(self, values, inputs, training=True) -> Outputs:
        """Computes like `logits_with`; returns what logits are made of too.

        Args:
            values: A tensor for each of `network_weights()`.
            inputs: As for a call.
            training: As for a call.
        """
        with self._values_in_place(values, "network"):
            return self.forward(inputs, training=training)

    def _values_in_place(self, values, part):
        return ValuesInPlace(self.network_weights(part), values)

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

    def calibration_of(self, rule: str) -> Calibration:
        """Returns how probable a rule's classes are; as it is where unknown."""
        return self.calibration.get(rule, Calibration())

    def named_layers(self):
        """Returns the network's layers that carry torchvision's names."""
        return layers_of(
            (*self.feature_extractor.layers, *self.task_network.stages)
        )

    def torchvision_entries(self):
        """Returns {entry name: (variable, axes)} of the whole network."""
        return torchvision_entries(self.named_layers(), self.entry_prefix)

    @property
    def classifier_entries(self) -> tuple[str, ...]:
        """Names, as torchvision has them, of the last layer's entries."""
        last = self.task_network.stages[-1]
        name = entry_name(last.name, self.entry_prefix)
        return (f"{name}.weight", f"{name}.bias")

    def start_classifier(self, kernel, bias) -> None:
        """Gives the last layer, or each of several, its first weights.

        Args:
            kernel: [F, C].
            bias: [C].
        """
        entries = self.torchvision_entries()
        for name in self.classifier_entries:
            variable, _ = entries[name]
            variable.assign(kernel if len(variable.shape) > 1 else bias)

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
        from dmg_tf.backbones.weights.loading import assign_torchvision

        assign_torchvision(
            self.torchvision_entries(),
            state_dict,
            classifier=self.classifier_entries,
            source=source,
        )

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
            "trained": self.trained,
            "calibration": {
                rule: own.to_json() for rule, own in self.calibration.items()
            },
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


def _check_size(network, backbone, image_size) -> None:
    """Raises UserError for a network of another size, if it has but one."""
    shapes = [each.shape for each in getattr(network.stages[0], "inputs", ())]
    if shapes and shapes[0][1:3] not in (
        (None, None),
        (image_size, image_size),
    ):
        height, width = shapes[0][1:3]
        raise UserError(
            f"{backbone} takes images of {height} x {width} pixels alone: "
            f"--image-size must be {height}, got {image_size}"
        )


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
