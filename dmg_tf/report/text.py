"""What a run came to, for a terminal."""

import io
from typing import Any

import rich.box
import rich.console
import rich.table

from dmg_tf.console.parser import command
from dmg_tf.rules import scored_rules, title_of
from dmg_tf.runs.left_out import LeftOut, has_target
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL


def headline(results: dict[str, Any]) -> str:
    """Says in one line how good a model is: on new ground, on known, by luck.

    Args:
        results: What `results.json` holds.

    Returns:
        E.g. "sketch (never seen): 23.4 % right of 280 images; sources: 25.0 %;
        chance: 14.3 %", by the first rule that says something of the target.
    """
    rules = scored_rules(results)
    outside = results["out_of_domain"]
    rule = next((r for r in rules if r.name in outside), rules[0])
    parts = []
    if rule.name in outside:
        target = results["config"]["target"]
        images = results["counts"][OUT_OF_DOMAIN][target]
        parts.append(
            f"{target} (never seen): "
            f"{_percent(outside[rule.name][OVERALL], 1)} % right of "
            f"{images:,} images"
        )
    if not has_target(results):
        parts.append("no unseen domain was measured")
    inside = results["in_domain"][rule.name][OVERALL]
    parts += [
        f"sources: {_percent(inside, 1)} %",
        f"chance: {_percent(1 / len(results['class_names']), 1)} %",
    ]
    return "; ".join(parts)


def estimate_text(estimate: LeftOut | None) -> str:
    """Says what a model that learned from all domains may do on a new one.

    Args:
        estimate: What runs beside it came to.
    """
    if estimate is None:
        return (
            "How well it does on a new domain was not measured: hold out each "
            f"domain in turn ({command('sweep')}) to see."
        )
    each = ", ".join(
        f"{domain} {_percent(share, 1)}"
        for domain, share in estimate.accuracies.items()
    )
    return (
        f"On a new domain expect about {_percent(estimate.mean, 1)} %: the "
        f"mean of {estimate.runs} runs beside this one that held out a domain "
        f"each ({each})."
    )


def results_text(results: dict[str, Any], width: int = 400) -> str:
    """Renders in-domain and out-of-domain accuracy, and the masks' overlap.

    Args:
        results: What `results.json` holds.
        width: Columns it may take at the most. Wide enough by default that
            no name is cut short.

    Returns:
        Text of several lines; accuracies in percent.
    """
    config = results["config"]
    sources = [d for d in results["counts"]["train"]]
    target = config["target"]
    counts = results["counts"]
    split = results["in_domain_split"]
    in_domain_counts = counts[split]

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("prediction", no_wrap=True)
    for domain in sources:
        table.add_column(
            f"{domain}\n{in_domain_counts[domain]}", justify="right"
        )
    table.add_column("in-domain\nmean", justify="right", style="bold")
    if has_target(results):
        table.add_column(
            f"target {target}\n{counts[OUT_OF_DOMAIN][target]}",
            justify="right",
            style="bold",
        )
    for rule in scored_rules(results):
        row = results["in_domain"][rule.name]
        outside = results["out_of_domain"].get(rule.name)
        cells = [
            *(_percent(row[domain]) for domain in sources),
            _percent(row[OVERALL]),
        ]
        if has_target(results):
            cells.append(_percent(outside[OVERALL]) if outside else "-")
        table.add_row(rule.title, *cells)
    lines = [
        headline(results),
        "",
        f"Accuracy (%), {config['method']} on {config['backbone']}"
        + f", target {target}" * has_target(results),
        _render(table, width),
        f"In-domain: {split} images of the sources; the second line counts "
        "images.",
        selection_text(results),
    ]
    if results.get("mask_iou"):
        lines += ["", mask_text(results, width)]
    return "\n".join(lines)


def selection_text(results: dict[str, Any]) -> str:
    """Returns a sentence on which weights were kept, and how well they do."""
    selection = results["selection"]
    reached = (
        f"source validation: {_percent(selection['value'])} % "
        f"({title_of(results, selection['rule'])})."
    )
    average = results.get("average")
    if average is None:
        return (
            f"Epoch {selection['epoch']} of {results['config']['epochs']} was "
            f"selected by {reached}"
        )
    if not average["periods"]:
        return (
            "The validation loss has no valley yet: the weights of the steps "
            f"before the last validation were averaged (SWAD). By {reached}"
        )
    first, last = average["periods"][0], average["periods"][-1]
    return (
        f"The weights of the steps that ended with validations {first} to "
        f"{last} were averaged (SWAD). By {reached}"
    )


def mask_text(results: dict[str, Any], width: int = 400) -> str:
    """Renders overlap and density of the binary masks, a column a site."""
    iou, density = results["mask_iou"], results["mask_density"]
    first = next(iter(iou))
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("masked input of", no_wrap=True)
    for site in iou:
        table.add_column(site, justify="right")
    for pair in iou[first]:
        name = "mean" if pair == "mean" else pair.replace("|", " & ")
        values = (f"{pairs[pair]:.3f}" for pairs in iou.values())
        table.add_row(f"IoU, {name}", *values, end_section=pair == "mean")
    for domain in density[first]:
        values = (f"{shares[domain]:.3f}" for shares in density.values())
        table.add_row(f"active in {domain}", *values)
    title = "Binary masks: overlap of pairs (IoU) and share of active units"
    return f"{title}\n{_render(table, width)}"


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f}"


def _render(table, width: int) -> str:
    text = io.StringIO()
    rich.console.Console(file=text, width=width).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(line for line in lines if line)
