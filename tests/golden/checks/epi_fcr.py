"""Epi-FCR."""

from unittest import mock

import numpy as np
import tensorflow as tf

from tests.golden.checks.files import (
    entries_of,
    gradients,
    layer_entries,
    load_entries,
)


def epi_fcr(reference):
    """Compares a step of the network and of the domains' networks."""
    weights = reference.meta["weights"]
    model = reference.model(
        "epi_fcr",
        epi_fcr_feature=weights["epif"],
        epi_fcr_classifier=weights["epic"],
        epi_fcr_random=weights["epir"],
        epi_fcr_warm_up=0.0,
    )
    entries = entries_of(model)
    for index, network in enumerate(model.domain_networks):
        entries |= {
            f"domain_{index}.{name}": entry
            for name, entry in network.torchvision_entries().items()
        }
    random = layer_entries(model.random_classifier, "random.classifier")
    load_entries(reference, entries | random)
    first = int(reference["draw/images_of_domain"])
    second = int(reference["draw/partner_domain"])
    rest = set(range(len(reference.domains))) - {first, second}
    order = tf.constant([first, second, *rest], tf.int32)
    seen = []
    objective = model.objective

    def kept(*args):
        seen.append(objective(*args))
        return seen[-1]

    with (
        mock.patch.object(model, "draw_order", lambda: order),
        mock.patch.object(model, "objective", kept),
    ):
        model.train_step(reference.batch(by_domain=True))
    losses = {
        name: np.asarray(weight * value)
        for name, (weight, value) in seen[0].terms.items()
    }
    losses["aggregate"] = losses.pop("cross_entropy")
    return {
        **{f"loss/{name}": value for name, value in losses.items()},
        **gradients(model, entries),
    }


FILES = {"epi_fcr": epi_fcr}
