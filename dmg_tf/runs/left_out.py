"""What runs that hold out a domain say of one that learned from all."""

import dataclasses
import json
import pathlib
import statistics
from typing import Any

from dmg_tf.config import RunConfig
from dmg_tf.data.names import NO_TARGET
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.rules import default_rule
from dmg_tf.runs.folder import MAY_CHANGE, read_results
from dmg_tf.runs.predictions import OVERALL

# What may differ between a run and those that tell how well it does.
_MAY_DIFFER = (
    frozenset(
        "target sources output seed on_bad_image unknown_classes "
        "track_target".split()
    )
    | MAY_CHANGE
) - {"data", "epochs"}


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """How well a method did on domains that it had not seen.

    Attributes:
        accuracies: {domain that was held out: accuracy, mean over seeds}.
        runs: How many runs say so.
    """

    accuracies: dict[str, float]
    runs: int

    @property
    def mean(self) -> float:
        """The mean over the domains."""
        return statistics.mean(self.accuracies.values())


def left_out_beside(
    run_dir: str | pathlib.Path, results: dict[str, Any]
) -> LeftOut | None:
    """Looks for runs beside one that held out a domain each.

    They have its settings, but for the domains, and were trained on the other
    domains that it learned from.

    Args:
        run_dir: The folder of a run without a target.
        results: What its `results.json` holds.

    Returns:
        What they came to; None where there are none. Damaged ones are left out.
    """
    found: dict[str, list[float]] = {}
    own, domains = _settings(results), set(results["source_domains"])
    for path in sorted(pathlib.Path(run_dir).resolve().parent.iterdir()):
        if not (path / "results.json").exists():
            continue
        try:
            other = read_results(path)
            if _settings(other) != own:
                continue
            target = other["config"]["target"]
            if {target, *other["source_domains"]} != domains:
                continue
            rule = default_rule(other).name
            accuracy = other["out_of_domain"][rule][OVERALL]
        except (DamagedFile, UserError, LookupError, TypeError):
            continue
        found.setdefault(target, []).append(accuracy)
    if not found:
        return None
    return LeftOut(
        {domain: statistics.mean(found[domain]) for domain in sorted(found)},
        sum(map(len, found.values())),
    )


def has_target(results: dict[str, Any]) -> bool:
    """Returns whether a run held out a domain."""
    return results["config"]["target"] != NO_TARGET


def _settings(results) -> dict[str, Any]:
    config = RunConfig.from_run(results["config"]).to_json()
    config = json.loads(json.dumps(config))
    return {k: v for k, v in config.items() if k not in _MAY_DIFFER}
