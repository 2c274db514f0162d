"""The parts of a report that are made of a run's numbers alone."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from dmg_tf.html.curves import Curve, chart
from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.html.page import facts, quiet, tiles
from dmg_tf.html.tables import heat_table, table, twentieths_around
from dmg_tf.rules import default_rule, scored_rules
from dmg_tf.runs.left_out import has_target
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL


def percent(share: float, digits: int = 2) -> str:
    """Returns a fraction as the tables write it."""
    return f"{100 * share:.{digits}f}"


def key_figures(results: dict[str, Any]) -> Markup:
    """Returns what one wants to know first."""
    rule = default_rule(results)
    inside = results["in_domain"][rule.name][OVERALL]
    counts = results["counts"]
    split = results["in_domain_split"]
    selection, timing = results["selection"], results["timing"]
    overlap = results.get("mask_iou", {})
    rate = timing["train_images_per_second"]
    target, lost = _unseen(results, rule, inside)
    return tiles(
        target,
        (
            "Source domains",
            f"{percent(inside, 1)}\u00a0%",
            f"{rule.title}, mean of {len(results['source_domains'])} "
            f"domains, {sum(counts[split].values()):,} {split} images",
        ),
        lost,
        (
            "Mask overlap",
            f"{statistics.mean(p['mean'] for p in overlap.values()):.3f}",
            f"mean IoU of pairs at {', '.join(overlap)}",
        )
        if overlap
        else None,
        (
            *_kept(results),
            f"{percent(selection['value'], 1)}\u00a0% of source validation",
        ),
        (
            "Training",
            duration(timing["train_seconds"]),
            f"{rate:,.0f} images a second" if rate else None,
        ),
    )


def _unseen(results, rule, inside):
    """Returns the tiles of the target, and of what is lost there."""
    if not has_target(results):
        return ("Unseen domain", "-", "none was held out"), None
    target = results["config"]["target"]
    outside = results["out_of_domain"][rule.name][OVERALL]
    images = results["counts"][OUT_OF_DOMAIN][target]
    low, high = wilson(outside, images)
    return (
        f"Target {target}",
        f"{percent(outside, 1)}\u00a0%",
        f"{rule.title} on {images:,} unseen images; 95\u00a0% "
        f"interval {percent(low, 1)} to {percent(high, 1)}",
    ), (
        "Lost outside",
        f"{100 * (inside - outside):.1f}",
        "percentage points, sources minus target",
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


def wilson(share: float, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share of so many images (Wilson)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(
        share * (1 - share) / count + z * z / (4 * count * count)
    )
    scale = 1 + z * z / count
    return max(0.0, (middle - spread) / scale), min(
        1.0, (middle + spread) / scale
    )


def duration(seconds: float) -> str:
    """Returns seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.0f}\u00a0s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02d}\u00a0min"
    return f"{minutes // 60}:{minutes % 60:02d}\u00a0h"


def accuracy(results: dict[str, Any]) -> Markup:
    """Returns the table that `train.py` prints."""
    sources = list(results["counts"]["train"])
    split, counts = results["in_domain_split"], results["counts"]
    rows = []
    for rule in scored_rules(results):
        row = results["in_domain"][rule.name]
        outside = results["out_of_domain"].get(rule.name)
        rows.append(
            [
                rule.title,
                *(percent(row[domain]) for domain in sources),
                percent(row[OVERALL]),
                *(
                    percent(outside[OVERALL]) if outside else "-"
                    for _ in counts[OUT_OF_DOMAIN]
                ),
            ]
        )

    def head(name, below):
        return join(name, tag("span", below, class_="second"))

    shown = table(
        [
            "prediction",
            *(head(d, f"{counts[split][d]:,} images") for d in sources),
            head("in-domain", "mean"),
            *(
                head(f"target {target}", f"{images:,} images")
                for target, images in counts[OUT_OF_DOMAIN].items()
            ),
        ],
        rows,
        strong={("row", 0), len(sources) + 1, len(sources) + 2},
    )
    return join(
        shown,
        quiet(
            f"Percent. In-domain: {split} images of the sources. "
            f"{rows[0][0]} is the default; it and the epoch were chosen "
            "without a look at the target."
        ),
    )


def curves(
    history: Sequence[dict], selected: float, metrics: Mapping[str, str]
) -> Markup:
    """Returns accuracy, loss and the method's own metrics by epoch.

    Args:
        history: A row an epoch.
        selected: The epoch to mark.
        metrics: {column of the history: title}.
    """
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
    return join(tag("div", charts, class_="charts"), _epochs(history))


def _epochs(history) -> Markup:
    columns = [name for name in history[0] if name != "epoch"]
    rows = [
        [str(row["epoch"]), *(f"{row[name]:.4g}" for name in columns)]
        for row in history
    ]
    heads = [name.replace("_", " ") for name in columns]
    return tag(
        "details",
        tag("summary", "All numbers by epoch"),
        table(["epoch", *heads], rows),
    )


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
                heat_table(corner, list(values), rows, low, high),
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
