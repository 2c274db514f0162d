"""What a run came to, in a sentence, and what speaks against trusting it."""

import statistics
from collections.abc import Mapping
from typing import Any

import dmg_tf.config  # noqa: F401  (fills the registry of methods)
from dmg_tf.evaluation.metrics.intervals import (
    digits_of,
    percent,
    wilson,
    wilson_of_mean,
)
from dmg_tf.registry import METHODS
from dmg_tf.rules import (
    ABSTAIN_RATE,
    NEVER,
    PredictionRule,
    calibrations_of,
    rate_name,
    scored_rules,
)
from dmg_tf.runs.left_out import has_target
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL

# Fewer validation images a domain than this choose an epoch by chance: at 30,
# the interval of an accuracy is some 30 points wide.
FEW = 30
# The commonest class has so many times the images of the rarest.
UNEQUAL = 5
# What a source is below the others by, a fraction.
FAR_BELOW = 0.1


def interval(
    results: Mapping[str, Any], part: str, rule: str, domain: str = OVERALL
) -> tuple[float, float]:
    """Returns the 95 % interval of an accuracy of a run.

    Args:
        results: What `results.json` holds.
        part: "in_domain" or "out_of_domain".
        rule: A prediction rule's name.
        domain: A domain, or "overall".
    """
    row = results[part][rule]
    counts = scored_images(results, part)
    if domain != OVERALL:
        return wilson(row[domain], counts[domain])
    known = [name for name in row if name != OVERALL]
    return wilson_of_mean(
        [row[name] for name in known], [counts[name] for name in known]
    )


def measured_target(results: Mapping[str, Any]) -> str | None:
    """Returns the unseen domain that was measured; None where none was."""
    return results["config"]["target"] if has_target(results) else None


def headline_rule(results: Mapping[str, Any]) -> PredictionRule:
    """Returns the first rule that says something of the target, if one does."""
    rules = scored_rules(results)
    outside = results[OUT_OF_DOMAIN]
    return next((rule for rule in rules if rule.name in outside), rules[0])


def headline(results: Mapping[str, Any]) -> str:
    """Says in one line how good a model is: on new ground, on known, by luck.

    Args:
        results: What `results.json` holds.

    Returns:
        E.g. "sketch (never seen): 23 % right (95 % interval 18 to 28 %) of 280
        images; sources: 25 % (20 to 31 %); chance: 14 %".
    """
    rule = headline_rule(results).name
    target = measured_target(results)
    parts = []
    inside = interval(results, "in_domain", rule)
    digits = digits_of(*inside)
    if rule in results[OUT_OF_DOMAIN]:
        known = interval(results, OUT_OF_DOMAIN, rule)
        digits = digits_of(*known)
        images = scored_images(results, OUT_OF_DOMAIN)[target]
        share = results[OUT_OF_DOMAIN][rule][OVERALL]
        parts.append(
            f"{target} (never seen): {percent(share, known)} % right "
            f"(95 % interval {between(known)}) of {_images(images)}"
        )
    elif target is None:
        parts.append("no unseen domain was measured")
    share = results["in_domain"][rule][OVERALL]
    parts += [
        f"sources: {percent(share, inside)} % ({between(inside)})",
        f"chance: {100 / len(results['class_names']):.{digits}f} %",
    ]
    return "; ".join(parts)


def between(known: tuple[float, float]) -> str:
    """Returns an interval in words, e.g. "18 to 28 %"."""
    low, high = (percent(end, known) for end in known)
    return f"{low} to {high} %"


def cautions(results: Mapping[str, Any]) -> list[str]:
    """Returns what speaks against trusting the numbers, a line each.

    Args:
        results: What `results.json` holds; older ones say less.
    """
    rule = headline_rule(results).name
    found = [
        _near_chance(results, rule),
        _collapsed(results, rule),
        _few_images(results),
        _still_improving(results),
        _unequal_classes(results, rule),
        _behind(results, rule),
    ]
    return [line for line in found if line]


def _near_chance(results, rule) -> str | None:
    chance = 1 / len(results["class_names"])
    of, part = _first_part(results, rule)
    low, high = interval(results, part, rule)
    if not low <= chance <= high:
        return None
    return (
        f"on {of} it may be no better than guessing: {100 * chance:.0f} % is "
        "inside the interval"
    )


def _collapsed(results, rule) -> str | None:
    """Tells of a class that takes what is left of the others'."""
    of, part = _first_part(results, rule)
    numbers = overall_numbers(results, part, rule)
    if numbers is None:
        return None
    classes, images = numbers["classes"], numbers["images"]
    most = max(
        range(len(classes["predicted"])), key=classes["predicted"].__getitem__
    )
    said, true = classes["predicted"][most], classes["images"][most]
    if said / images < (1 + true / images) / 2:
        return None
    return (
        f"{said:,} of {images:,} predictions on {of} are "
        f"{results['class_names'][most]}, which {true:,} of the images show"
    )


def _first_part(results, rule) -> tuple[str, str]:
    """Returns what counts most, in words and as a part of the results."""
    if rule in results[OUT_OF_DOMAIN]:
        return measured_target(results), OUT_OF_DOMAIN
    return "the sources", "in_domain"


def _few_images(results) -> str | None:
    counts = results["counts"]["validation"]
    fewest = min(counts, key=counts.get)
    if counts[fewest] >= FEW:
        return None
    total = sum(counts.values())
    return (
        f"only {_images(total)} chose the epoch, {counts[fewest]} of them from "
        f"{fewest}: another choice may do as well"
    )


def _still_improving(results) -> str | None:
    config = results["config"]
    name = config["method"]
    chosen = name not in METHODS.names() or METHODS[name].selects != "last"
    epochs = config["epochs"]
    if "average" in results or not chosen or not epochs:
        return None
    if results["selection"]["epoch"] != epochs:
        return None
    return f"epoch {epochs}, the last, is the best: more epochs may help"


def _unequal_classes(results, rule) -> str | None:
    numbers = overall_numbers(results, "in_domain", rule)
    if numbers is None:
        return None
    images, names = numbers["classes"]["images"], results["class_names"]
    some = [i for i, count in enumerate(images) if count]
    most = max(some, key=images.__getitem__)
    least = min(some, key=images.__getitem__)
    if images[most] < UNEQUAL * images[least]:
        return None
    share = numbers["balanced_accuracy"]
    return (
        f"classes are unequal ({names[most]}: {images[most]:,} images of the "
        f"sources, {names[least]}: {images[least]:,}); with all classes alike, "
        f"{percent(share, numbers['interval'])} % of the sources are right"
    )


def _behind(results, rule) -> str | None:
    row = {n: v for n, v in results["in_domain"][rule].items() if n != OVERALL}
    if len(row) < 2:
        return None
    worst = min(row, key=row.get)
    others = statistics.fmean(v for n, v in row.items() if n != worst)
    known = interval(results, "in_domain", rule, worst)
    if known[1] >= others or row[worst] > others - FAR_BELOW:
        return None
    return (
        f"the source {worst} is far below the others: "
        f"{percent(row[worst], known)} % against {percent(others, known)} %"
    )


def sureness(results: Mapping[str, Any]) -> list[str]:
    """Says how far probabilities can be trusted, and when to leave a decision.

    Args:
        results: What `results.json` holds; older ones say nothing.
    """
    rule = headline_rule(results)
    own = calibrations_of(results.get("calibration")).get(rule.name)
    found = [
        (of, numbers)
        for of, part in (
            ("the sources", "in_domain"),
            (measured_target(results), OUT_OF_DOMAIN),
        )
        if (numbers := overall_numbers(results, part, rule.name))
    ]
    if own is None or not found:
        return []
    off = ", ".join(
        f"{100 * numbers['ece']:.0f} points on {of} (uncalibrated "
        f"{100 * numbers['ece_uncalibrated']:.0f})"
        for of, numbers in found
    )
    how = (
        f"temperature {own.temperature:.2f}, {own.note}"
        if own.note
        else (f"temperature {own.temperature:.2f}")
    )
    lines = [f"Probabilities are off by {off}; {how}."]
    threshold = own.threshold()
    if threshold is None:
        return lines
    if threshold >= NEVER:
        return [
            *lines,
            "However sure it is, more than "
            f"{100 * ABSTAIN_RATE:g} % of its decisions on the sources are "
            "wrong: it should decide nothing by itself.",
        ]
    kept = ", ".join(
        decided_text(numbers["abstain"][rate_name(ABSTAIN_RATE)], of)
        for of, numbers in found
    )
    return [
        *lines,
        f"Left to decide where it is at least {100 * threshold:.0f} % sure, it "
        f"decides {kept}.",
    ]


def decided_text(found: Mapping[str, Any], of: str) -> str:
    """Returns what becomes of images at a threshold, in words.

    Args:
        found: What `coverage_and_risk` returned.
        of: Whose images they are.
    """
    text = f"{100 * found['coverage']:.0f} % of {of}"
    if not found["decided"]:
        return text
    known = wilson(found["risk"], found["decided"])
    return f"{text} ({percent(found['risk'], known)} % of these wrong)"


def overall_numbers(
    results: Mapping[str, Any], part: str, rule: str
) -> Mapping[str, Any] | None:
    """Returns the numbers of all images of a part; None of an older run."""
    return results.get("metrics", {}).get(part, {}).get(rule, {}).get(OVERALL)


def scored_images(results: Mapping[str, Any], part: str) -> Mapping[str, int]:
    """Returns {domain: images} that "in_domain" or "out_of_domain" is of."""
    split = OUT_OF_DOMAIN
    if part == "in_domain":
        split = results["in_domain_split"]
    return results["counts"][split]


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"
