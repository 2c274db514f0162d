"""Prediction rules: how the sources' own predictions become one."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

# Rules of version 0.1, whose files hold names alone.
_MEAN = "pred_ens"
_TITLES = {
    _MEAN: "Pred-Ens",
    "mask_ens": "Mask-Ens",
    "known_domain": "known domain",
    "known_domain_binary": "known domain, binary masks",
}

# Shares of wrong decisions that a user may want, and what is wanted usually.
ABSTAIN_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
ABSTAIN_RATE = 0.05
# A threshold that no probability reaches.
NEVER = 2.0


def rate_name(rate: float) -> str:
    """Returns what files call a wanted error rate, e.g. "0.05"."""
    return f"{rate:g}"


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far a rule's probabilities can be taken at their word.

    Attributes:
        temperature: What its logits are divided by before the softmax.
        images: How many of the sources' validation images it was fitted on; 0
            where it was not.
        note: Why the temperature is what it is, where that is no fit.
        thresholds: {`rate_name` of a wanted error rate: the least probability
            at which it decides}; {} where that was not set.
    """

    temperature: float = 1.0
    images: int = 0
    note: str = ""
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)

    def threshold(self, rate: float | None = None) -> float | None:
        """Returns the least probability at which it decides, if it is known.

        Args:
            rate: One of `ABSTAIN_RATES`; None for the usual one.
        """
        return self.thresholds.get(rate_name(rate or ABSTAIN_RATE))

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, ready for `json.dump`."""
        return dataclasses.asdict(self)


def calibrations_of(
    known: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, Calibration]:
    """Returns {rule: its `Calibration`} of what a file holds, maybe nothing."""
    return {name: Calibration(**own) for name, own in (known or {}).items()}


@dataclasses.dataclass(frozen=True)
class PredictionRule:
    """A way to predict.

    Paper: Sec. 3.2 ("Prediction at Test-time"), Sec. 4.2 and 7.3.

    Attributes:
        name: What files, flags and signatures call it, e.g. "mask/photo".
        title: What tables call it, e.g. "mask of photo".
        domain: The source domain whose own prediction it is, or None.
        part: What that domain has of its own, e.g. "mask" or "head"; the name
            is then part/domain.
        needs_domain: Whether it takes the domain of each image, which that of
            an unseen domain does not have.
        selects: Whether it scores an epoch on the sources' validation images.
        shown: Whether tables have a row of it.
        mean_of_domains: Whether its logits are the mean of the domains' own,
            so that these say it without a pass of its own.
    """

    name: str
    title: str
    domain: str | None = None
    part: str | None = None
    needs_domain: bool = False
    selects: bool = False
    shown: bool = True
    mean_of_domains: bool = False

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, ready for `json.dump`."""
        return dataclasses.asdict(self)


def domain_rules(part: str, domains) -> tuple[PredictionRule, ...]:
    """Returns the rules of the domains' own predictions, in their order.

    Args:
        part: What each domain has of its own, e.g. "mask".
        domains: Names of the source domains.
    """
    return tuple(
        PredictionRule(f"{part}/{name}", f"{part} of {name}", name, part)
        for name in domains
    )


def rules_of(results: Mapping[str, Any]) -> tuple[PredictionRule, ...]:
    """Returns the rules of a run or an exported model, the default first.

    Args:
        results: What `results.json` or the metadata of an export holds. What
            was written before it had "rules" has the names alone, in
            "in_domain".
    """
    if "rules" in results:
        return tuple(PredictionRule(**rule) for rule in results["rules"])
    selection = results.get("selection", {}).get("rule")
    shown = results.get("in_domain", ())
    return tuple(
        dataclasses.replace(
            rule, selects=rule.name == selection, shown=rule.name in shown
        )
        for rule in _rules_named([*shown, selection])
    )


def rules_of_signatures(
    metadata: Mapping[str, Any], signatures: Iterable[str]
) -> tuple[PredictionRule, ...]:
    """Returns the rules of an exported model of version 0.1, the default first.

    Args:
        metadata: What it says of itself; there is no "rules" in it.
        signatures: Names of what it answers to.
    """
    own = [
        rule.name
        for name in signatures
        if name.startswith("per_")
        for rule in domain_rules(
            name.removeprefix("per_"), metadata["source_domains"]
        )
    ]
    # The mean over domains followed from these and had no signature.
    mean = [_MEAN] if own else []
    further = [name for name in signatures if name in _TITLES]
    return _rules_named([metadata["prediction_rule"], *mean, *further, *own])


def default_rule(results: Mapping[str, Any]) -> PredictionRule:
    """Returns the rule that a run predicts by unless told another."""
    return rules_of(results)[0]


def scored_rules(results: Mapping[str, Any]) -> tuple[PredictionRule, ...]:
    """Returns the rules that a run was scored by, in the order of its table."""
    known = {rule.name: rule for rule in rules_of(results)}
    return tuple(known[name] for name in results["in_domain"])


def title_of(results: Mapping[str, Any], name: str) -> str:
    """Returns what tables call a rule of a run, by its name."""
    titles = {rule.name: rule.title for rule in rules_of(results)}
    return titles.get(name, name)


def _rules_named(names) -> tuple[PredictionRule, ...]:
    """Returns each rule once; None is left out."""
    names = [name for name in dict.fromkeys(names) if name is not None]
    several = any("/" in name for name in names)
    return tuple(
        dataclasses.replace(
            rule_of_name(name), mean_of_domains=several and name == _MEAN
        )
        for name in names
    )


def rule_of_name(name: str) -> PredictionRule:
    """Returns a rule of which a file of version 0.1 holds the name alone."""
    part, slash, domain = name.partition("/")
    if slash:
        return PredictionRule(name, f"{part} of {domain}", domain, part)
    return PredictionRule(
        name,
        _TITLES.get(name, name),
        needs_domain=name.startswith("known_domain"),
    )
