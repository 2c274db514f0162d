"""What is known of a trained model, wherever it came from."""

import dataclasses
from typing import Any

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
        part: What the domains have of their own and are compared by, "mask" or
            "head"; None where there is nothing of the kind, or one domain.
        image_size: Side of the images it takes, pixels.
        in_domain: Mean accuracy on the sources by the rule, or None.
        out_of_domain: {target domain: accuracy by the rule}, or empty.
    """

    method: str
    backbone: str
    class_names: tuple[str, ...]
    source_domains: tuple[str, ...]
    prediction_rule: str
    part: str | None
    image_size: int
    in_domain: float | None = None
    out_of_domain: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def domain_rules(self) -> tuple[str, ...]:
        """Rules of the domains' own predictions, e.g. "mask/photo", or ()."""
        if self.part is None:
            return ()
        return tuple(f"{self.part}/{domain}" for domain in self.source_domains)


def accuracies(results: dict[str, Any], prediction_rule: str) -> dict[str, Any]:
    """Picks the accuracies by a rule out of what `results.json` holds.

    Args:
        results: All of it, or what was exported of it; the accuracies may be
            missing.
        prediction_rule: The rule.

    Returns:
        The fields `in_domain` and `out_of_domain` of `ModelFacts`.
    """
    in_domain = results.get("in_domain", {}).get(prediction_rule, {})
    outside = results.get("out_of_domain", {}).get(prediction_rule, {})
    return {
        "in_domain": in_domain.get(OVERALL),
        "out_of_domain": {
            domain: value
            for domain, value in outside.items()
            if domain != OVERALL
        },
    }
