"""What a search found: one row a setting, from the run folders."""

import csv
import dataclasses
import io
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from dmg_tf.console.parser import command
from dmg_tf.errors import UserError
from dmg_tf.files import write_json, write_text
from dmg_tf.flags import args_from_config
from dmg_tf.rules import default_rule
from dmg_tf.runs.cells import inert
from dmg_tf.runs.folder import read_results
from dmg_tf.runs.predictions import OVERALL
from dmg_tf.settings import flag_of
from dmg_tf.studies.search.folder import ERROR_FILE, Search
from dmg_tf.studies.search.space import defaults_of, with_values
from dmg_tf.studies.table import Cell

# Numbers of a run, and of a row as means. The last is for reading alone: no
# epoch and no setting is chosen by the target.
MEASURES = (
    "validation",
    "in_domain",
    "mask_iou",
    "seconds",
    "out_of_domain",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One setting and its runs.

    Attributes:
        trial: KerasTuner's name of the trial.
        values: {setting: value}.
        runs: One dict a seed: the row of `results.csv`, `mask_iou_of`, the
            mean over pairs of domains for each site, `in_domain_split`, and
            `rule`, what tables call the prediction rule.
        error: Why it failed, or None.
    """

    trial: str
    values: dict[str, Any]
    runs: tuple[dict[str, Any], ...]
    error: str | None = None

    def cell(self, measure: str) -> Cell | None:
        """Returns the mean of one of `MEASURES`, over seeds."""
        values = [run[measure] for run in self.runs]
        return Cell.of(value for value in values if value is not None)


def collect(search: Search, trials: Sequence) -> list[Row]:
    """Reads the run folders of all trials.

    Trials of Hyperband that prolong others are part of those others' rows.

    Args:
        search: The search.
        trials: KerasTuner's.

    Returns:
        Rows in the order of their values.
    """
    roots, errors = {}, {}
    for trial in trials:
        values = trial.hyperparameters.values
        earlier = values.get("tuner/trial_id")
        root = roots[trial.trial_id] = roots.get(earlier, trial.trial_id)
        if trial.status != "COMPLETED":
            errors[root] = _error_of(search, trial)
    rows = []
    for trial in trials:
        if roots[trial.trial_id] != trial.trial_id:
            continue
        values = {n: trial.hyperparameters.values[n] for n in search.space}
        error = errors.get(trial.trial_id)
        runs = []
        for execution in range(search.executions if error is None else 0):
            run_dir = search.run_dir(trial.trial_id, execution)
            try:
                runs.append(_run(search, trial.trial_id, values, run_dir))
            except UserError as problem:
                error = str(problem)
        rows.append(Row(trial.trial_id, values, tuple(runs), error))
    names = list(search.space)
    return sorted(rows, key=lambda row: [row.values[name] for name in names])


def best_row(rows: Sequence[Row]) -> Row | None:
    """Returns the row of the best validation, the first of equals."""
    whole = [row for row in rows if row.error is None]
    if not whole:
        return None
    return max(whole, key=lambda row: row.cell("validation").mean)


def best_run(row: Row) -> dict[str, Any]:
    """Returns a row's run of the best validation, the first of equals."""
    return max(row.runs, key=lambda run: run["validation"])


def command_of(search: Search, row: Row, run: dict[str, Any]) -> list[str]:
    """Returns the command that makes a run again, into `best/`."""
    epochs = search.config.epochs
    config = dataclasses.replace(
        with_values(search.config, row.values),
        seed=run["seed"],
        epochs=run["epochs"] if search.tuner == "hyperband" else epochs,
        output=str(search.folder / "best"),
    )
    # What was searched is said even where it is what a run does anyway.
    defaults = defaults_of(config)
    said = [
        f"{flag_of(name)}={value}"
        for name, value in row.values.items()
        if value == defaults[name]
    ]
    return [*command("train").split(), *args_from_config(config), *said]


def write_results(search: Search, rows: Sequence[Row]) -> None:
    """Writes `results.json` and `results.csv`."""
    best = best_row(rows)
    summary = {
        "settings": search.settings(),
        "selected_by": "validation: mean accuracy on the sources' validation "
        "images; the target had no part in it",
        "trials": [
            {
                "trial": row.trial,
                "values": row.values,
                "error": row.error,
                **{
                    measure: _mean_json(row.cell(measure))
                    for measure in MEASURES
                },
                "runs": row.runs,
            }
            for row in rows
        ],
        "best": best
        and {
            "trial": best.trial,
            "values": best.values,
            "run": best_run(best)["folder"],
            "command": command_of(search, best, best_run(best)),
        },
    }
    write_json(search.folder / "results.json", summary)
    write_text(search.folder / "results.csv", _csv(search, rows))


def _mean_json(cell: Cell | None) -> dict[str, Any] | None:
    return cell and {
        "value": cell.mean,
        "standard_error": cell.standard_error,
        "count": cell.count,
    }


def _run(search, trial_id, values, run_dir: pathlib.Path) -> dict[str, Any]:
    results = read_results(run_dir)
    rule = default_rule(results)
    sites = {s: pairs["mean"] for s, pairs in results["mask_iou"].items()}
    return {
        "trial": trial_id,
        **values,
        "seed": results["config"]["seed"],
        "epochs": results["config"]["epochs"],
        "selected_epoch": results["selection"]["epoch"],
        "validation": results["selection"]["value"],
        "in_domain": results["in_domain"][rule.name][OVERALL],
        "out_of_domain": results["out_of_domain"][rule.name][OVERALL],
        "mask_iou": statistics.fmean(sites.values()) if sites else None,
        "seconds": results["timing"]["train_seconds"],
        "folder": str(run_dir.relative_to(search.folder)),
        "in_domain_split": results["in_domain_split"],
        "mask_iou_of": sites,
        "rule": rule.title,
    }


def _error_of(search, trial) -> str:
    path = search.trial_dir(trial.trial_id) / ERROR_FILE
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return f"it ended as {trial.status}, for a reason nobody wrote down"


def _csv(search, rows) -> str:
    text = io.StringIO()
    names = [
        *("trial", *search.space, "seed", "epochs", "selected_epoch"),
        *("validation", "in_domain", "out_of_domain", "mask_iou", "seconds"),
        *("folder", "error"),
    ]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        lines = list(row.runs)
        if row.error:
            first = row.error.splitlines()[0]
            lines.append({"trial": row.trial, **row.values, "error": first})
        for line in lines:
            writer.writerow(inert(line.get(name, "") for name in names))
    return text.getvalue()
