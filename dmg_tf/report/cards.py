"""Images with what a model said of them."""

import os
from collections.abc import Callable, Sequence

from dmg_tf.evaluation.samples import Group
from dmg_tf.html.markup import Markup, join, tag
from dmg_tf.report.pictures import thumbnail
from dmg_tf.rules import PredictionRule
from dmg_tf.runs.predictions import ScoredSplit


def sample_cards(
    split: ScoredSplit,
    groups: Sequence[Group],
    class_names: Sequence[str],
    rule: PredictionRule,
    domain_rules: Sequence[PredictionRule],
    path_now: Callable[[str], str] = os.fspath,
    root: str | None = None,
) -> tuple[Markup, int]:
    """Returns the groups' images with all predictions, and how many are lost.

    Args:
        split: The images and what the model said of them.
        groups: Which of them to show.
        class_names: The classes.
        rule: The prediction rule that counts.
        domain_rules: Rules of the domains' own predictions.
        path_now: Gives where a file is now.
        root: The data folder, which is left out of names.
    """
    lost = 0
    shown = []
    for group in groups:
        cards = []
        for i in group.indices:
            path = split.paths[i]
            name = short_path(path, root)
            picture = thumbnail(
                path_now(path), _in_words(split, i, class_names, rule)
            )
            lost += picture is None
            cards.append(
                tag(
                    "li",
                    picture or tag("div", "no picture", class_="lost"),
                    tag(
                        "div",
                        verdict_of(split.predictions, i, class_names, rule),
                        _of_domains(
                            split.predictions, i, class_names, domain_rules
                        )
                        if domain_rules
                        else None,
                    ),
                    title=name,
                    class_="card",
                )
            )
        shown.append(
            tag(
                "div",
                tag("h3", group.title),
                tag(
                    "p",
                    f"{len(group.indices)} of {group.total:,}: {group.rule}",
                    class_="quiet",
                ),
                tag("ul", cards, class_="cards"),
                class_="group",
            )
        )
    return tag("div", shown), lost


def _in_words(split, i, class_names, rule) -> str:
    """Returns what an image shows, for those who can't see it."""
    predictions = split.predictions
    label = class_names[predictions.labels[i]]
    said = class_names[predictions.predicted[rule.name][i]]
    domain = split.domains[max(predictions.domain_ids[i], 0)]
    told = "told right" if said == label else f"taken for {said}"
    return f"{label} of {domain}, {told}"


def said_of(predictions, i, class_names, rule) -> Markup:
    """Returns the class that a rule says, whether it is right, how sure it is.

    Args:
        predictions: The `Predictions`.
        i: Which image of them.
        class_names: The classes.
        rule: A `PredictionRule` that they have.
    """
    said = predictions.predicted[rule.name][i]
    right = said == predictions.labels[i]
    return join(
        tag(
            "span",
            class_names[said],
            _mark(right),
            class_=None if right else "miss",
        ),
        tag("span", _percent(predictions.probabilities[rule.name][i])),
    )


def verdict_of(predictions, i, class_names, rule) -> Markup:
    """Returns the true class and what it is taken for.

    The arguments are those of `said_of`.
    """
    label, said = predictions.labels[i], predictions.predicted[rule.name][i]
    share = _percent(predictions.probabilities[rule.name][i])
    if label == said:
        return tag(
            "p", tag("strong", class_names[label]), _mark(True), f" {share}"
        )
    return tag(
        "p",
        tag("strong", class_names[label]),
        " taken for ",
        tag("strong", class_names[said], class_="miss"),
        _mark(False),
        f" {share}",
    )


def _of_domains(predictions, i, class_names, domain_rules) -> Markup:
    rows = [
        tag(
            "li",
            tag("span", rule.domain, class_="domain"),
            said_of(predictions, i, class_names, rule),
        )
        for rule in domain_rules
    ]
    return tag("ul", rows, class_="said")


def _mark(right: bool) -> Markup:
    # Not by colour alone.
    return tag(
        "span",
        "\u00a0✓" if right else "\u00a0✗",
        class_="hit" if right else "miss",
        role="img",
        aria_label="right" if right else "wrong",
    )


def _percent(share: float) -> str:
    # No more than is known: nothing is quite certain.
    if share > 0.995:
        return ">99\u00a0%"
    return "<1\u00a0%" if share < 0.005 else f"{100 * share:.0f}\u00a0%"


def short_path(path: str, root: str | None) -> str:
    """Returns what an image is called: its place in the data folder."""
    if root and path.startswith(os.path.join(root, "")):
        return os.path.relpath(path, root)
    # <domain>/<class>/<file>
    return os.path.join(*path.split(os.sep)[-3:])
