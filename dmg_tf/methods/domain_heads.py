"""A classifier a domain on one shared network."""

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import NetworkSpec, classifier, entry_name
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.task_network import TaskNetwork


@keras.saving.register_keras_serializable("dmg_tf")
class DomainHeads(keras.layers.Layer):
    """The last linear layer, once for each source domain.

    Args:
        num_domains: Number of source domains D.
        num_classes: Number of classes C.
        classifier_init: See `NetworkSpec`.
        seed: Seed of the initial weights. Each head starts from its own.
        **kwargs: As for `keras.layers.Layer`. The head of domain i is called
            by the layer's name and i, e.g. "fc.0".

    Call arguments:
        inputs: [B, F], any float type.

    Weights:
        For each head a kernel [F, C] and a bias [C], float32, trainable.

    Raises:
        ValueError: If the input is not of rank 2.
    """

    def __init__(
        self,
        num_domains: int,
        num_classes: int,
        classifier_init: str = "pytorch",
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_domains = num_domains
        self.num_classes = num_classes
        self.classifier_init = classifier_init
        self.seed = seed
        self.layers = []

    def build(self, input_shape):
        """Makes the heads for the last axis of the input."""
        if len(input_shape) != 2:
            raise ValueError(
                f"DomainHeads takes [B, F], got shape {tuple(input_shape)}"
            )
        spec = NetworkSpec(
            self.num_classes,
            classifier_init=self.classifier_init,
            seed=self.seed,
        )
        self.layers = [
            classifier(f"{self.name}.{index}", input_shape[-1], spec)
            for index in range(self.num_domains)
        ]
        for head in self.layers:
            head.dtype_policy = self.dtype_policy
            head.build(input_shape)

    def call(self, inputs):
        """Returns the logits of all heads, [B, D, C]."""
        return tf.stack([head(inputs) for head in self.layers], axis=1)

    def compute_output_shape(self, input_shape):
        """Returns [B, D, C]."""
        return (input_shape[0], self.num_domains, self.num_classes)

    def get_config(self):
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "num_domains": self.num_domains,
            "num_classes": self.num_classes,
            "classifier_init": self.classifier_init,
            "seed": self.seed,
        }


class HeadedModel(DomainModel):
    """A network whose last layer is a head a domain, and its weight files."""

    learns_domains = True

    def make_task_network(self, stages):
        """Returns the task network with heads in place of the classifier."""
        heads = DomainHeads(
            len(self.source_domains),
            self.num_classes,
            self.classifier_init,
            self.seed,
            name=stages[-1].name,
        )
        return TaskNetwork([*stages[:-1], heads], name="task_network")

    def per_head(self, images, training=False):
        """Returns what each head says of each image: [B, D, C]."""
        return self.task_network(
            self.features(images, training=training),
            training=training,
        )

    @property
    def classifier_entries(self) -> tuple[str, ...]:
        """Names of the heads' entries, e.g. "fc.0.weight"."""
        return tuple(
            f"{entry_name(head.name, self.entry_prefix)}.{part}"
            for head in self.task_network.stages[-1].layers
            for part in ("weight", "bias")
        )

    def load_torchvision(self, state_dict, source: str = "state_dict") -> None:
        """Loads weights with torchvision's names and layouts.

        The file has either one classifier ("fc.weight") or one a head
        ("fc.0.weight", in the order of the source domains). One classifier of
        as many classes goes into every head, so that all heads start as
        equals; of another number of classes, the heads stay fresh.

        Args:
            state_dict: {name: array}, as torchvision saves it.
            source: What to call it in errors, e.g. the file's name.

        Raises:
            UserError: If an entry is missing, left over or misshapen.
        """
        state_dict = dict(state_dict)
        last = entry_name(self.task_network.stages[-1].name, self.entry_prefix)
        for part in ("weight", "bias"):
            if f"{last}.{part}" in state_dict:
                shared = state_dict.pop(f"{last}.{part}")
                for index in range(len(self.source_domains)):
                    state_dict[f"{last}.{index}.{part}"] = shared
        super().load_torchvision(state_dict, source)
