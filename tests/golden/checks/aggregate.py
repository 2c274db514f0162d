"""The pooled baseline."""

from tests.golden.checks.files import entries_of, gradients


def aggregate(reference):
    """Compares a step of the baseline, and a forward pass."""
    model = reference.model("aggregate")
    inputs, labels = reference.batch()
    outputs = model.forward(inputs)
    logs = model.train_step((inputs, labels))
    return {
        "loss/total": logs["loss"],
        "logits": outputs.logits,
        "features": outputs.hidden,
        **gradients(model, entries_of(model)),
    }


FILES = {"aggregate": aggregate}
