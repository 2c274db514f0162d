"""Tables for people, and the report of a run folder.

dmg-tf report RUN_DIR [--data DIR] [--score]
"""

import io
from typing import Any

import rich.box
import rich.console
import rich.table

from dmg_tf.runs.predictions import OVERALL

_RULE_NAMES = {
    "pred_ens": "Pred-Ens",
    "mask_ens": "Mask-Ens",
    "known_domain": "known domain",
}


def rule_name(rule: str) -> str:
    """Returns what a table calls a prediction rule."""
    if rule.startswith("mask/"):
        return f"mask of {rule.removeprefix('mask/')}"
    if rule.startswith("head/"):
        return f"head of {rule.removeprefix('head/')}"
    return _RULE_NAMES.get(rule, rule)


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
    table.add_column(
        f"target {target}\n{counts['out_of_domain'][target]}",
        justify="right",
        style="bold",
    )
    for rule, row in results["in_domain"].items():
        outside = results["out_of_domain"].get(rule)
        table.add_row(
            rule_name(rule),
            *(_percent(row[domain]) for domain in sources),
            _percent(row[OVERALL]),
            _percent(outside[OVERALL]) if outside else "-",
        )
    selection = results["selection"]
    lines = [
        f"Accuracy (%), {config['method']} on {config['backbone']}, "
        f"target {target}",
        _render(table, width),
        f"In-domain: {split} images of the sources; the second line counts "
        "images.",
        f"Epoch {selection['epoch']} of {config['epochs']} was selected by "
        f"source validation: {_percent(selection['value'])} % "
        f"({selection['rule']}).",
    ]
    if results["mask_iou"]:
        lines += ["", mask_text(results, width)]
    return "\n".join(lines)


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


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _render(table, width: int) -> str:
    text = io.StringIO()
    rich.console.Console(file=text, width=width).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(line for line in lines if line)
