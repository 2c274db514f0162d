"""Prediction rules: how the sources' own predictions become one."""

import dataclasses
from collections.abc import Mapping
from typing import Any


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
    """

    name: str
    title: str
    domain: str | None = None
    part: str | None = None
    needs_domain: bool = False
    selects: bool = False
    shown: bool = True

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
    names = dict.fromkeys([*results.get("in_domain", ()), selection])
    return tuple(
        dataclasses.replace(
            rule_of_name(name),
            selects=name == selection,
            shown=name in results.get("in_domain", ()),
        )
        for name in names
        if name is not None
    )


def default_rule(results: Mapping[str, Any]) -> PredictionRule:
    """Returns the rule that a run predicts by unless told another."""
    return rules_of(results)[0]


def rule_of_name(name: str) -> PredictionRule:
    """Returns a rule of which a file of version 0.1 holds the name alone."""
    part, slash, domain = name.partition("/")
    if slash:
        return PredictionRule(name, f"{part} of {domain}", domain, part)
    titles = {
        "pred_ens": "Pred-Ens",
        "mask_ens": "Mask-Ens",
        "known_domain": "known domain",
        "known_domain_binary": "known domain, binary masks",
    }
    return PredictionRule(
        name,
        titles.get(name, name),
        needs_domain=name.startswith("known_domain"),
    )
