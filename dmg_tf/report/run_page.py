"""`report.html` of a run folder, from the files that lie there."""

import contextlib
import pathlib
import shlex

from dmg_tf.config import RunConfig
from dmg_tf.console.parser import command
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.files import write_text
from dmg_tf.flags import args_from_config
from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.html.page import (
    Panel,
    code,
    contents,
    facts,
    page,
    panel,
    quiet,
)
from dmg_tf.report import numbers, sections
from dmg_tf.report.image_panels import image_panels, source_panels
from dmg_tf.report.method import method_text, metric_titles
from dmg_tf.report.next_steps import next_steps
from dmg_tf.report.run_files import RunFiles
from dmg_tf.report.text import estimate_text, selection_text
from dmg_tf.report.verdict import cautions, headline, measured_target
from dmg_tf.runs.folder import ENVIRONMENT, REPORT_NAME
from dmg_tf.runs.left_out import left_out_beside
from dmg_tf.runs.maps import MAPS
from dmg_tf.runs.predictions import FILE_NAME
from dmg_tf.runs.writing import writing_into


def _environment_section(run: RunFiles) -> Markup:
    try:
        return sections.environment(run.environment)
    except (AttributeError, LookupError, TypeError) as error:
        raise DamagedFile(
            f"{run.run_dir / ENVIRONMENT} is damaged: "
            f"{type(error).__name__}: {error}"
        ) from error


def write_run_report(
    run_dir: str | pathlib.Path, data: str | None = None
) -> pathlib.Path:
    """Writes `report.html` into a run folder, whose lock is held.

    Args:
        run_dir: The folder of a finished run.
        data: Where the run's images are now; None for where they were.

    Returns:
        The file.

    Raises:
        UserError: If the run is not finished, or a file can't be read or
            written.
    """
    run = RunFiles.read(run_dir)
    path = run.run_dir / REPORT_NAME
    write_text(path, run_report(run, data))
    return path


def score_again(run_dir: str | pathlib.Path, config: RunConfig) -> None:
    """Predicts a run's images again: `predictions.csv`, `maps.json`.

    Args:
        run_dir: The folder of a finished run.
        config: The run's own, or with its images in another place.

    Raises:
        UserError: As `evaluate_run`.
    """
    # Loads TensorFlow, which a report alone does without.
    from dmg_tf.evaluation.scoring import evaluate_run

    with writing_into(run_dir) as checksums:
        evaluate_run(run_dir, config, checksums=checksums)


def run_report(run: RunFiles, data: str | None = None) -> str:
    """Returns the report of a run as HTML; the same for the same files."""
    title = f"{run.results['config']['method']} on "
    title += run.results["config"]["backbone"]
    target = measured_target(run.results)
    if target is not None:
        title += f", target {target}"
    panels = [*_panels(run), *image_panels(run, data)]
    panels += source_panels(run, data)
    settings = _settings(run.results["config"])
    beside = (
        panel("Images", sections.counts(run.results)),
        panel("Environment", _environment_section(run)),
    )
    following = panel("Next", _next(run.own_folder), wide=True)
    return page(
        title,
        _header(run, title),
        contents([*panels, settings, *beside, following]),
        tag(
            "main",
            sections.key_figures(run.results),
            panels,
            settings,
            tag("div", beside, class_="column"),
            following,
        ),
        tag(
            "footer",
            quiet(
                "Made of results.json, history.csv, environment.json, "
                f"{FILE_NAME} and {MAPS} of this run; ",
                code(f"{command('report')} RUN_DIR"),
                " makes it again. The 95\u00a0% interval is of drawing such "
                "images (Wilson); other seeds differ by more.",
            ),
        ),
    )


def _header(run: RunFiles, title: str) -> Markup:
    results, config = run.results, run.results["config"]
    warnings, estimate = cautions(results), None
    if measured_target(results) is None:
        estimate = estimate_text(left_out_beside(run.own_folder, results))
    return tag(
        "header",
        tag("h1", title),
        tag("p", f"{headline(results)}.", class_="verdict"),
        estimate and tag("p", estimate),
        tag("ul", [tag("li", c) for c in warnings], class_="warning")
        if warnings
        else None,
        quiet(
            f"{method_text(config)}. Trained on "
            f"{', '.join(results['source_domains'])} of "
            f"{config['data'] or 'the built-in data'}; "
            f"{len(results['class_names'])} classes, "
            f"{config['image_size']} px, seed {config['seed']}."
        ),
    )


def _panels(run: RunFiles) -> list[Panel]:
    """Returns what is made of numbers alone."""
    results, config = run.results, run.results["config"]
    by_class = numbers.by_class(results)
    sureness = numbers.sureness(results)
    training = sections.curves(
        run.history,
        results["selection"]["epoch"],
        metric_titles(config, run.history[0]),
    )
    panels = [
        panel(
            "Accuracy in and out of domain",
            numbers.accuracy(results),
            wide=True,
        ),
        panel("By class", by_class, wide=True) if by_class else None,
        panel("How sure it is", sureness, wide=True) if sureness else None,
        _remarks(results),
        panel(
            "Training",
            training,
            wide=True,
            note=f"{selection_text(results)} Training accuracy is of "
            "augmented images while the weights change.",
        ),
        panel("Binary masks", sections.masks(results), wide=True)
        if results.get("mask_iou")
        else None,
    ]
    return [each for each in panels if each is not None]


def _next(run_dir) -> Markup:
    """Returns what can be done with the run, to copy."""
    steps = next_steps(run_dir)
    return join(
        facts({what: code(step) for what, step in steps.items()}),
        quiet(
            "From the folder that this report was made in; IMAGES are files "
            "and folders of your own."
        ),
    )


def _settings(config) -> Panel:
    """Returns all settings, and the command that they are those of."""
    values = {
        name.replace("_", " "): " ".join(map(str, value))
        if isinstance(value, list)
        else str(value)
        for name, value in config.items()
        if value is not None
    }
    made = None
    with contextlib.suppress(UserError):  # a method that is not installed
        flags = args_from_config(RunConfig.from_json(config))
        made = quiet(
            "Made by ", code(f"{command('train')} {shlex.join(flags)}")
        )
    return panel("Settings", facts(values), made)


def _remarks(results) -> Panel | None:
    """What the user should know of the data: notes, images left out."""
    bad = results.get("bad_images") or {}
    lines = [*(results.get("notes") or ())]
    lines += [f"left out {path}: {reason}" for path, reason in bad.items()]
    if not lines:
        return None
    shown = tag("ul", [tag("li", line) for line in lines[:20]])
    more = len(lines) - 20
    return panel(
        "Remarks on the data",
        shown,
        wide=True,
        note=f"and {more:,} more, in results.json" if more > 0 else None,
    )
