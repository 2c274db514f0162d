"""Whole networks that a method trains beside its own."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from dmg_tf.backbones.blocks import place_seed
from dmg_tf.methods.network import DomainNetwork


def network_beside(
    model: DomainNetwork, name: str, num_outputs: int | None = None
) -> DomainNetwork:
    """Makes a second network of a model's backbone, with first weights.

    To be made in the method's `build`, behind `super().build()`, and kept as an
    attribute of the model (a list of them, too): its variables are then trained
    and kept with the model's. `inference_layers`, and so exports, and
    `torchvision_entries` are of the model's own network alone.

    Args:
        model: The method's model.
        name: What its variables' paths begin with. First weights depend on it
            and on the model's seed.
        num_outputs: Number of logits; None for the model's classes.

    Returns:
        The network, built; its task network is the last layer.
    """
    # The layers of a stage are built without their parents' names.
    with keras.name_scope(name):
        network = DomainNetwork(
            model.backbone,
            num_outputs or model.num_classes,
            model.source_domains,
            image_size=model.image_size,
            classifier_init=model.classifier_init,
            seed=place_seed(name, model.seed),
            task_network_from=model.task_network.stages[-1].name,
            name=name,
        )
        network.build()
    return network


def load_beside(
    networks: Sequence[DomainNetwork],
    state_dict: Mapping[str, np.ndarray],
    source: str = "state_dict",
    keep_classifier: bool = True,
) -> None:
    """Loads the weights that the model itself starts from.

    Args:
        networks: Made by `network_beside`.
        state_dict: {name: array}, as torchvision saves it.
        source: What to call it in errors.
        keep_classifier: Whether the file's last layer is loaded too, where the
            number of outputs is the same; False for networks that tell
            something else than classes.

    Raises:
        UserError: As for `DomainNetwork.load_torchvision`.
    """
    for network in networks:
        entries = dict(state_dict)
        if not keep_classifier:
            own = network.torchvision_entries()
            for name in network.classifier_entries:
                variable, axes = own[name]
                entries[name] = variable.numpy().transpose(np.argsort(axes))
        network.load_torchvision(entries, source)
