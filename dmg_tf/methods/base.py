"""What all methods share: a network in two parts, one training step."""

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import (
    NetworkSpec,
    entry_name,
    torchvision_entries,
)
from dmg_tf.errors import UserError
from dmg_tf.methods.task_network import TaskNetwork
from dmg_tf.registry import BACKBONES, unknown_name


class DomainModel(keras.Model):
    """A classifier trained on several domains.

    Subclasses override `call`, `logits_by_rule`, and what they add to the
    loss. The step itself is the same for all of them.

    Args:
        backbone: Name in `BACKBONES`.
        num_classes: Number of classes C.
        source_domains: Names of the source domains, in the order of their ids.
        mask_sites: Stages whose input is masked; the first begins the task
            network. None takes the backbone's default (Sec. 4.1).
        image_size: Side of the images it is made for, pixels. Other sizes
            work too.
        classifier_init: See `NetworkSpec`.
        seed: Seed of initial weights, masks and dropout.
        **kwargs: As for `keras.Model`.

    Call arguments:
        inputs: {"image": float [B, H, W, 3], normalised with `self.mean` and
            `self.std`; "domain_ids": int [B], needed in training only}.
        training: Whether to compute as in training.

    Raises:
        UserError: If a mask site is unknown or is the first stage.
    """

    # AlexNet's dropout acts unless masks train (Sec. 4.1).
    dropout = True

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        source_domains,
        *,
        mask_sites=None,
        image_size: int = 224,
        classifier_init: str = "pytorch",
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.num_classes = num_classes
        self.source_domains = tuple(source_domains)
        self.image_size = image_size
        self.classifier_init = classifier_init
        self.seed = seed
        network = BACKBONES[backbone](
            NetworkSpec(num_classes, self.dropout, classifier_init, seed)
        )
        self.mean, self.std = network.mean, network.std
        self.entry_prefix = network.entry_prefix
        self.mask_sites = _check_sites(
            network, backbone, mask_sites or self.default_mask_sites(network)
        )
        names = [stage.name for stage in network.stages]
        first = names.index(self.mask_sites[0])
        self.feature_extractor = keras.Sequential(
            network.stages[:first], name="feature_extractor"
        )
        self.task_network = self.make_task_network(network.stages[first:])
        self.trackers = {
            name: keras.metrics.Mean(name=name) for name in self.tracked()
        }

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given.

        The inputs are a dict that Keras cannot shape by itself.
        """
        del input_shape
        size = self.image_size
        features = self.feature_extractor(keras.Input((size, size, 3)))
        self.task_network(
            features, domain_ids=keras.Input((), dtype="int32"), training=False
        )
        self.built = True

    def get_build_config(self):
        """Returns what a saved model is built from when it is loaded."""
        return {"input_shape": None}

    # What a method defines.

    def default_mask_sites(self, network) -> tuple[str, ...]:
        """Returns the sites of a backbone when none are given."""
        return network.mask_sites

    def make_task_network(self, stages) -> keras.layers.Layer:
        """Returns the task network made of these stages."""
        return TaskNetwork(stages, name="task_network")

    def tracked(self) -> tuple[str, ...]:
        """Returns the names of the training metrics, in order."""
        return ("loss", "accuracy")

    def penalties(self) -> dict[str, tuple[float, tf.Tensor]]:
        """Returns {name: (weight, value)} of what is added to the loss."""
        return {}

    @property
    def domain_masks(self) -> dict[str, keras.layers.Layer]:
        """{site: DomainMask}; empty for methods without masks."""
        return {}

    @property
    def prediction_rules(self) -> tuple[str, ...]:
        """The rules a table shows, the default first."""
        return ("pred_ens",)

    # The rule that scores an epoch on the sources' validation images.
    selection_rule = "pred_ens"

    def call(self, inputs, training=False):
        """Returns logits [B, C]."""
        return self.task_network(
            self.feature_extractor(inputs["image"], training=training),
            training=training,
        )

    def logits_by_rule(self, images, rules, domain_ids=None):
        """Predicts by several rules at once; shared work is done once.

        Args:
            images: float [B, H, W, 3], normalised.
            rules: Names of prediction rules.
            domain_ids: int [B]; needed by `known_domain` and alike.

        Returns:
            {rule: float32 [B, C]}.
        """
        del domain_ids
        logits = tf.cast(self({"image": images}, training=False), tf.float32)
        return {rule: logits for rule in rules}

    # What is the same for all methods.

    def logits(self, images, prediction_rule="pred_ens", domain_ids=None):
        """Predicts by one rule.

        Paper: Sec. 3.2 ("Prediction at Test-time"), Sec. 4.2 (known domain)
        and Sec. 7.3 (Mask-Ens).

        Args:
            images: float [B, H, W, 3], normalised.
            prediction_rule: One of `prediction_rules`.
            domain_ids: int [B], index into `source_domains`.

        Returns:
            float32 [B, C].

        Raises:
            UserError: If the method has no such rule, or the rule needs the
                domain ids and got none.
        """
        self.check_rules([prediction_rule], domain_ids)
        images = tf.cast(images, self.compute_dtype)
        return self.logits_by_rule(images, [prediction_rule], domain_ids)[
            prediction_rule
        ]

    def check_rules(self, rules, domain_ids=None) -> None:
        """Raises UserError for an unknown rule or missing domain ids."""
        known = dict.fromkeys((*self.prediction_rules, self.selection_rule))
        for rule in rules:
            if rule not in known:
                raise unknown_name("prediction rule", rule, known)
            if rule.startswith("known_domain") and domain_ids is None:
                raise UserError(
                    f"the prediction rule {rule!r} needs `domain_ids`, "
                    "one source domain an image"
                )

    @property
    def metrics(self):
        """The training metrics, reset by Keras before each epoch."""
        return list(self.trackers.values())

    def train_step(self, data):
        """Updates the weights with one batch; returns running means.

        Paper: Sec. 3.2, Eq. 2. Differs: cross entropy is the mean over the
        batch, as in the official code.
        """
        inputs, labels = data
        with tf.GradientTape() as tape:
            logits = tf.cast(self(inputs, training=True), tf.float32)
            cross_entropy = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            )
            penalties = self.penalties()
            loss = cross_entropy
            for weight, value in penalties.values():
                loss += weight * value
            scaled = self.optimizer.scale_loss(_share_of_replica(loss))
        weights = self.trainable_weights
        gradients = tape.gradient(scaled, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self._track(
            labels,
            logits,
            loss=loss,
            cross_entropy=cross_entropy,
            **{name: value for name, (_, value) in penalties.items()},
        )

    def test_step(self, data):
        """Scores one batch by the default rule; returns running means."""
        inputs, labels = data
        logits = tf.cast(self(inputs, training=False), tf.float32)
        cross_entropy = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        )
        return self._track(labels, logits, loss=cross_entropy)

    def _track(self, labels, logits, **values):
        count = tf.shape(labels)[0]
        hits = tf.cast(labels, tf.int64) == tf.argmax(logits, axis=-1)
        values["accuracy"] = tf.reduce_mean(tf.cast(hits, tf.float32))
        for name, tracker in self.trackers.items():
            if name in values:
                tracker.update_state(values[name], sample_weight=count)
        return {
            name: tracker.result()
            for name, tracker in self.trackers.items()
            if name in values
        }

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
    def classifier_entries(self) -> tuple[str, str]:
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
        return {
            **super().get_config(),
            "backbone": self.backbone,
            "num_classes": self.num_classes,
            "source_domains": list(self.source_domains),
            "mask_sites": list(self.mask_sites),
            "image_size": self.image_size,
            "classifier_init": self.classifier_init,
            "seed": self.seed,
        }


def _share_of_replica(loss):
    """Returns what a replica adds to the loss; gradients are summed up."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return loss / replicas if replicas > 1 else loss


def _check_sites(network, backbone, mask_sites) -> tuple[str, ...]:
    names = [stage.name for stage in network.stages[1:]]
    for site in mask_sites:
        if site not in names:
            raise unknown_name(f"mask site of {backbone}", site, names)
    return tuple(name for name in names if name in mask_sites)


def _torch_shape(shape, axes) -> tuple[int, ...]:
    torch_shape = [0] * len(axes)
    for size, axis in zip(shape, axes, strict=True):
        torch_shape[axis] = size
    return tuple(torch_shape)
