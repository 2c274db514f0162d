"""`report.html` of a sweep: all its runs on one page to look at."""

import pathlib
import urllib.parse
from collections.abc import Iterable, Sequence

from dmg_tf.console.bar import print_error
from dmg_tf.console.parser import command
from dmg_tf.errors import DamagedFile
from dmg_tf.evaluation.metrics.intervals import percent
from dmg_tf.files import write_text
from dmg_tf.html.markup import Markup, tag
from dmg_tf.html.page import code, page, panel, quiet
from dmg_tf.html.tables import table
from dmg_tf.report.image_panels import image_panels
from dmg_tf.report.run_files import RunFiles
from dmg_tf.report.sections import duration
from dmg_tf.report.text import selected_at
from dmg_tf.report.verdict import interval
from dmg_tf.runs.folder import REPORT_NAME
from dmg_tf.runs.predictions import OVERALL
from dmg_tf.studies.paper.tables import all_tables
from dmg_tf.studies.runs import Run, targets_of
from dmg_tf.studies.sweep.panels import (
    curves,
    masks,
    names_of,
    overview,
    shaded_table,
)


def write_sweep_page(
    runs: Sequence[Run],
    folder: pathlib.Path,
    with_paper: bool = False,
    missing: Sequence[str] = (),
) -> pathlib.Path:
    """Writes `report.html` into the folder of a sweep.

    Args:
        runs: Its finished runs, in the order of tables.
        folder: Where their folders are.
        with_paper: Whether the paper's own rows are shown too.
        missing: Names of runs that are not finished.

    Returns:
        The file.

    Raises:
        UserError: If a file can't be read or written.
    """
    path = folder / REPORT_NAME
    write_text(path, sweep_page(runs, with_paper, missing))
    return path


def sweep_page(
    runs: Sequence[Run], with_paper: bool = False, missing: Sequence[str] = ()
) -> str:
    """Returns the report as HTML; see `write_sweep_page`."""
    config = runs[0].config
    targets = targets_of(runs)
    title = f"{config['dataset']}: each of {len(targets)} domains held out"
    if len(targets) == 1:
        title = f"{config['dataset']}: {targets[0]} held out"
    return page(
        title,
        tag("header", tag("h1", title), quiet(_what(runs))),
        tag(
            "main",
            _unfinished(missing),
            panel("In and out of domain", overview(runs), wide=True),
            panel(
                "Accuracy while training",
                curves(runs, targets),
                wide=True,
                note="On the sources' validation images, mean over domains "
                "and seeds. It selects each run's epoch.",
            ),
            *(
                panel(each.title, shaded_table(each), wide=True)
                for each in all_tables(runs, with_paper)
            ),
            masks(runs),
            *_of_targets(runs, targets),
            panel("All runs", _runs(runs), wide=True),
        ),
        tag(
            "footer",
            quiet(
                "Numbers are means over seeds, ± their standard error; n "
                "counts runs. Epochs were selected on the sources' validation "
                "images; the target had no part in it. The command that made "
                "the sweep makes this page again: ",
                code(f"{command('sweep')} ..."),
            ),
        ),
    )


def _what(runs) -> str:
    def names(values: Iterable) -> str:
        return ", ".join(map(str, dict.fromkeys(values)))

    config = runs[0].config
    return (
        f"{len(runs)} runs: {names(run.label for run in runs)} on "
        f"{names(run.config['backbone'] for run in runs)}; "
        f"{names(run.config['epochs'] for run in runs)} epochs, "
        f"{names(run.config['image_size'] for run in runs)} px, seed "
        f"{names(sorted(run.config['seed'] for run in runs))}, images of "
        f"{config['data'] or 'the built-in data'}."
    )


def _unfinished(missing) -> Markup | None:
    if not missing:
        return None
    return panel(
        "Not finished",
        tag(
            "p",
            f"These runs are left out of everything below: "
            f"{', '.join(missing)}.",
            class_="warning",
        ),
        wide=True,
    )


def _of_targets(runs, targets) -> list[Markup]:
    """For each target, what one run takes for what, and images."""
    panels, names = [], names_of(runs)
    for target in targets:
        chosen = max(
            (run for run in runs if run.target == target),
            key=lambda run: run.results["selection"]["value"],
        )
        panels.append(
            panel(
                f"Target {target}: one run, looked at",
                quiet(
                    f"{names[chosen.run_dir]}, seed {chosen.config['seed']}: "
                    "of this target's runs the one that was best on the "
                    "sources' validation images. All of it: ",
                    _link(chosen, chosen.run_dir.name),
                ),
                wide=True,
            )
        )
        try:
            panels += image_panels(RunFiles.read(chosen.run_dir))
        except DamagedFile as error:
            print_error(f"no images of {chosen.run_dir.name}: {error}")
    return panels


def _link(run, words: str) -> Markup:
    name = urllib.parse.quote(run.run_dir.name)
    return tag("a", words, href=f"{name}/{REPORT_NAME}")


def _runs(runs) -> Markup:
    rows = []
    for run in runs:
        results, timing = run.results, run.results["timing"]
        rule = run.rule.name
        cells = [
            run.target,
            run.config["backbone"],
            str(run.config["seed"]),
            str(results["selection"]["epoch"]),
            selected_at(results),
            *(
                percent(
                    results[part][rule][OVERALL], interval(results, part, rule)
                )
                for part in ("in_domain", "out_of_domain")
            ),
            duration(timing["total_seconds"]),
            tag("td", _link(run, "report")),
        ]
        rows.append([run.label, *cells])
    head = (
        "method,target,backbone,seed,epoch,selected at,in domain,"
        "out of domain,time,"
    ).split(",")
    return table("All runs", head, rows, words={1, 2})
