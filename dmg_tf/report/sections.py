"""The parts of a report that are made of a run's numbers alone."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from dmg_tf.evaluation.metrics.intervals import digits_of, percent
from dmg_tf.html.curves import Curve, chart
from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.html.page import facts, quiet, tiles
from dmg_tf.html.tables import heat_table, table, twentieths_around
from dmg_tf.report.text import selected_at
from dmg_tf.report.verdict import (
    between,
    headline_rule,
    interval,
    measured_target,
)
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL


def key_figures(results: dict[str, Any]) -> Markup:
    """Returns what one wants to know first."""
    rule, target = headline_rule(results), measured_target(results)
    counts = results["counts"]
    split = results["in_domain_split"]
    timing = results["timing"]
    overlap = results.get("mask_iou", {})
    rate = timing["train_images_per_second"]
    inside = results["in_domain"][rule.name][OVERALL]
    known = interval(results, "in_domain", rule.name)
    tile = lost = None
    if rule.name in results[OUT_OF_DOMAIN]:
        outside = results[OUT_OF_DOMAIN][rule.name][OVERALL]
        there = interval(results, OUT_OF_DOMAIN, rule.name)
        tile = (
            f"Target {target}",
            f"{percent(outside, there)}\u00a0%",
            f"{rule.title} on {counts[OUT_OF_DOMAIN][target]:,} unseen images; "
            f"95\u00a0% interval {between(there)}",
        )
        lost = (
            "Lost outside",
            f"{100 * (inside - outside):.{digits_of(*known)}f} points",
            "percentage points: sources minus target",
        )
    return tiles(
        tile,
        (
            "Source domains",
            f"{percent(inside, known)}\u00a0%",
            f"{rule.title}, mean of {len(results['source_domains'])} "
            f"domains, {sum(counts[split].values()):,} {split} images; "
            f"95\u00a0% interval {between(known)}",
        ),
        lost,
        (
            "Mask overlap",
            f"{statistics.mean(p['mean'] for p in overlap.values()):.3f}",
            f"mean IoU of pairs at {', '.join(overlap)}",
        )
        if overlap
        else None,
        (*_kept(results), f"{selected_at(results)} of source validation"),
        (
            "Training",
            duration(timing["train_seconds"]),
            f"{rate:,.0f} images a second" if rate else None,
        ),
    )


def _kept(results: dict[str, Any]) -> tuple[str, str]:
    """Returns what was kept of the training: its name, and which."""
    average = results.get("average")
    if average is None:
        epoch = results["selection"]["epoch"]
        return "Selected epoch", f"{epoch} of {results['config']['epochs']}"
    periods = average["periods"]
    title = "Averaged validations"
    return title, f"{periods[0]} to {periods[-1]}" if periods else "the last"


def duration(seconds: float) -> str:
    """Returns seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.0f}\u00a0s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02d}\u00a0min"
    return f"{minutes // 60}:{minutes % 60:02d}\u00a0h"


def curves(
    history: Sequence[dict], selected: float, metrics: Mapping[str, str]
) -> Markup:
    """Returns accuracy, loss and the method's own metrics by epoch.

    Args:
        history: A row an epoch.
        selected: The epoch to mark.
        metrics: {column of the history: title}.

    Returns:
        Charts, and all numbers in a table; the table alone where there is one
        epoch, of which a curve would be a dot.
    """
    if len(history) < 2:
        return _epochs(history)
    epochs = [row["epoch"] for row in history]

    def curve(column, name, colour, thin=False):
        return Curve(name, [row[column] for row in history], colour, thin)

    # A model that took no step has no loss.
    known = history[0]
    loss = [
        curve(column, column.replace("_", " "), colour, thin=colour > 0)
        for colour, column in enumerate(("loss", "cross_entropy"))
        if column in known
    ]
    own = [
        curve(column, title, 2 + i)
        for i, (column, title) in enumerate(metrics.items())
        if column in known
    ]
    validation = [
        name.removeprefix("validation_")
        for name in known
        if name.startswith("validation_")
    ]
    accuracies = [curve(f"validation_{OVERALL}", "validation, mean", 0)]
    if "accuracy" in known:
        accuracies.insert(0, curve("accuracy", "training", 1))
    for i, domain in enumerate(d for d in validation if d != OVERALL):
        accuracies.append(
            curve(f"validation_{domain}", domain, 3 + i, thin=True)
        )
    charts = [chart("Accuracy", epochs, accuracies, selected, percent=True)]
    if loss:
        charts.append(chart("Loss", epochs, loss, selected))
    if own:
        title = ", ".join(metrics.values())
        charts.append(chart(title, epochs, own, selected))
    return join(
        tag("div", charts, class_="charts"),
        tag(
            "details",
            tag("summary", "All numbers by epoch"),
            _epochs(history),
        ),
    )


def _epochs(history) -> Markup:
    columns = [name for name in history[0] if name != "epoch"]
    rows = [
        [str(row["epoch"]), *(f"{row[name]:.4g}" for name in columns)]
        for row in history
    ]
    heads = [name.replace("_", " ") for name in columns]
    return table("All numbers by epoch", ["epoch", *heads], rows)


def masks(results: dict[str, Any]) -> Markup:
    """Returns overlap and density of the binary masks by layer."""
    iou, density = results["mask_iou"], results["mask_density"]
    parts = []
    for title, values, corner in (
        ("Overlap of pairs (IoU)", iou, "domains"),
        ("Share of active units", density, "mask of"),
    ):
        names = list(next(iter(values.values())))
        rows = {
            "mean" if name == "mean" else name.replace("|", " & "): [
                of_site[name] for of_site in values.values()
            ]
            for name in names
        }
        low, high = twentieths_around([v for row in rows.values() for v in row])
        parts.append(
            tag(
                "div",
                tag("h3", title),
                heat_table(title, corner, list(values), rows, low, high),
                quiet(f"Colour from {low:.2f} (none) to {high:.2f} (full)."),
            )
        )
    return tag("div", parts, class_="beside")


def counts(results: dict[str, Any]) -> Markup:
    """Returns how many images there are of each domain and split."""
    splits = results["counts"]
    domains = dict.fromkeys(d for row in splits.values() for d in row)

    def cell(row, domain):
        return f"{row[domain]:,}" if domain in row else "-"

    shown = ("target" if name == OUT_OF_DOMAIN else name for name in splits)
    return table(
        "Images by domain and split",
        ["domain", *shown],
        [
            [domain, *(cell(row, domain) for row in splits.values())]
            for domain in domains
        ],
    )


def environment(recorded: dict[str, Any]) -> Markup:
    """Returns versions and devices."""
    weights = recorded["weights"]
    return facts(
        {
            "dmg_tf": recorded["dmg_tf"],
            "commit": recorded["commit"],
            "Python": recorded["python"],
            **recorded["packages"],
            "platform": recorded["platform"],
            "devices": ", ".join(recorded["devices"]),
            "initial weights": weights["file"] or "none",
            "their SHA-256": weights["sha256"],
        }
    )
