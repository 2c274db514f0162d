"""What a report shows of single images: confusions, samples, maps."""

import os

from dmg_tf.console.parser import command
from dmg_tf.data import image_root
from dmg_tf.evaluation.metrics.intervals import percent
from dmg_tf.evaluation.samples import choose, rules_shown, surest_errors
from dmg_tf.html.markup import Markup, tag
from dmg_tf.html.page import Panel, code, panel, quiet
from dmg_tf.report.cards import sample_cards
from dmg_tf.report.confusion import confused_by_domain, confusion
from dmg_tf.report.maps import map_rows
from dmg_tf.report.run_files import RunFiles
from dmg_tf.report.verdict import measured_target
from dmg_tf.rules import rules_of
from dmg_tf.runs.predictions import FILE_NAME, OVERALL

_WORST = 3  # images of each source


def image_panels(run: RunFiles, data: str | None = None) -> list[Panel]:
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
    root, path_now = _place(results, data)
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


def source_panels(run: RunFiles, data: str | None = None) -> list[Panel]:
    """Returns what is taken for what among the sources, and the worst of it.

    An image that is wrong at home may have a wrong label.

    Args:
        run: The run.
        data: As for `image_panels`.
    """
    results, split = run.results, run.sources()
    if split is None or not len(split.paths):
        return []
    names, predictions = results["class_names"], split.predictions
    rule, domain_rules = rules_shown(predictions, rules_of(results))
    if rule.name not in predictions.predicted:
        return []
    of_each = {
        domain: predictions.select(predictions.domain_ids == i).confusion(
            rule.name, len(names)
        )
        for i, domain in enumerate(split.domains)
    }
    counts = predictions.confusion(rule.name, len(names))
    panels = [
        panel(
            f"What is taken for what in the sources ({rule.title})",
            confusion(counts, names),
            tag(
                "div",
                tag("h3", "By source"),
                confused_by_domain(of_each, names),
                class_="group",
            ),
            wide=True,
            note=f"{split.name.capitalize()} images of all sources together.",
        )
    ]
    groups = surest_errors(split, rule, _WORST)
    if groups:
        root, path_now = _place(results, data)
        cards, _ = sample_cards(
            split, groups, names, rule, domain_rules, path_now, root
        )
        panels.append(
            panel(
                "Wrong in the sources",
                quiet(
                    "The images that the model is most sure of and wrong "
                    "about, where it should know best. Look at their labels."
                ),
                cards,
                wide=True,
            )
        )
    return panels


def _place(results, data):
    """Returns the data folder, and what gives where its files are now."""
    root, data = image_root(results["config"]["data"]), image_root(data)

    def path_now(path):
        if data and root and path.startswith(os.path.join(root, "")):
            return os.path.join(data, os.path.relpath(path, root))
        return path

    return root, path_now


def _maps_panel(run: RunFiles, path_now, root) -> list[Panel]:
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


def _no_predictions(target) -> Panel:
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
