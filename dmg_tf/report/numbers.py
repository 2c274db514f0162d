"""The parts of a report that are tables of what was measured."""

from typing import Any

from dmg_tf.evaluation.metrics.intervals import percent, wilson
from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.html.page import code, quiet
from dmg_tf.html.tables import table
from dmg_tf.report.verdict import (
    between,
    headline_rule,
    interval,
    measured_target,
    overall_numbers,
)
from dmg_tf.rules import (
    ABSTAIN_RATE,
    NEVER,
    calibrations_of,
    rate_name,
    scored_rules,
)
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL


def accuracy(results: dict[str, Any]) -> Markup:
    """Returns the table that `train.py` prints, the target first."""
    sources = list(results["counts"]["train"])
    target = measured_target(results)
    split, counts = results["in_domain_split"], results["counts"]
    columns = [("in_domain", OVERALL), *(("in_domain", d) for d in sources)]
    heads = [
        _below("in-domain", "mean"),
        *(_below(d, f"{counts[split][d]:,} images") for d in sources),
    ]
    if target is not None:
        columns.insert(0, (OUT_OF_DOMAIN, OVERALL))
        images = f"{counts[OUT_OF_DOMAIN][target]:,} images"
        heads.insert(0, _below(f"target {target}", images))
    rows = [
        [rule.title, *(_accuracy(results, rule.name, *c) for c in columns)]
        for rule in scored_rules(results)
    ]
    shown = table(
        "Accuracy by prediction rule and domain",
        ["prediction", *heads],
        rows,
        strong={("row", 0)},
    )
    return join(
        shown,
        quiet(
            f"Percent, with the 95\u00a0% interval of each. In-domain: {split} "
            f"images of the sources. {rows[0][0]} is the default; it and the "
            "epoch were chosen without a look at the target."
        ),
    )


def _below(name, second) -> Markup:
    return join(name, tag("span", second, class_="second"))


def _accuracy(results, rule, part, domain):
    """Returns an accuracy with its interval below; a dash without one."""
    if domain not in results[part].get(rule, ()):
        return "-"
    known = interval(results, part, rule, domain)
    shown = _below(percent(results[part][rule][domain], known), between(known))
    return tag("td", shown, class_="strong" if domain == OVERALL else None)


def by_class(results: dict[str, Any]) -> Markup | None:
    """Returns what is right of each class, on the target and on the sources.

    None where an older run did not measure it.
    """
    rule, names = headline_rule(results), results["class_names"]
    found = [
        (of, numbers["classes"])
        for of, part in (
            (measured_target(results), OUT_OF_DOMAIN),
            ("the sources", "in_domain"),
        )
        if (numbers := overall_numbers(results, part, rule.name))
    ]
    if not found:
        return None
    heads, rows = [], [[name] for name in names]
    for of, numbers in found:
        heads += [
            _below(of, "images"),
            _below("recall", "and interval"),
            "precision",
            "F1",
        ]
        for i, row in enumerate(rows):
            images, recall = numbers["images"][i], numbers["recall"][i]
            known = wilson(recall or 0, images)
            row += [
                f"{images:,}",
                "-"
                if recall is None
                else tag(
                    "td",
                    _below(percent(recall, known), between(known)),
                    class_="strong",
                ),
                _share(numbers["precision"][i], numbers["predicted"][i]),
                _share(numbers["f1"][i], images),
            ]
    return join(
        table("Recall, precision and F1 by class", ["class", *heads], rows),
        quiet(
            f"Percent, by {rule.title}. Recall: how many images of a class are "
            "right. Precision: how many predictions of a class are. F1: their "
            "harmonic mean. A dash: there is nothing to count."
        ),
    )


def sureness(results: dict[str, Any]) -> Markup | None:
    """Returns calibration, and what abstaining would leave.

    None where an older run did not measure it.
    """
    rule, target = headline_rule(results), measured_target(results)
    own = calibrations_of(results.get("calibration")).get(rule.name)
    found = [
        (of, numbers)
        for of, part in ((target, OUT_OF_DOMAIN), ("the sources", "in_domain"))
        if (numbers := overall_numbers(results, part, rule.name))
    ]
    if own is None or not found:
        return None
    rows = [
        [
            of,
            percent(numbers["ece_uncalibrated"], numbers["interval"]),
            percent(numbers["ece"], numbers["interval"]),
            f"{numbers['brier_uncalibrated']:.3f}",
            f"{numbers['brier']:.3f}",
        ]
        for of, numbers in found
    ]
    heads = ["images of", "ECE before", "ECE after", "Brier before", "after"]
    own_images = "."
    if own.images and results["in_domain_split"] == "validation":
        own_images = ", the very ones of the line above."
    calibration = tag(
        "div",
        tag("h3", "Calibration"),
        table("Calibration", heads, rows),
        quiet(
            "ECE: by how many points probabilities and accuracy differ, in 15 "
            "bins; few images make it look worse. Brier: 0 is best, 2 worst. "
            f"Temperature {own.temperature:.3g}, "
            + (own.note or f"fitted on {own.images:,} images of the sources")
            + own_images
        ),
    )
    parts = [calibration]
    if own.thresholds:
        rows = [
            [
                f"{100 * float(rate):g}\u00a0%",
                "nothing" if least >= NEVER else f"{100 * least:.1f}\u00a0%",
                *(
                    cell
                    for _, numbers in found
                    for cell in _decided(numbers["abstain"][rate])
                ),
            ]
            for rate, least in own.thresholds.items()
        ]
        heads = ["wrong at most", "decides from"]
        for of, _ in found:
            heads += [_below("decided", of), _below("wrong", of)]
        usual = list(own.thresholds).index(rate_name(ABSTAIN_RATE))
        abstaining = tag(
            "div",
            tag("h3", "Abstaining"),
            table("Abstaining", heads, rows, strong={("row", usual)}),
            quiet(
                "Set on the sources' validation images; an unseen domain has "
                "more errors. The row in bold is what ",
                code("predict"),
                " goes by in its column ",
                code("abstain"),
                ", unless ",
                code("--abstain-error"),
                " says another.",
            ),
        )
        parts.append(abstaining)
    return tag("div", parts, class_="below")


def _decided(found) -> tuple[str, str]:
    coverage = f"{100 * found['coverage']:.0f}\u00a0%"
    if not found["decided"]:
        return coverage, "-"
    known = wilson(found["risk"], found["decided"])
    return coverage, f"{percent(found['risk'], known)}\u00a0%"


def _share(value, count) -> str:
    return "-" if value is None else percent(value, wilson(value, count))
