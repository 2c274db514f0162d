"""What an exported model says of itself, whatever its format."""

import pathlib
from typing import Any

from dmg_tf.errors import UserError

# How weights can be stored in any format.
PRECISIONS = ("float32", "float16")
# What a folded network computes.
FOLDED_RULE = "mask_ens"

FORMAT_VERSION = 1

# Parts of `results.json` that a user of the model needs to judge it. Paths on
# the machine that trained it stay there.
_SUMMARY = (
    "counts",
    "in_domain_split",
    "in_domain",
    "out_of_domain",
    "selection",
    "mask_iou",
    "mask_density",
    "timing",
)
_PATHS = ("data", "output")


def checked_rule(model, rule: str | None, fold: bool) -> str:
    """Returns the rule that an exported model predicts by.

    Args:
        model: A `DomainModel`.
        rule: What was asked for; None for the method's first rule.
        fold: Whether the model is folded.

    Raises:
        UserError: If the model can't predict so without being told a domain.
    """
    if rule is None:
        return FOLDED_RULE if fold else model.prediction_rules[0]
    if fold and rule != FOLDED_RULE:
        raise UserError(
            f"a folded model predicts by {FOLDED_RULE!r}, not by {rule!r}"
        )
    model.check_rules([rule], domain_ids=())
    if rule.startswith("known_domain"):
        raise UserError(
            f"the prediction rule {rule!r} needs the domain of each image; "
            "the signature 'known_domain' takes it"
        )
    return rule


def describe(
    model, results: dict[str, Any], rule: str, fold: bool, precision: str
) -> dict[str, Any]:
    """Returns the metadata of an export, ready for JSON.

    Args:
        model: A built `DomainModel`.
        results: As for `export_saved_model`.
        rule: How it predicts.
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
    return {
        "format_version": FORMAT_VERSION,
        "method": config.get("method", type(model).__name__),
        "backbone": model.backbone,
        "class_names": list(results["class_names"]),
        "source_domains": list(model.source_domains),
        "mask_sites": list(model.domain_masks),
        "prediction_rule": rule,
        "folded": fold,
        "precision": precision,
        "image_size": model.image_size,
        "mean": list(model.mean),
        "std": list(model.std),
        "training": {
            "config": config,
            **{name: results[name] for name in _SUMMARY if name in results},
        },
    }
