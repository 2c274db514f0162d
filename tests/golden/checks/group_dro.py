"""GroupDRO: two steps that move the domains' weights."""

from tests.golden.checks.files import entries_of, gradients, of_each_source


def group_dro(reference):
    """Compares both."""
    model = reference.model("group_dro", group_dro_step=reference.meta["eta"])
    found = {}
    for step in ("step_1", "step_2"):
        for tracker in model.trackers.values():
            tracker.reset_state()
        logs = model.train_step(reference.batch(by_domain=True))
        found[f"{step}/loss/total"] = logs["loss"]
        found[f"{step}/weights"] = model.domain_weights.numpy()
        found |= gradients(model, entries_of(model), f"{step}/grad/")
    return {**found, "loss/by_domain": of_each_source(model, logs, "risk")}


FILES = {"group_dro": group_dro}
