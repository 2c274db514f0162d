"""What a report says of a run's method, whether it is installed here or not."""

from collections.abc import Iterable, Mapping
from typing import Any

import dmg_tf.config  # noqa: F401  (fills the registry of methods)
from dmg_tf.registry import METHODS

# What the history has of every method, beside accuracies by domain.
_GENERAL = (
    "epoch",
    "learning_rate",
    "loss",
    "accuracy",
    "cross_entropy",
    "seconds",
    "images_per_second",
)
_BY_DOMAIN = ("validation_", "target_")


def method_text(config: Mapping[str, Any]) -> str:
    """Returns the method's title and whose it is, or its name alone.

    Args:
        config: What `config.json` of the run holds.
    """
    name = config["method"]
    if name not in METHODS.names():
        return name
    spec = METHODS[name]
    return f"{spec.title} ({spec.paper})" if spec.paper else spec.title


def metric_titles(
    config: Mapping[str, Any], columns: Iterable[str]
) -> dict[str, str]:
    """Returns {column of the history: title} of the method's own metrics.

    Args:
        config: What `config.json` of the run holds.
        columns: Those of the history.
    """
    name = config["method"]
    if name in METHODS.names():
        spec, titles = METHODS[name], {}
        for column in columns:
            beginning, _, domain = column.partition("_")
            if column in spec.metrics:
                titles[column] = spec.metrics[column]
            elif beginning in spec.metrics_by_domain:
                title = spec.metrics_by_domain[beginning]
                titles[column] = f"{title}, {domain}"
        return titles
    return {
        column: column.replace("_", " ")
        for column in columns
        if column not in _GENERAL and not column.startswith(_BY_DOMAIN)
    }
