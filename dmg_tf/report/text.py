"""What a run came to, for a terminal."""

import pathlib
from collections.abc import Mapping
from typing import Any

from dmg_tf.console.parser import command
from dmg_tf.console.printable import say
from dmg_tf.console.tables import Room
from dmg_tf.evaluation.metrics.intervals import percent, wilson
from dmg_tf.report.next_steps import next_steps
from dmg_tf.report.verdict import (
    cautions,
    headline,
    headline_rule,
    interval,
    measured_target,
    sureness,
)
from dmg_tf.rules import scored_rules, title_of
from dmg_tf.runs.left_out import LeftOut, has_target, left_out_beside
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL


def show_results(
    results: Mapping[str, Any], run_dir: pathlib.Path, note: str = ""
) -> None:
    """Prints what a run came to, and what can be done with it.

    Args:
        results: What `results.json` holds.
        run_dir: Its folder.
        note: A line between the two.
    """
    room = Room.here()
    room.say(results_text(results, room))
    if not has_target(results):
        beside = left_out_beside(run_dir, results)
        room.say("\n" + room.text(estimate_text(beside)))
    # Not broken into lines: they are to be copied.
    say("\n" + f"{note}\n" * bool(note) + steps_text(run_dir))


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
        f"{domain} {100 * share:.1f}"
        for domain, share in estimate.accuracies.items()
    )
    return (
        f"On a new domain expect about {100 * estimate.mean:.1f} %: the mean "
        f"of {estimate.runs} runs beside this one that held out a domain each "
        f"({each})."
    )


def steps_text(run_dir: pathlib.Path) -> str:
    """Returns what can be done with a run, a line each."""
    return "\n".join(
        f"{what + ':':<13} {step}" for what, step in next_steps(run_dir).items()
    )


def results_text(results: Mapping[str, Any], room: Room | None = None) -> str:
    """Renders the verdict, accuracies by rule and domain, the masks' overlap.

    Args:
        results: What `results.json` holds.
        room: What it is written on; None for 80 columns without bold.

    Returns:
        Text of several lines; accuracies in percent.
    """
    room = room or Room()
    config, target = results["config"], measured_target(results)
    lines = [
        room.text(headline(results), "bold"),
        *(room.text(f"caution: {c}", "yellow") for c in cautions(results)),
        "",
        room.text(
            f"Accuracy (%), {config['method']} on {config['backbone']}"
            + (f", target {target}" if target else "")
        ),
        _accuracies(results, room),
        room.text(
            f"In-domain: {results['in_domain_split']} images of the sources. "
            "Intervals are of drawing such images; other seeds differ by more."
        ),
        room.text(selection_text(results)),
        *map(room.text, sureness(results)),
    ]
    if results.get("mask_iou"):
        lines += ["", mask_text(results, room)]
    return "\n".join(lines)


def _accuracies(results, room) -> str:
    sources = list(results["counts"]["train"])
    target = measured_target(results)
    counts = results["counts"][results["in_domain_split"]]
    # (name, part of the results, domain in it, images)
    columns = [(d, "in_domain", d, counts[d]) for d in sources]
    total = sum(counts.values())
    columns.append(("in-domain mean", "in_domain", OVERALL, total))
    if target is not None:
        images = results["counts"][OUT_OF_DOMAIN][target]
        columns.append((f"target {target}", OUT_OF_DOMAIN, OVERALL, images))

    def cells(rule, write):
        return [
            write(results[part][rule.name][domain], known)
            if (known := _known(results, part, rule.name, domain))
            else "-"
            for _, part, domain, _ in columns
        ]

    rows = [["images", *(f"{count:,}" for *_, count in columns)]]
    first = headline_rule(results)
    for rule in scored_rules(results):
        rows.append([rule.title, *cells(rule, percent)])
        if rule == first:
            rows.append(["95 % interval", *cells(rule, _range)])
    names = [name for name, *_ in columns]
    strong = {len(names) - 1, len(names)} if target else {len(names)}
    return room.table(["prediction", *names], rows, strong=strong, sections={1})


def _known(results, part, rule, domain):
    """Returns the interval of an accuracy; None where it was not measured."""
    if domain not in results[part].get(rule, ()):
        return None
    return interval(results, part, rule, domain)


def _range(share, known) -> str:
    del share
    return "-".join(percent(end, known) for end in known)


def selection_text(results: Mapping[str, Any]) -> str:
    """Returns a sentence on which weights were kept, and how well they do."""
    selection = results["selection"]
    reached = (
        f"source validation: {selected_at(results)} "
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


def selected_at(results: Mapping[str, Any]) -> str:
    """Returns what the kept weights reach on source validation, in percent."""
    share = results["selection"]["value"]
    images = sum(results["counts"]["validation"].values())
    return f"{percent(share, wilson(share, images))} %"


def mask_text(results: Mapping[str, Any], room: Room | None = None) -> str:
    """Renders overlap and density of the binary masks, a column a site."""
    room = room or Room()
    iou, density = results["mask_iou"], results["mask_density"]
    first = next(iter(iou))
    rows = []
    for pair in iou[first]:
        name = "mean" if pair == "mean" else pair.replace("|", " & ")
        values = (f"{pairs[pair]:.3f}" for pairs in iou.values())
        rows.append([f"IoU, {name}", *values])
    sections = {len(rows)}
    for domain in density[first]:
        values = (f"{shares[domain]:.3f}" for shares in density.values())
        rows.append([f"active in {domain}", *values])
    title = "Binary masks: overlap of pairs (IoU) and share of active units"
    shown = room.table(["masked input of", *iou], rows, sections=sections)
    return f"{room.text(title)}\n{shown}"
