"""RSC: what is muted and where, the loss and its gradients."""

from unittest import mock

from tests.golden.checks.files import entries_of, gradients


def rsc(reference):
    """Compares a step."""
    meta = reference.meta
    model = reference.model(
        "rsc",
        rsc_feature_share=meta["feature_share"],
        rsc_batch_share=meta["batch_share"],
    )
    seen, plain = [], model.kept

    def kept(*args):
        seen.append(plain(*args))
        return seen[-1]

    with mock.patch.object(model, "kept", kept):
        logs = model.train_step(reference.batch())
    features, change, spared, mask = seen[0]
    return {
        "feature_mask": features,
        "change": change,
        "spared_images": spared,
        "mask": mask,
        "loss/total": logs["loss"],
        **gradients(model, entries_of(model)),
    }


FILES = {"rsc": rsc}
