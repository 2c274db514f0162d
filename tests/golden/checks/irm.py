"""IRM, as DomainBed and as its authors compute it."""

from tests.golden.checks.files import entries_of, gradients, of_each_source


def irm(reference):
    """Compares a step with the weight, one before it, and the authors'."""
    found, logs = {}, {}
    for prefix, steps, variant in (
        ("", 0, "domainbed"),
        ("warmup/", 1, "domainbed"),
        ("original/", 0, "authors"),
    ):
        model = reference.model(
            "irm",
            irm_weight=reference.meta["weight"],
            irm_anneal_steps=steps,
            irm_variant=variant,
        )
        logs[prefix] = model.train_step(reference.batch(by_domain=True))
        found[f"{prefix}loss/total"] = logs[prefix]["loss"]
        found |= gradients(model, entries_of(model), f"{prefix}grad/")
    return {
        **found,
        "loss/penalty": logs[""]["penalty"],
        "loss/by_domain": of_each_source(model, logs[""], "risk"),
        "loss/cross_entropy": logs[""]["cross_entropy"],
        "original/loss/penalty": logs["original/"]["penalty"],
    }


FILES = {"irm": irm}
# 1.627 - 100 * 0.01543: what is left is a twentieth of both.
TOLERANCES = {"irm": {"loss/total": 1e-4}}
