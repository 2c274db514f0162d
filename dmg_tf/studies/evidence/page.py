"""docs/evidence/README.md, made of the files of runs alone."""

import collections
import pathlib
import shlex
import textwrap
from collections.abc import Mapping, Sequence

from dmg_tf.files import write_text
from dmg_tf.settings import markdown_table
from dmg_tf.studies.evidence import sections
from dmg_tf.studies.evidence.compact import read_runs
from dmg_tf.studies.evidence.figures import draw_differences, draw_sensitivity
from dmg_tf.studies.protocols import Protocol
from dmg_tf.studies.runs import Run

PAGE = "README.md"
RUNS = "runs"
_WIDTH = 88
_HEAD = """\
# Does it work?

The paper has DMG 4 to 5 points above Aggregate on PACS. This page is what this
code makes of that, with seeds and with controls: what masks add, and what the
noise of drawing them adds. `make evidence` makes it of the files in
[runs](runs), each of one run; nothing of it is written by hand.

## The answer
"""
_HOW = """\
Differences are of runs with the same target and seed, in points of accuracy by
Pred-Ens; in brackets their 95 % interval by Student's t over all pairs. "Not
told from chance" is an interval with 0 in it. Pairs of one target have more in
common than those of two, which the interval does not know: the tables by target
show it. So many intervals will have a wrong one among them. Every epoch was
selected on the sources' validation images; on PACS these are the images that
"in domain" is measured on, too.

A mask starts from U(0, 1), so it keeps a unit with a probability of 0.5 to
0.73, 0.62 on average, and is dropout in any case. *Aggregate, dropout* drops
units at the same places as often (0.38), and learns nothing of it; *DMG, λ_O 0*
has masks that nothing drives apart; *DMG, one mask* has one for all domains.
"""


def write_page(
    protocols: Mapping[str, Protocol], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Writes the page and its figures; returns the files.

    Args:
        protocols: {name: protocol}, in the page's order.
        folder: Holds the page, and `runs/<protocol>/*.json`.

    Raises:
        UserError: If they cannot be written.
    """
    runs = {
        name: read_runs(folder / RUNS, protocol)
        for name, protocol in protocols.items()
    }
    compared = {
        protocol.title: sections.comparisons(protocol, runs[name])
        for name, protocol in protocols.items()
    }
    differences = draw_differences(compared, folder)
    curves = {
        name: draw_sensitivity(protocol, runs[name], folder)
        for name, protocol in protocols.items()
    }
    figures = [differences] if differences else []
    path = folder / PAGE
    write_text(path, page_text(protocols, runs, figures, curves))
    drawn = [figure for several in curves.values() for figure in several]
    return [path, *figures, *drawn]


def page_text(
    protocols: Mapping[str, Protocol],
    runs: Mapping[str, Sequence[Run]],
    figures: Sequence[pathlib.Path] = (),
    curves: Mapping[str, Sequence[pathlib.Path]] | None = None,
) -> str:
    """Returns the page as Markdown.

    Args:
        protocols: {name: protocol}, in the page's order.
        runs: {name: the runs that there are}.
        figures: What is shown below the answer.
        curves: {name: the protocol's own figures}.
    """
    parts = [
        _HEAD,
        _answer(protocols, runs),
        *(f"![Differences with intervals]({path.name})" for path in figures),
        _HOW,
        _missing(protocols, runs),
        *(
            _section(protocol, runs[name], (curves or {}).get(name, ()))
            for name, protocol in protocols.items()
        ),
        _machines(runs),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _answer(protocols, runs) -> str:
    begun = [p for name, p in protocols.items() if runs[name]]
    if not begun:
        return "**There is none yet: no run has been made.**"
    lines = [sections.answer(p, runs[p.name]) for p in begun]
    rows = [row for p in begun for row in sections.headline(p, runs[p.name])]
    return "\n".join(lines) + "\n\n" + markdown_table(sections.HEADLINE, rows)


def _missing(protocols, runs) -> str:
    rows = []
    for name, protocol in protocols.items():
        wanted = len(protocol.expected)
        data = " DATA=PACS" if protocol.needs_data else ""
        here = len(_own(runs[name]))
        if here < wanted:
            command = f'`make evidence{data} ARGS="--only {name}"`'
            rows.append([protocol.title, str(here), str(wanted), command])
    if not rows:
        return ""
    return (
        "## What is missing\n\nAll numbers are of the runs that are here. A "
        "protocol that is not\nfinished says less than its intervals do: what "
        "is there is of some targets and seeds.\n\n"
        + markdown_table(["protocol", "runs here", "of", "to go on"], rows)
    )


def _own(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs that this code made, not those laid beside them."""
    return [run for run in runs if "protocol" in run.results]


def _section(protocol: Protocol, runs: Sequence[Run], curves) -> str:
    about = textwrap.fill(protocol.about, _WIDTH)
    parts = [f"## {protocol.title}", about, _commands(protocol)]
    if not runs:
        return "\n\n".join([*parts, "No run of it has been made."])
    parts += [
        sections.accuracies(runs),
        sections.by_target(protocol, runs),
        sections.rules(protocol, runs),
        sections.masks(protocol, runs),
        *(f"![Sensitivity]({path.name})" for path in curves),
    ]
    return "\n\n".join(filter(None, parts))


def _commands(protocol: Protocol) -> str:
    folder = pathlib.Path("runs/evidence") / protocol.name
    data = "PACS" if protocol.needs_data else None
    lines = [
        f"dmg-tf sweep {shlex.join(argv)}"
        for argv in protocol.command_lines(data, folder)
    ]
    return "```bash\n" + "\n".join(lines) + "\n```"


def _machines(runs) -> str:
    counts = collections.Counter(
        (_machine(run), str(run.results.get("commit"))[:7])
        for several in runs.values()
        for run in _own(several)
    )
    if not counts:
        return ""
    rows = [
        [machine, commit, str(count)]
        for (machine, commit), count in sorted(counts.items())
    ]
    return (
        '## Where they were run\n\nA "+" behind a commit: files had been '
        "changed.\n\n" + markdown_table(["processor", "commit", "runs"], rows)
    )


def _machine(run: Run) -> str:
    known = run.results.get("processor") or {}
    name = known.get("name") or "not recorded"
    avx512 = {True: ", AVX-512", False: ", no AVX-512"}
    return name + avx512.get(known.get("avx512"), "")
