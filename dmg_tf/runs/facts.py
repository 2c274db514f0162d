"""What is known of a trained model, wherever it came from."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from dmg_tf.rules import Calibration, PredictionRule
from dmg_tf.runs.predictions import OVERALL


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What a model is, and how well it did.

    Attributes:
        method: Name in `METHODS`.
        backbone: Name in `BACKBONES`.
        class_names: In the order of the logits.
        source_domains: In the order of their ids.
        prediction_rule: How the prediction is made.
        domain_rules: Rules of the domains' own predictions, in the order of
            their ids; () where there is nothing of the kind, or one domain.
        image_size: Side of the images it takes, pixels.
        in_domain: Mean accuracy on the sources by the rule, or None.
        out_of_domain: {target domain: accuracy by the rule}, or empty.
        calibration: {rule: how far its probabilities can be taken at their
            word}; a rule that is not in it says them as they come.
        votes: What is right where the domains agree, and where not, as
            `results.json` has it; {} where that was not measured.
    """

    method: str
    backbone: str
    class_names: tuple[str, ...]
    source_domains: tuple[str, ...]
    prediction_rule: PredictionRule
    domain_rules: tuple[PredictionRule, ...]
    image_size: int
    in_domain: float | None = None
    out_of_domain: dict[str, float] = dataclasses.field(default_factory=dict)
    calibration: dict[str, Calibration] = dataclasses.field(
        default_factory=dict
    )
    votes: dict[str, dict] = dataclasses.field(default_factory=dict)

    def calibration_of(self, rule: PredictionRule) -> Calibration:
        """Returns that of a rule."""
        return self.calibration.get(rule.name, Calibration())

    def abstains_below(self, rate: float | None = None) -> float | None:
        """Returns the probability below which the model should not decide.

        Args:
            rate: How many decisions may be wrong, one of `ABSTAIN_RATES`; None
                for the usual.

        Returns:
            None where the model does not say.
        """
        return self.calibration_of(self.prediction_rule).threshold(rate)

    @property
    def part(self) -> str | None:
        """What the domains have of their own and are compared by, or None."""
        return self.domain_rules[0].part if self.domain_rules else None


def compared_rules(
    rules: Sequence[PredictionRule], source_domains: Sequence[str]
) -> tuple[PredictionRule, ...]:
    """Picks the rules by which the domains' own predictions are compared.

    Args:
        rules: All of a model.
        source_domains: Its domains, in the order of their ids.

    Returns:
        A rule a domain, of the first part that each domain has; or (), as for
        a single domain.
    """
    if len(source_domains) < 2:
        return ()
    for part in dict.fromkeys(rule.part for rule in rules if rule.part):
        own = {rule.domain: rule for rule in rules if rule.part == part}
        if own.keys() >= set(source_domains):
            return tuple(own[domain] for domain in source_domains)
    return ()


def accuracies(
    results: dict[str, Any], prediction_rule: PredictionRule
) -> dict[str, Any]:
    """Picks the accuracies by a rule out of what `results.json` holds.

    Args:
        results: All of it, or what was exported of it; the accuracies may be
            missing.
        prediction_rule: The rule.

    Returns:
        The fields `in_domain`, `out_of_domain` and `votes` of `ModelFacts`.
    """
    in_domain = results.get("in_domain", {}).get(prediction_rule.name, {})
    outside = results.get("out_of_domain", {}).get(prediction_rule.name, {})
    return {
        "in_domain": in_domain.get(OVERALL),
        "out_of_domain": {
            domain: value
            for domain, value in outside.items()
            if domain != OVERALL
        },
        # They were counted by the first rule.
        "votes": results.get("votes", {})
        if prediction_rule.name == next(iter(results.get("in_domain", {})), "")
        else {},
    }
