"""VREx, with its weight and before it."""

from tests.golden.checks.files import entries_of, gradients, of_each_source


def vrex(reference):
    """Compares a step of each."""
    found = {}
    for prefix, steps in (("", 0), ("warmup/", 1)):
        model = reference.model(
            "vrex",
            vrex_weight=reference.meta["weight"],
            vrex_anneal_steps=steps,
        )
        logs = model.train_step(reference.batch(by_domain=True))
        found[f"{prefix}loss/total"] = logs["loss"]
        found |= gradients(model, entries_of(model), f"{prefix}grad/")
    return {
        **found,
        "loss/penalty": logs["variance"],
        "loss/by_domain": of_each_source(model, logs, "risk"),
        "loss/cross_entropy": logs["cross_entropy"],
    }


FILES = {"vrex": vrex}
