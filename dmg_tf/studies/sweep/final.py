"""The model that a sweep was run for: the best method, on all domains."""

import dataclasses
import pathlib
import shlex
import statistics
from collections.abc import Sequence

from dmg_tf.config import RunConfig
from dmg_tf.console.parser import command
from dmg_tf.data.names import NO_TARGET
from dmg_tf.flags import args_from_config
from dmg_tf.registry import file_part
from dmg_tf.runs.predictions import OVERALL
from dmg_tf.studies.runs import Run
from dmg_tf.studies.sweep.plan import PlannedRun


def final_model_text(
    planned: Sequence[PlannedRun], done: Sequence[Run], folder: pathlib.Path
) -> str:
    """Returns the command that trains the best method on all domains.

    The best is the one with the highest accuracy out of domain, as the mean
    over the targets; of those that have all targets.

    Args:
        planned: The sweep.
        done: Its finished runs.
        folder: The sweep's folder.

    Returns:
        Lines for a terminal; "" where no method has all of its runs.
    """
    finished = {run.run_dir.name: run for run in done}
    targets = {plan.config.target for plan in planned}
    scores: dict[tuple[str, ...], list[float]] = {}
    configs: dict[tuple[str, ...], RunConfig] = {}
    incomplete = set()
    for plan in planned:
        sources = plan.config.sources
        config = dataclasses.replace(
            plan.config,
            target=NO_TARGET,
            sources=sources and tuple(sorted({*sources, *targets})),
            output=None,
        )
        key = tuple(
            args_from_config(dataclasses.replace(config, seed=RunConfig.seed))
        )
        run = finished.get(plan.name)
        if run is None:
            incomplete.add(key)
            continue
        scores.setdefault(key, []).append(
            run.results["out_of_domain"][run.rule.name][OVERALL]
        )
        configs.setdefault(key, config)
    complete = [key for key in scores if key not in incomplete]
    if not complete:
        return ""
    best = max(complete, key=lambda key: statistics.mean(scores[key]))
    config = configs[best]
    output = folder / f"final-{config.method}-{file_part(config.backbone)}"
    words = shlex.join(
        args_from_config(dataclasses.replace(config, output=str(output)))
    )
    percent = 100 * statistics.mean(scores[best])
    why = ""
    if len(complete) > 1:
        why = f", the best of {len(complete)} on domains that it had not seen"
    return (
        f"The final model, trained on all domains: {config.method} on "
        f"{config.backbone}{why} ({percent:.1f} %, mean over the targets).\n"
        f"{command('train')} {words}"
    )
