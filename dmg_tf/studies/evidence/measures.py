"""What runs are compared by: accuracies by rule, overlap, time."""

import statistics
from collections.abc import Callable, Sequence

from dmg_tf.runs.predictions import OVERALL
from dmg_tf.studies.runs import Run
from dmg_tf.studies.table import Cell

_IN, _OUT = "in_domain", "out_of_domain"
Value = Callable[[Run], float | None]


def outside(run: Run) -> float:
    """Returns accuracy on the target by the default rule."""
    return run.results[_OUT][run.rule.name][OVERALL]


def inside(run: Run) -> float:
    """Returns accuracy on the sources by the default rule."""
    return run.results[_IN][run.rule.name][OVERALL]


def inside_known(run: Run) -> float:
    """Returns accuracy on the sources where each image's domain is known.

    Of a method that has nothing of a domain's own, that is `inside`.
    """
    rule = next((r.name for r in run.rules if r.needs_domain), run.rule.name)
    return run.results[_IN][rule][OVERALL]


def inside_wrong(run: Run) -> float | None:
    """Returns accuracy on the sources under other sources' masks or heads.

    The mean over all pairs of a source and another's own prediction: what is
    beside the diagonal of Table 4.
    """
    accuracies = [
        accuracy
        for rule in run.rules
        if rule.domain is not None
        for domain, accuracy in run.results[_IN][rule.name].items()
        if domain not in (OVERALL, rule.domain)
    ]
    return statistics.fmean(accuracies) if accuracies else None


def by_rule(name: str, split: str) -> Value:
    """Returns the measure of accuracy by one rule.

    Args:
        name: The rule's; a run that has none such has no number.
        split: "in_domain" or "out_of_domain".
    """
    return lambda run: run.results[split].get(name, {}).get(OVERALL)


def kept(run: Run) -> float | None:
    """Returns how often the masks keep a unit, mean over sites and domains."""
    sites = run.results.get("mask_keep", {}).values()
    shares = [statistics.fmean(site.values()) for site in sites]
    return statistics.fmean(shares) if shares else None


def seconds(run: Run) -> float | None:
    """Returns how long the training took."""
    return run.results.get("timing", {}).get("train_seconds")


def over_targets(
    runs: Sequence[Run], value: Value, targets: Sequence[str]
) -> Cell | None:
    """Returns mean and standard error over seeds of the mean over targets.

    Args:
        runs: Those of a variant.
        value: The measure.
        targets: All that a seed must have to count.
    """
    found = {(run.config["seed"], run.target): value(run) for run in runs}
    means = []
    for seed in sorted({seed for seed, _ in found}):
        values = [found.get((seed, target)) for target in targets]
        if None not in values:
            means.append(statistics.fmean(values))
    return Cell.of(means)
