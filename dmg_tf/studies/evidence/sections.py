"""Parts of the page on a protocol's runs."""

import statistics
from collections.abc import Sequence

from dmg_tf.settings import markdown_table
from dmg_tf.studies.evidence import measures
from dmg_tf.studies.evidence.paired import Difference, difference
from dmg_tf.studies.paper.overlap import mean_iou
from dmg_tf.studies.paper.tables import in_domain, out_of_domain
from dmg_tf.studies.protocols import Protocol
from dmg_tf.studies.runs import Run, targets_of
from dmg_tf.studies.table import Row, Table, as_markdown

_MEASURES = {
    "out of domain": measures.outside,
    "in domain": measures.inside,
    "in domain, domain known": measures.inside_known,
}


class Comparison:
    """Two variants of a protocol, run by run.

    Args:
        protocol: The protocol.
        runs: All that there are of it.
        ours: A variant.
        theirs: Another, which is taken off.
    """

    def __init__(
        self, protocol: Protocol, runs: Sequence[Run], ours: str, theirs: str
    ):
        self.names = protocol.label(ours), protocol.label(theirs)
        self._runs = _of(runs, ours), _of(runs, theirs)
        self.wanted = len(_places(protocol, ours) & _places(protocol, theirs))

    def by(self, measure: str) -> Difference | None:
        """Returns the difference by a measure; None where there is no pair."""
        return difference(*self._runs, _MEASURES[measure])

    @property
    def title(self) -> str:
        """What is taken off what."""
        return f"{self.names[0]} minus {self.names[1]}"

    @property
    def time(self) -> float | None:
        """How many times as long the training took, median of pairs."""
        ours, theirs = (
            {(r.target, r.config["seed"]): measures.seconds(r) for r in runs}
            for runs in self._runs
        )
        ratios = [
            seconds / theirs[place]
            for place, seconds in ours.items()
            if seconds and theirs.get(place)
        ]
        return statistics.median(ratios) if ratios else None


def comparisons(protocol: Protocol, runs: Sequence[Run]) -> list[Comparison]:
    """Returns those of a protocol, whether there are runs or not."""
    return [Comparison(protocol, runs, *pair) for pair in protocol.compare]


def answer(protocol: Protocol, runs: Sequence[Run]) -> str:
    """Returns a line of Markdown: what the first two comparisons say."""
    said = []
    for compared in comparisons(protocol, runs)[:2]:
        outside, inside = (
            compared.by(name) for name in ("out of domain", "in domain")
        )
        if outside is None:
            said.append(f"{compared.title}: not run yet")
            continue
        here = f"{outside.count} of {compared.wanted} pairs"
        said.append(
            f"{compared.title} ({here}): out of domain {_told(outside)}, in "
            f"domain {_told(inside)}"
        )
    first = comparisons(protocol, runs)[0]
    if first.time:
        said.append(
            f"{first.names[0]} trained {first.time:.2f} times as long as "
            f"{first.names[1]}"
        )
    return f"- **{protocol.title}.** {'; '.join(said)}."


def _told(found: Difference) -> str:
    return f"{found.text()} points, {found.word}"


def headline(protocol: Protocol, runs: Sequence[Run]) -> list[list[str]]:
    """Returns a row a comparison, for the table of all protocols."""
    rows = []
    for compared in comparisons(protocol, runs):
        found = [compared.by(name) for name in _MEASURES]
        count = found[0].count if found[0] else 0
        rows.append(
            [
                protocol.title,
                compared.title,
                *(each.text() if each else "-" for each in found),
                f"{count} of {compared.wanted}",
            ]
        )
    return rows


HEADLINE = ("protocol", "what", *_MEASURES, "pairs")


def by_target(protocol: Protocol, runs: Sequence[Run]) -> str:
    """Returns the differences out of domain, a column a target."""
    targets, rows = targets_of(runs), []
    for compared in comparisons(protocol, runs):
        found = compared.by("out of domain")
        if found:
            values = [found.by_target.get(target) for target in targets]
            cells = ["-" if v is None else f"{100 * v:+.1f}" for v in values]
            rows.append([compared.title, *cells])
    if not rows:
        return ""
    return (
        "**Differences out of domain by target, points, mean over seeds**\n\n"
        + markdown_table(["", *targets], rows)
    )


def accuracies(runs: Sequence[Run]) -> str:
    """Returns accuracy out of and in domain by target (Tables 1 to 3)."""
    return as_markdown([out_of_domain(runs), in_domain(runs)]).rstrip()


def rules(protocol: Protocol, runs: Sequence[Run]) -> str:
    """Returns each rule in and out of domain (Tables 3, 4 and 5 in small)."""
    rows, targets = [], targets_of(runs)
    for variant, label in protocol.labels.items():
        own = _of(runs, variant)
        for title, inside, outside in _rules_of(own):
            cells = {
                name: value and measures.over_targets(own, value, targets)
                for name, value in zip(_SPLITS, (inside, outside), strict=True)
            }
            rows.append(Row(label, title, cells))
    table = Table(
        "rules",
        "Accuracy (%) by prediction rule, mean over the targets",
        _SPLITS,
        tuple(rows),
        "rule",
    )
    return as_markdown([table]).rstrip()


_SPLITS = ("in domain", "out of domain")


def _rules_of(runs):
    """Yields (title, measure in domain, measure out of domain or None)."""
    if not runs:
        return
    for rule in runs[0].rules:
        if rule.domain is None:
            inside, outside = (
                measures.by_rule(rule.name, split)
                for split in ("in_domain", "out_of_domain")
            )
            yield rule.title, inside, None if rule.needs_domain else outside
    part = next((r.part for r in runs[0].rules if r.part), None)
    if part:
        yield f"another domain's {part}", measures.inside_wrong, None


def masks(protocol: Protocol, runs: Sequence[Run]) -> str:
    """Returns overlap and what masks keep; "" where there are none."""
    rows, targets = [], targets_of(runs)
    for variant, label in protocol.labels.items():
        own = [run for run in _of(runs, variant) if run.results["mask_iou"]]
        values = {
            "IoU of pairs": mean_iou,
            "kept in training": measures.kept,
        }
        cells = {
            name: measures.over_targets(own, value, targets)
            for name, value in values.items()
        }
        if own:
            rows.append(Row("", label, cells))
    if not rows:
        return ""
    table = Table(
        "masks",
        "Masks (%): overlap of the binary ones, and how often a unit is kept",
        ("IoU of pairs", "kept in training"),
        tuple(rows),
    )
    return as_markdown([table]).rstrip()


def _of(runs: Sequence[Run], variant: str) -> list[Run]:
    return [run for run in runs if run.results["variant"] == variant]


def _places(protocol: Protocol, variant: str) -> set[tuple[str, int]]:
    """Returns (target, seed) of the runs that a variant is to have.

    One that no sweep has, of other code, has what others have.
    """
    known = protocol.expected
    own = {(t, s) for name, t, s in known if name == variant}
    return own or {(t, s) for _, t, s in known}
