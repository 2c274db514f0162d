"""The page's figures: differences with intervals, and the curve over λ_O."""

import pathlib
from collections.abc import Mapping, Sequence

from dmg_tf.studies.evidence.sections import Comparison
from dmg_tf.studies.figures import COLOURS, MARKERS, as_drawn, write_figure
from dmg_tf.studies.paper.overlap import sensitivity
from dmg_tf.studies.protocols import Protocol
from dmg_tf.studies.runs import Run

DIFFERENCES = "differences"
_MEASURES = ("out of domain", "in domain")


def draw_differences(
    compared: Mapping[str, Sequence[Comparison]], folder: pathlib.Path
) -> pathlib.Path | None:
    """Draws each comparison with its interval; None where there is no pair.

    Args:
        compared: {title of a protocol: its comparisons}.
        folder: Where the figure goes.
    """
    from matplotlib.figure import Figure  # it takes a second to load

    rows = [
        (f"{title}: {each.title}", [each.by(name) for name in _MEASURES])
        for title, several in compared.items()
        for each in several
        if each.by(_MEASURES[0])
    ]
    if not rows:
        return None
    figure = Figure(figsize=(11, 1.2 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for index, (axis, measure) in enumerate(zip(axes, _MEASURES, strict=True)):
        for place, (_, found) in enumerate(rows):
            _draw(axis, -place, found[index])
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(f"{measure}, points", fontsize="medium")
        axis.grid(axis="x", alpha=0.3)
    names = [as_drawn(name) for name, _ in rows]
    axes[0].set_yticks([-place for place in range(len(rows))], names)
    figure.suptitle("Mean difference, its 95 % interval, and each target")
    return write_figure(figure, folder, DIFFERENCES, (".png",))[0]


def _draw(axis, place, found):
    """Draws a difference on a line of its own."""
    half = None if found.half is None else 100 * found.half
    axis.errorbar(
        100 * found.mean,
        place,
        xerr=half,
        color=COLOURS[0],
        marker=MARKERS[0],
        capsize=3,
    )
    axis.plot(
        [100 * value for value in found.by_target.values()],
        [place] * len(found.by_target),
        linestyle="",
        marker="|",
        color=COLOURS[1],
    )


def draw_sensitivity(
    protocol: Protocol, runs: Sequence[Run], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Draws Figure 3 with seeds, of those that all weights have.

    Args:
        protocol: It says the seeds; none where it has none.
        runs: Its runs.
        folder: Where the figure goes.
    """
    from dmg_tf.studies.paper.figures import lines_figure

    seeds = protocol.sensitivity_seeds
    tables = sensitivity([r for r in runs if r.config["seed"] in seeds])
    return [
        write_figure(
            lines_figure(table),
            folder,
            f"{protocol.name}_{table.name}",
            (".png",),
        )[0]
        for table in tables
    ]
