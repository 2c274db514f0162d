"""What an exported model says of itself, whatever its format."""

import pathlib
from collections.abc import Sequence
from typing import Any

from dmg_tf.errors import UserError
from dmg_tf.rules import PredictionRule

# How weights can be stored in any format.
PRECISIONS = ("float32", "float16")

FORMAT_VERSION = 1

# Parts of `results.json` that a user of the model needs to judge it, beside
# what the model measures of itself. Paths on the machine that trained it stay
# there.
_SUMMARY = (
    "counts",
    "in_domain_split",
    "in_domain",
    "out_of_domain",
    "selection",
    "votes",
)
_PATHS = ("data", "output", "cache_dir", "data_service")


def checked_rule(
    model, known: Sequence[PredictionRule], name: str | None, fold: bool
) -> PredictionRule:
    """Returns the rule that an exported model predicts by.

    Args:
        model: A `DomainModel`.
        known: The rules of its `StoredNetwork`, the default first.
        name: What was asked for; None for the default.
        fold: Whether the model is folded.

    Raises:
        UserError: If the model can't predict so without being told a domain.
    """
    if name is None:
        return known[0]
    if fold and name != known[0].name:
        raise UserError(
            f"a folded model predicts by {known[0].name!r}, not by {name!r}"
        )
    model.check_rules([name], domain_ids=())
    (rule,) = model.rules_named([name])
    if rule.needs_domain:
        takes = f"; the signature {signature_of(rule)!r} takes it"
        raise UserError(
            f"the prediction rule {name!r} needs the domain of each image"
            + (takes if rule.shown else "")
        )
    return rule


def signature_of(rule: PredictionRule) -> str:
    """Returns the signature that answers by a rule, if the default one doesn't.

    That of a domain's own prediction answers for all domains at once.
    """
    return f"per_{rule.part}" if rule.part else rule.name


def describe(
    model,
    results: dict[str, Any],
    rules: Sequence[PredictionRule],
    *,
    fold: bool,
    precision: str,
) -> dict[str, Any]:
    """Returns the metadata of an export, ready for JSON.

    Args:
        model: A built `DomainModel`.
        results: As for `export_saved_model`.
        rules: How it can predict, the default first.
        fold: Whether it is folded.
        precision: How its weights are stored.

    Raises:
        ValueError: If the class names are not as many as the logits.
    """
    if len(results["class_names"]) != model.num_classes:
        raise ValueError(
            f"got {len(results['class_names'])} class names for a model of "
            f"{model.num_classes} classes"
        )
    config = {
        name: value
        for name, value in results.get("config", {}).items()
        if name not in _PATHS
    }
    if "weights" in config:
        config["weights"] = pathlib.PurePath(config["weights"]).name
    summary = (*_SUMMARY, *model.measures(), "timing")
    return {
        "format_version": FORMAT_VERSION,
        "method": config.get("method", type(model).__name__),
        "backbone": model.backbone,
        "class_names": list(results["class_names"]),
        "source_domains": list(model.source_domains),
        "prediction_rule": rules[0].name,
        "rules": [rule.to_json() for rule in rules],
        "calibration": {
            rule.name: model.calibration[rule.name].to_json()
            for rule in rules
            if rule.name in model.calibration
        },
        "folded": fold,
        "precision": precision,
        "image_size": model.image_size,
        "mean": list(model.mean),
        "std": list(model.std),
        "training": {
            "config": config,
            **{name: results[name] for name in summary if name in results},
        },
    }
