"""CrossGrad: the images' movements, losses and gradients of both networks."""

from unittest import mock

import numpy as np

from tests.golden.checks.files import entries_of, gradients, load_entries


def crossgrad(reference):
    """Compares a step."""
    meta, moved = reference.meta, []
    model = reference.model(
        "crossgrad",
        crossgrad_label_step=meta["epsilon_label"],
        crossgrad_domain_step=meta["epsilon_domain"],
        crossgrad_label_share=meta["alpha_label"],
        crossgrad_domain_share=meta["alpha_domain"],
        crossgrad_clip=meta["clip"],
        crossgrad_gradient="batch",
    )
    entries = {
        f"domain.{name}": entry
        for name, entry in entries_of(model.domain_network).items()
    }
    load_entries(reference, entries)
    plain = model.movement

    def kept(*args):
        moved.append(np.asarray(plain(*args)))
        return moved[-1]

    with mock.patch.object(model, "movement", kept):
        logs = model.train_step(reference.batch())
    # In the order that they are made in: along the domains' loss first.
    sizes = meta["epsilon_label"], meta["epsilon_domain"]
    bounds = [size * meta["clip"] for size in sizes]
    label, domain = meta["alpha_label"], meta["alpha_domain"]
    return {
        "loss/label": (1 - label) * logs["cross_entropy"]
        + label * logs["moved_cross_entropy"],
        "loss/domain": (1 - domain) * logs["domain_loss"]
        + domain * logs["moved_domain_loss"],
        "step/by_domain_loss": moved[0].transpose(0, 3, 1, 2),
        "step/by_label_loss": moved[1].transpose(0, 3, 1, 2),
        "clipped_share": [
            np.mean(np.abs(x) >= bound * (1 - 1e-12))
            for x, bound in zip(moved, bounds, strict=True)
        ],
        **gradients(model, entries_of(model) | entries),
    }


FILES = {"crossgrad": crossgrad, "crossgrad_clipped": crossgrad}
