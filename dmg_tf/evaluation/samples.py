"""Which of a domain's images are shown, by rules that a report states."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dmg_tf.rules import PredictionRule
from dmg_tf.runs.predictions import Predictions, ScoredSplit

COUNT = 6  # images a group
_WORST = "Wrong, and most sure of it"
_FEW = 2  # images of a group, where a few will do
_A_CLASS = 2  # of them at the most with one true class, if there are others


@dataclasses.dataclass(frozen=True)
class Group:
    """Images that are shown together.

    Attributes:
        title: What they have in common.
        rule: How they were chosen.
        indices: int64, positions in the predictions.
        total: How many images the choice was made from.
    """

    title: str
    rule: str
    indices: np.ndarray
    total: int


def choose(
    predictions: Predictions,
    rule: PredictionRule,
    domain_rules: Sequence[PredictionRule] = (),
    seed: int = 0,
    count: int = COUNT,
) -> list[Group]:
    """Chooses images that show what a model does.

    Args:
        predictions: For images of one split.
        rule: The prediction rule that counts.
        domain_rules: Rules of the domains' own predictions.
        seed: Of random choices.
        count: Images a group at the most.

    Returns:
        Groups that are not empty; an image stands in the first one it fits.
    """
    rng = np.random.default_rng(seed)
    labels = predictions.labels
    right = predictions.predicted[rule.name] == labels
    sure = predictions.probabilities[rule.name]
    free = np.ones(len(labels), bool)
    groups = []

    def add(title, how, fits, order):
        """`order` sorts all images; lower numbers come first."""
        index = np.flatnonzero(fits & free)
        index = index[np.argsort(order[index], kind="stable")]
        chosen = _varied(index, labels, count)
        free[chosen] = False
        if len(chosen):
            groups.append(Group(title, how, chosen, int(fits.sum())))

    limit = f"at most {_A_CLASS} of a class where there are others"
    add(
        _WORST,
        f"largest probability of a wrong class; {limit}",
        ~right,
        -sure,
    )
    if len(domain_rules) > 1:
        part = domain_rules[0].part
        votes, certain = _agreement(predictions, domain_rules)
        add(
            f"The {part}s disagree most",
            f"fewest {part}s that name the same class, then the surest of "
            f"their classes; {limit}",
            votes < len(domain_rules),
            # Certainty is below 1 and orders equal votes only.
            votes - certain,
        )
    add("Wrong", "at random, by the seed", ~right, rng.random(len(labels)))
    add("Right", "at random, by the seed", right, rng.random(len(labels)))
    return groups


def surest_errors(
    split: ScoredSplit, rule: PredictionRule, count: int
) -> list[Group]:
    """Chooses the worst images of each domain, if any are wrong.

    Args:
        split: The images, and what was said of them.
        rule: The prediction rule that counts.
        count: Images a domain at the most.

    Returns:
        A group a domain, called by its name.
    """
    groups = []
    for number, domain in enumerate(split.domains):
        own = np.flatnonzero(split.predictions.domain_ids == number)
        for group in choose(split.predictions.select(own), rule, count=count):
            if group.title == _WORST:
                rule_text = f"wrong, and {group.rule}"
                groups.append(
                    Group(domain, rule_text, own[group.indices], group.total)
                )
    return groups


def rules_shown(
    predictions: Predictions, rules: Sequence[PredictionRule]
) -> tuple[PredictionRule, list[PredictionRule]]:
    """Returns the rule that counts, and those of the domains' own predictions.

    Args:
        predictions: For images of one split.
        rules: All of a model, the default first.
    """
    own = [
        rule
        for rule in rules
        if rule.domain is not None and rule.name in predictions.predicted
    ]
    return rules[0], own


def choose_few(
    predictions: Predictions, rules: Sequence[PredictionRule], seed: int = 0
) -> np.ndarray:
    """Chooses some of the images that `choose` does, of each of its groups.

    Args:
        predictions: For images of one split.
        rules: All of a model, the default first.
        seed: As for `choose`.

    Returns:
        int64 [N], positions in the predictions.
    """
    groups = choose(predictions, *rules_shown(predictions, rules), seed)
    return np.concatenate([group.indices[:_FEW] for group in groups])


def _agreement(predictions, domain_rules):
    """Returns the votes for the commonest class, and the mean probability."""
    names = [rule.name for rule in domain_rules]
    named = np.stack([predictions.predicted[name] for name in names])
    votes = (named[:, None] == named[None]).sum(axis=0).max(axis=0)
    sure = [predictions.probabilities[name] for name in names]
    return votes, np.minimum(np.mean(sure, axis=0), 1 - 1e-6)


def _varied(index, labels, count):
    """Returns the first `count`, few of a class, filled up with any."""
    first, rest, taken = [], [], {}
    for i in index:
        taken[labels[i]] = taken.get(labels[i], 0) + 1
        (first if taken[labels[i]] <= _A_CLASS else rest).append(i)
    return np.asarray([*first, *rest][:count], np.int64)
