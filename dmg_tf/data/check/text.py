"""Prints what a check found: tables first, then problems, worst first."""

import io
import sys
from typing import Any

import rich.box
import rich.console
import rich.table
import rich.text

from dmg_tf.console.printable import one_line
from dmg_tf.data.check.kinds import ERROR, NOTE, SEVERITIES, WARNING
from dmg_tf.registry import DATASETS

_STYLES = {ERROR: "bold red", WARNING: "bold yellow", NOTE: "bold cyan"}
# Rows of the table of classes; DomainNet has 345.
_MAX_CLASSES = 20
# Wide enough for any name where no terminal sets a limit.
_PLAIN_WIDTH = 400


def print_report(report: dict[str, Any]) -> None:
    """Prints a report: in colour to a terminal, else as plain text."""
    if sys.stdout.isatty():
        _print(report, rich.console.Console(highlight=False))
    else:
        print(report_text(report))


def report_text(report: dict[str, Any], width: int = _PLAIN_WIDTH) -> str:
    """Returns a report as plain text.

    Args:
        report: What `check_dataset` returns.
        width: Columns that tables may take.
    """
    text = io.StringIO()
    # None: no colour either where the environment asks for it.
    console = rich.console.Console(file=text, width=width, color_system=None)
    _print(report, console)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _print(report, console) -> None:
    def say(text, style=""):
        console.print(rich.text.Text(text, style), soft_wrap=True)

    total = sum(row["images"] for row in report["domains"].values())
    say(
        f"{one_line(report['root'])}: read as {report['dataset']}, "
        f"{_several(len(report['domains']), 'domain', 'domains')}, "
        f"{_several(len(report['class_names']), 'class', 'classes')}, "
        f"{_several(total, 'image', 'images')}"
    )
    if report["domains"]:
        say("")
        say("Images by domain and split", "bold")
        console.print(_domain_table(report))
        say(DATASETS[report["dataset"]].splits_in_words)
        say("")
        say("Images by class and domain", "bold")
        console.print(_class_table(report))
        hidden = len(report["class_names"]) - _MAX_CLASSES
        if hidden > 0:
            say(
                f"The {_MAX_CLASSES} classes with the fewest images in a "
                f"domain; --json has the other {hidden} too."
            )
    if report["looks"]:
        say("")
        say(
            "Sizes (pixels: least / median / greatest) and formats by domain",
            "bold",
        )
        console.print(_looks_table(report))
    for problem in report["problems"]:
        say("")
        title = rich.text.Text(f"{problem['severity']}: ")
        title.stylize(_STYLES[problem["severity"]])
        title.append(problem["title"])
        if problem["counted"]:
            title.append(f": {problem['count']:,}")
        console.print(title, soft_wrap=True)
        for example in problem["examples"]:
            say(f"    {one_line(example)}")
        if problem["count"] > len(problem["examples"]):
            say("    ...")
        say(f"    -> {problem['advice']}")
    say("")
    say(_summary(report))


def _domain_table(report):
    table = _table("domain", *report["splits"], "all images", "classes")
    for domain, row in report["domains"].items():
        by_class = report["counts"][domain].values()
        table.add_row(
            _cell(domain),
            *(f"{row[split]:,}" for split in report["splits"]),
            f"{row['images']:,}",
            str(sum(counts["images"] > 0 for counts in by_class)),
        )
    return table


def _class_table(report):
    counts = report["counts"]
    least = {
        name: min(counts[domain][name]["images"] for domain in counts)
        for name in report["class_names"]
    }
    shown = sorted(least, key=lambda name: (least[name], name))[:_MAX_CLASSES]
    table = _table("class", *(one_line(domain) for domain in counts))
    for name in report["class_names"] if len(shown) == len(least) else shown:
        table.add_row(
            _cell(name),
            *(f"{counts[domain][name]['images']:,}" for domain in counts),
        )
    return table


def _looks_table(report):
    table = _table("domain", "width", "height", "formats", "pixels")
    for domain, row in report["looks"].items():
        table.add_row(
            _cell(domain),
            " / ".join(map(str, row["width"])),
            " / ".join(map(str, row["height"])),
            _listed(row["formats"]),
            _listed(row["pixels"]),
        )
    return table


def _listed(counts) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _summary(report) -> str:
    kinds = [
        _several(count, f"kind of {severity}", f"kinds of {severity}s")
        for severity in SEVERITIES
        if (count := report[f"{severity}s"])
    ]
    text = ", ".join(kinds) if kinds else "No problems found"
    if report["fast"]:
        text += "; no image was opened (--fast)"
    return text + "."


def _several(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _table(first: str, *others: str):
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(rich.text.Text(name), justify="right")
    return table


def _cell(name: str):
    return rich.text.Text(one_line(name))
