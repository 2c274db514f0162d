"""`report.html` of a run folder, from the files that lie there."""

import dataclasses
import os
import pathlib
from typing import Any

from dmg_tf.config import RunConfig
from dmg_tf.console.parser import command
from dmg_tf.data import image_root
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.evaluation.metrics.intervals import percent
from dmg_tf.evaluation.samples import choose, rules_shown
from dmg_tf.files import write_text
from dmg_tf.folders.checksums import NEXT, read_json
from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.html.page import code, facts, page, panel, quiet
from dmg_tf.report import numbers, sections
from dmg_tf.report.cards import sample_cards
from dmg_tf.report.confusion import confusion
from dmg_tf.report.maps import map_rows
from dmg_tf.report.method import method_text, metric_titles
from dmg_tf.report.next_steps import next_steps
from dmg_tf.report.text import estimate_text, selection_text
from dmg_tf.report.verdict import cautions, headline, measured_target
from dmg_tf.rules import rules_of
from dmg_tf.runs.folder import ENVIRONMENT, REPORT_NAME, read_results
from dmg_tf.runs.history import read_history
from dmg_tf.runs.left_out import left_out_beside
from dmg_tf.runs.maps import ImageMaps, read_maps
from dmg_tf.runs.predictions import (
    FILE_NAME,
    OVERALL,
    ScoredSplit,
    read_predictions,
)
from dmg_tf.runs.writing import writing_into


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """What a report is made of.

    Attributes:
        run_dir: The run folder.
        results: Of `results.json`.
        history: Of `history.csv`.
        environment: Of `environment.json`.
        target: What was said of the target's images; None if it was not kept.
        maps: Where the network looks in some of them; None likewise.
    """

    run_dir: pathlib.Path
    results: dict[str, Any]
    history: list[dict]
    environment: dict[str, Any]
    target: ScoredSplit | None
    maps: ImageMaps | None = None

    @property
    def own_folder(self) -> pathlib.Path:
        """The run's, where the files of one that goes on will be moved."""
        moved = self.run_dir.name == NEXT
        return self.run_dir.parent if moved else self.run_dir

    @classmethod
    def read(cls, run_dir: str | pathlib.Path) -> "RunFiles":
        """Reads a run folder.

        Raises:
            UserError: If the run is not finished or a file can't be read.
        """
        run_dir = pathlib.Path(run_dir)
        results = read_results(run_dir)
        try:
            target = read_predictions(
                run_dir / FILE_NAME, results["class_names"]
            )
        except FileNotFoundError:
            target = None  # a run from before they were kept
        environment = _environment(run_dir / ENVIRONMENT)
        history = read_history(run_dir / "history.csv")
        maps = read_maps(run_dir)
        return cls(run_dir, results, history, environment, target, maps)


def _environment(path) -> dict[str, Any]:
    try:
        return read_json(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


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
    results, config = run.results, run.results["config"]
    selected, warnings = results["selection"], cautions(results)
    by_class = numbers.by_class(results)
    sureness = numbers.sureness(results)
    sources = ", ".join(results["source_domains"])
    target = measured_target(results)
    title = f"{config['method']} on {config['backbone']}"
    estimate = None
    if target is not None:
        title += f", target {target}"
    else:
        estimate = estimate_text(left_out_beside(run.own_folder, results))
    return page(
        title,
        tag(
            "header",
            tag("h1", title),
            tag("p", f"{headline(results)}.", class_="verdict"),
            estimate and tag("p", estimate),
            tag("ul", [tag("li", c) for c in warnings], class_="warning")
            if warnings
            else None,
            quiet(
                f"{method_text(config)}. Trained on {sources} of "
                f"{config['data'] or 'the built-in data'}; "
                f"{len(results['class_names'])} classes, "
                f"{config['image_size']} px, seed {config['seed']}."
            ),
        ),
        tag(
            "main",
            sections.key_figures(results),
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
                sections.curves(
                    run.history,
                    selected["epoch"],
                    metric_titles(config, run.history[0]),
                ),
                wide=True,
                note=f"{selection_text(results)} Training accuracy is of "
                "augmented images while the weights change.",
            ),
            panel("Binary masks", sections.masks(results), wide=True)
            if results.get("mask_iou")
            else None,
            *image_panels(run, data),
            panel("Settings", facts(_settings(config))),
            tag(
                "div",
                panel("Images", sections.counts(results)),
                panel("Environment", _environment_section(run)),
                class_="column",
            ),
            panel("Next", _next(run.own_folder), wide=True),
        ),
        tag(
            "footer",
            quiet(
                "Made of results.json, history.csv, environment.json and "
                f"{FILE_NAME} of this run; ",
                code(f"{command('report')} RUN_DIR"),
                " makes it again. The 95\u00a0% interval is of drawing such "
                "images (Wilson); other seeds differ by more.",
            ),
        ),
    )


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


def _settings(config) -> dict[str, Any]:
    return {
        name.replace("_", " "): " ".join(map(str, value))
        if isinstance(value, list)
        else str(value)
        for name, value in config.items()
        if value is not None
    }


def _remarks(results) -> Markup | None:
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


def _difference(results, rule, counts) -> str | None:
    """Says so where the images were scored again, with another outcome."""
    before = results["out_of_domain"][rule.name][OVERALL]
    now = counts.trace() / counts.sum()
    if abs(now - before) < 1e-9:
        return None
    return (
        f"Scored again: {percent(now)}\u00a0% are right here, in the table "
        f"above {percent(before)}\u00a0%."
    )


def image_panels(run: RunFiles, data: str | None = None) -> list[Markup]:
    """Returns what is shown of single images: confusions, and samples.

    Args:
        run: The run.
        data: Where its images are now; None for where they were.
    """
    results = run.results
    target, names = measured_target(results), results["class_names"]
    if target is None:
        return []
    if run.target is None or not len(run.target.paths):
        return [_no_predictions(target)]
    predictions = run.target.predictions
    rule, domain_rules = rules_shown(predictions, rules_of(results))
    counts = predictions.confusion(rule.name, len(names))
    groups = choose(predictions, rule, domain_rules, results["config"]["seed"])
    root, data = image_root(results["config"]["data"]), image_root(data)

    def path_now(path):
        if data and root and path.startswith(os.path.join(root, "")):
            return os.path.join(data, os.path.relpath(path, root))
        return path

    cards, lost = sample_cards(
        run.target, groups, names, rule, domain_rules, path_now, root
    )
    below = ". "
    if domain_rules:
        below = f"; below, what each {domain_rules[0].part} says. "
    return [
        panel(
            f"What is taken for what in {target} ({rule.title})",
            confusion(counts, names),
            wide=True,
            note=_difference(results, rule, counts),
        ),
        panel(
            f"Images of {target}",
            quiet(
                f"Above, the class and what {rule.title} says{below}"
                "Percentages are the model's own probabilities."
            ),
            _moved(lost, sum(len(g.indices) for g in groups), root),
            cards,
            wide=True,
        ),
        *_maps_panel(run, path_now, root),
    ]


def _maps_panel(run: RunFiles, path_now, root) -> list[Markup]:
    """Returns where the network looks, if that was kept."""
    if run.maps is None:
        return []
    rules, names = rules_of(run.results), run.results["class_names"]
    rows = map_rows(run.maps, run.target, names, rules, path_now, root)
    if rows is None:
        return []
    part = next((r.part for r in rules if r.name in run.maps.rules), None)
    title = f"Where each {part} looks" if part else "Where the network looks"
    return [panel(title, rows, wide=True)]


def _no_predictions(target) -> Markup:
    return panel(
        f"What is taken for what in {target}",
        quiet(
            f"There is no {FILE_NAME} in the run folder. ",
            code(f"{command('report')} RUN_DIR --score"),
            " scores the images again and writes it.",
        ),
        wide=True,
    )


def _moved(lost, count, root) -> Markup | None:
    """Says so where images can't be shown."""
    if not lost:
        return None
    return tag(
        "p",
        f"{lost} of {count} images can't be read any more, "
        f"{root or 'the built-in data'} may have moved: ",
        code(f"{command('report')} RUN_DIR --data DIR"),
        " takes them from elsewhere.",
        class_="warning",
    )
