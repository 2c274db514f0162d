"""The paper's tables, from the results of runs."""

import itertools
import pathlib
import statistics
from collections.abc import Callable, Iterable, Sequence

from dmg_tf.console.tables import Room
from dmg_tf.files import write_text
from dmg_tf.rules import PredictionRule
from dmg_tf.runs.predictions import OVERALL
from dmg_tf.studies.paper.published import PUBLISHED_DOMAINS, published_rows
from dmg_tf.studies.runs import Run, targets_of
from dmg_tf.studies.table import FILE, FORMATS, Cell, Row, Table, as_text

_NOTE = (
    "Mean over seeds, ± its standard error; n counts runs. Every epoch was "
    "selected on the sources' validation images; the target had no part in it."
)
# Name of the rule by which a run's numbers are read; None if it has no such.
_RuleOf = Callable[[Run], str | None]


def all_tables(runs: Sequence[Run], with_paper: bool = False) -> list[Table]:
    """Returns every table that these runs have numbers for.

    Args:
        runs: Finished runs of one dataset, in the order of tables.
        with_paper: Whether the paper's own rows are shown too.
    """
    tables = [
        out_of_domain(runs, with_paper),
        oracle(runs),
        in_domain(runs, with_paper),
        beyond_accuracy(runs),
        *chosen_masks(runs, with_paper),
        ensembling(runs, with_paper),
    ]
    return [table for table in tables if table.rows]


def write_tables(
    runs: Sequence[Run],
    folder: pathlib.Path,
    with_paper: bool = False,
    more: Sequence[Table] = (),
    room: Room = FILE,
) -> tuple[str, list[pathlib.Path]]:
    """Writes all tables as text, CSV, Markdown and LaTeX.

    Args:
        runs: As for `all_tables`.
        folder: Where `tables.*` go.
        with_paper: As for `all_tables`.
        more: Tables to be shown behind them.
        room: What the text is written on.

    Returns:
        The text, and the files.

    Raises:
        UserError: If they cannot be written.
    """
    tables = [*all_tables(runs, with_paper), *more]
    note = _NOTE
    dataset = runs[0].config["dataset"]
    if with_paper and dataset not in PUBLISHED_DOMAINS:
        note += (
            f" The paper has no numbers on {dataset}: no published rows are "
            "shown."
        )
    notes = {"txt": f"\n{note}\n", "md": f"\n{note}\n", "tex": f"% {note}\n"}
    files = []
    for suffix, render in FORMATS.items():
        files.append(folder / f"tables.{suffix}")
        write_text(files[-1], render(tables) + notes.get(suffix, ""))
    return f"{as_text(tables, room)}\n{room.text(note)}", files


def out_of_domain(runs: Sequence[Run], with_paper: bool = False) -> Table:
    """Returns accuracy on each target (Tables 1, 2 and 6)."""
    rows = _rows_by_target(runs, targets_of(runs), "out_of_domain", _default)
    return _by_target(
        "out_of_domain",
        "Out-of-domain accuracy (%) by target",
        runs,
        rows,
        with_paper,
    )


def oracle(runs: Sequence[Run]) -> Table:
    """Returns accuracy on each target at its own best epoch.

    It is of the runs that had `--track-target`: what no honest selection
    reaches, and no result.
    """
    able = [run for run in runs if "oracle" in run.results]
    return Table(
        "oracle",
        "ORACLE, not a result: accuracy (%) by target, where the target's own "
        "images had selected the epoch",
        (*targets_of(able), OVERALL),
        tuple(
            _rows_by_target(
                able, targets_of(able), "oracle", _default, " [oracle]"
            )
        ),
    )


def in_domain(runs: Sequence[Run], with_paper: bool = False) -> Table:
    """Returns the mean over sources for each target (Table 3).

    A second row, -KD, is of images whose domain is known, for methods that
    have a mask or a head a domain.
    """
    rows, targets = [], targets_of(runs)
    for group in _groups(runs):
        for rule_of, suffix in ((_default, ""), (_known_domain, _KNOWN)):
            rows += _rows_by_target(
                group, targets, "in_domain", rule_of, suffix
            )
    splits = sorted({run.results["in_domain_split"] for run in runs})
    title = (
        f"In-domain accuracy (%), mean over the sources' {' or '.join(splits)} "
        "images, by target"
    )
    return _by_target("in_domain", title, runs, rows, with_paper)


def beyond_accuracy(runs: Sequence[Run]) -> Table:
    """Returns the worst cases, balanced accuracy and calibration.

    It is of seeds that have all targets, and of runs that measured it.
    """
    able = [run for run in runs if _numbers(run)]
    targets, rows = targets_of(able), []
    for group in _groups(able):
        values = {(run.config["seed"], run.target): run for run in group}
        whole = [
            [values[seed, target] for target in targets]
            for seed in sorted({seed for seed, _ in values})
            if all((seed, target) in values for target in targets)
        ]
        cells = {
            name: Cell.of(value(seed_runs) for seed_runs in whole)
            for name, value in _BEYOND.items()
        }
        rows.append(Row(group[0].config["backbone"], group[0].label, cells))
    return Table(
        "beyond_accuracy",
        "Worst cases and balanced accuracy (%), and calibration error (ECE, "
        "points), out of domain but for the worst source, mean over targets",
        tuple(_BEYOND),
        tuple(rows),
    )


def _numbers(run: Run, part: str = "out_of_domain") -> dict | None:
    """Returns all numbers of a run's default rule; None of an older run."""
    metrics = run.results.get("metrics", {}).get(part, {})
    return metrics.get(run.rule.name, {}).get(OVERALL)


def _mean_of(key: str, part: str = "out_of_domain") -> Callable:
    def mean(runs):
        values = (_numbers(run, part)[key] for run in runs)
        return statistics.fmean(
            value["accuracy"] if isinstance(value, dict) else value
            for value in values
        )

    return mean


# {column: its value by the runs of a seed, one a target}.
_BEYOND = {
    "worst target": lambda runs: min(_numbers(r)["accuracy"] for r in runs),
    "worst class": _mean_of("worst_class"),
    "worst source": _mean_of("worst_domain", "in_domain"),
    "balanced": _mean_of("balanced_accuracy"),
    "ECE": _mean_of("ece"),
    "ECE uncalibrated": _mean_of("ece_uncalibrated"),
}


def chosen_masks(runs: Sequence[Run], with_paper: bool = False) -> list[Table]:
    """Returns accuracy of each mask on each domain (Table 4).

    A table a target: a row a mask or head, a column a source domain, and the
    target last.
    """
    tables = []
    for target in targets_of(runs):
        rows, columns = [], ()
        for group in _groups(runs):
            here = [run for run in group if run.target == target]
            rules = [
                rule
                for rule in (here[0].rules if here else ())
                if rule.domain is not None
            ]
            if not rules:
                continue
            sources = here[0].results["source_domains"]
            columns = tuple(dict.fromkeys((*columns, *sources)))
            default = here[0].rule
            for rule in (*rules, default):
                cells = {
                    domain: _mean(here, "in_domain", rule.name, domain)
                    for domain in sources
                }
                outside = _mean(here, "out_of_domain", rule.name)
                cells[_target_column(target)] = outside
                name = "combined" if rule == default else rule.title
                group_name = f"{here[0].config['backbone']}, {here[0].label}"
                rows.append(Row(group_name, name, cells))
        name = f"chosen_mask_{target}"
        published = _published(runs, name, with_paper and bool(rows))
        table = Table(
            name,
            f"Accuracy (%) under each mask, target {target}",
            (*columns, _target_column(target)),
            _together(rows, published),
            "chosen mask",
        )
        tables.append(table)
    return tables


def ensembling(runs: Sequence[Run], with_paper: bool = False) -> Table:
    """Returns Pred-Ens against Mask-Ens by target (Table 5).

    It is of methods that combine what their domains have in several ways.
    """
    rows = []
    several = [run for run in runs if len(_combined(run)) > 1]
    sections = itertools.product(_backbones(several), _SPLITS.items())
    for backbone, (split, split_name) in sections:
        for group in _groups(several):
            if group[0].config["backbone"] != backbone:
                continue
            ways = [
                (lambda run, name=rule.name: name, f" ({rule.title})")
                for rule in _combined(group[0])
            ]
            for rule_of, suffix in (*ways, (_known_domain, _KNOWN)):
                rows += _rows_by_target(
                    group,
                    targets_of(several),
                    split,
                    rule_of,
                    suffix,
                    f"{backbone}, {split_name}",
                )
    return _by_target(
        "ensembling",
        "Averaging predictions (Pred-Ens) or masks (Mask-Ens), accuracy (%) by "
        "target",
        several,
        rows,
        with_paper,
    )


_SPLITS = {"out_of_domain": "out-of-domain", "in_domain": "in-domain"}
# Behind a method's name, where the domains of images are known.
_KNOWN = "-KD"


def _default(run: Run) -> str:
    return run.rule.name


def _known_domain(run: Run) -> str | None:
    return next((rule.name for rule in run.rules if rule.needs_domain), None)


def _combined(run: Run) -> list[PredictionRule]:
    """Returns the rules that are of no domain and need none."""
    return [
        rule
        for rule in run.rules
        if rule.domain is None and not rule.needs_domain
    ]


def _by_target(name, title, runs, rows, with_paper) -> Table:
    columns = targets_of(runs)
    published = _published(runs, name, with_paper and bool(rows))
    if published:
        # The paper has all targets, whatever was run so far.
        columns = list(PUBLISHED_DOMAINS[runs[0].config["dataset"]])
    rows = _together(rows, published)
    return Table(name, title, (*columns, OVERALL), rows)


def _together(rows, published) -> tuple[Row, ...]:
    """Puts published rows behind the others of their group."""
    order = list(dict.fromkeys(row.group for row in (*rows, *published)))
    every = (*rows, *published)
    return tuple(sorted(every, key=lambda row: order.index(row.group)))


def _published(runs, name, with_paper) -> list[Row]:
    if not with_paper:
        return []
    backbones = _backbones(runs)
    return published_rows(runs[0].config["dataset"], name, backbones)


def _backbones(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.config["backbone"] for run in runs))


def _groups(runs: Iterable[Run]):
    """Yields the runs that differ in target and seed alone."""
    for _, group in itertools.groupby(
        runs, lambda run: (run.config["backbone"], run.label)
    ):
        yield list(group)


def _rows_by_target(
    runs,
    targets: Sequence[str],
    split: str,
    rule_of: _RuleOf,
    suffix: str = "",
    group_name: str = "",
) -> list[Row]:
    """One row for each group of runs that have a rule."""
    rows = []
    for group in _groups(runs):
        rule = rule_of(group[0])  # those of a group are of one method
        able = [run for run in group if rule in run.results[split]]
        if not able:
            continue
        cells = {
            target: _mean([r for r in able if r.target == target], split, rule)
            for target in targets
        }
        # A mean over targets is one of all of them, or it is none.
        values = {
            (run.config["seed"], run.target): _value(run, split, rule)
            for run in able
        }
        seeds = sorted({seed for seed, _ in values})
        cells[OVERALL] = Cell.of(
            sum(values[seed, target] for target in targets) / len(targets)
            for seed in seeds
            if all((seed, target) in values for target in targets)
        )
        name = group_name or able[0].config["backbone"]
        rows.append(Row(name, able[0].label + suffix, cells))
    return rows


def _mean(runs, split, rule, domain=OVERALL) -> Cell | None:
    return Cell.of(_value(run, split, rule, domain) for run in runs)


def _value(run: Run, split: str, rule: str, domain: str = OVERALL) -> float:
    return run.results[split][rule][domain]


def _target_column(target: str) -> str:
    return f"target {target}"
