"""CORAL."""

from unittest import mock

from dmg_tf.methods.coral import model as coral_module
from dmg_tf.methods.coral.distances import distances_of_pairs
from tests.golden.checks.files import Watched, entries_of, gradients


def coral(reference):
    """Compares a step, and the distance of each pair of domains."""
    model = reference.model("coral", coral_weight=reference.meta["weight"])
    pairs = Watched(distances_of_pairs)
    with mock.patch.object(coral_module, "distances_of_pairs", pairs):
        logs = model.train_step(reference.batch(by_domain=True))
    ((_, (distances, _)),) = pairs.calls
    return {
        "loss/cross_entropy": logs["cross_entropy"],
        "loss/penalty": logs["distance"],
        "loss/pairs": distances,
        "loss/total": logs["loss"],
        **gradients(model, entries_of(model)),
    }


FILES = {"coral": coral}
