"""The sensitivity figure: accuracy and overlap of masks over a setting.

Paper: Fig. 3 for λ_O, Fig. 6 for λ_S. As there, accuracy out of domain, in
domain, and the mean IoU of the binary masks, one panel each.
"""

import math
import pathlib
import statistics
from collections.abc import Sequence

from dmg_tf.studies.figures import COLOURS, MARKERS, as_drawn, write_figure
from dmg_tf.studies.search.folder import Search
from dmg_tf.studies.search.results import Row
from dmg_tf.studies.search.space import axes_of
from dmg_tf.studies.table import Cell

*_COLOURED, _BLACK = COLOURS
_LINES = tuple(zip(_COLOURED, MARKERS, strict=False))
_POINTS, _IOU = 5, 0.1  # what an axis shows at the least


def write_figures(search: Search, rows: Sequence[Row]) -> list[pathlib.Path]:
    """Draws a figure for each number that was searched.

    Args:
        search: The search.
        rows: What it found.

    Returns:
        The PNG files; an SVG of the same name is beside each. None for a
        setting that has a single value or none that worked.
    """
    rows = [row for row in rows if row.error is None]
    paths = []
    axes = axes_of(search.config.method)
    for name in search.space:
        several = len({row.values[name] for row in rows}) > 1
        if axes[name].kind is not str and several:
            paths.append(_write_figure(search, rows, name))
    return paths


def _write_figure(search, rows, name) -> pathlib.Path:
    # Matplotlib takes a second to load. Figures alone, not pyplot: no window
    # and no state of its own.
    from matplotlib.figure import Figure

    with_masks = any(row.cell("mask_iou") for row in rows)
    panels = 3 if with_masks else 2
    figure = Figure(figsize=(4.0 * panels, 3.6), layout="constrained")
    axes = figure.subplots(1, panels)
    scale = LogAxisWithZero({row.values[name] for row in rows})

    target, rule = search.config.target, rows[0].runs[0]["rule"]
    _draw(axes[0], scale, _points(rows, name, "out_of_domain", 100), *_LINES[1])
    axes[0].set_title(f"Target {target}, not used for selection")
    axes[0].set_ylabel(f"accuracy, {rule} (%)")
    _draw(
        axes[1],
        scale,
        _points(rows, name, "in_domain", 100),
        *_LINES[0],
        label=f"{rows[0].runs[0]['in_domain_split']} images, {rule}",
    )
    _draw(
        axes[1],
        scale,
        _points(rows, name, "validation", 100),
        _BLACK,
        "x",
        label="validation, which selects",
        dashed=True,
    )
    axes[1].set_title("In domain, mean over sources")
    axes[1].set_ylabel("accuracy (%)")
    axes[1].legend(fontsize="small")
    if with_masks:
        _draw_overlap(axes[2], scale, rows, name)
    for panel in axes[:2]:
        _widen(panel, _POINTS, 0, 100)
    for panel in axes:
        scale.dress(panel)
        panel.set_xlabel(as_drawn(axes_of(search.config.method)[name].label))
    seeds = f", {search.executions} seeds" if search.executions > 1 else ""
    figure.suptitle(
        f"{search.config.method} on {search.config.backbone}, target "
        f"{target}{seeds}"
    )
    _, path = write_figure(
        figure, search.folder, f"sensitivity-{name}", (".svg", ".png")
    )
    return path


def _draw_overlap(panel, scale, rows, name):
    sites = list(rows[0].runs[0]["mask_iou_of"])
    if len(sites) > 1:
        for site, line in zip(sites, _LINES[2:], strict=False):
            points = _points(
                rows, name, lambda run, s=site: run["mask_iou_of"].get(s), 1
            )
            _draw(panel, scale, points, *line, label=f"input of {site}")
    points = _points(rows, name, "mask_iou", 1)
    _draw(panel, scale, points, _BLACK, "x", label="mean", dashed=True)
    _widen(panel, _IOU, 0, 1)
    panel.set_title("Overlap of the sources' masks")
    panel.set_ylabel("IoU, mean over pairs")
    panel.legend(fontsize="small")


def _widen(panel, span, low, high) -> None:
    """Shows at least a span of values: small differences must look small."""
    first, last = panel.dataLim.intervaly
    missing = max(0, span - (last - first)) / 2
    margin = 0.05 * max(span, last - first)
    panel.set_ylim(
        max(low - margin, first - missing - margin),
        min(high + margin, last + missing + margin),
    )


def _points(rows, name, measure, factor) -> list[tuple[float, Cell]]:
    """Returns (value of the setting, mean over seeds) of each row."""
    take = measure if callable(measure) else lambda run: run[measure]
    points = []
    for row in rows:
        values = [take(run) for run in row.runs]
        cell = Cell.of(factor * v for v in values if v is not None)
        if cell:
            points.append((row.values[name], cell))
    return points


def _draw(panel, scale, points, colour, marker, label=None, dashed=False):
    if not points:
        return
    style = {"color": colour, "marker": marker, "markersize": 5}
    for value, cell in points:
        panel.errorbar(
            scale.x_of(value),
            cell.mean,
            yerr=cell.standard_error,
            linestyle="none",
            capsize=3,
            **style,
        )
    # Where other settings vary too, the line is the mean over them.
    at: dict[float, list[float]] = {}
    for value, cell in points:
        at.setdefault(value, []).append(cell.mean)
    values = sorted(at)
    panel.plot(
        [scale.x_of(value) for value in values],
        [statistics.fmean(at[value]) for value in values],
        linestyle="--" if dashed else "-",
        linewidth=1.2,
        label=label,
        **(style if len(at) == len(points) else {"color": colour}),
    )


class LogAxisWithZero:
    """A logarithmic axis that has room for 0.

    Args:
        values: All values that are shown; none is negative.
    """

    def __init__(self, values):
        self.values = sorted(values)
        above = [value for value in self.values if value > 0]
        self._zero = math.log10(above[0]) - 1 if above else 0.0

    def x_of(self, value: float) -> float:
        """Returns the coordinate of a value; 0 is one decade to the left."""
        return math.log10(value) if value > 0 else self._zero

    def dress(self, panel) -> None:
        """Labels the axis: each value if there are few, else each decade."""
        shown = self.values
        if len(shown) > 9:
            above = [value for value in shown if value > 0]
            low, high = (math.log10(v) for v in (above[0], above[-1]))
            decades = range(math.floor(low), math.ceil(high) + 1)
            shown = [10.0**decade for decade in decades]
            shown = [0.0, *shown] if self.values[0] == 0 else shown
        xs = [self.x_of(value) for value in shown]
        panel.set_xticks(xs, [_tick(value) for value in shown])
        panel.grid(axis="y", color="0.9")
        panel.set_axisbelow(True)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
        if self.values[0] == 0 and len(self.values) > 1:
            # A gap in the axis: 0 has no place on a logarithm.
            panel.axvline(
                self._zero + 0.5, color="0.7", linewidth=0.8, linestyle=":"
            )


def _tick(value: float) -> str:
    exponent = math.log10(value) if value > 0 else 0.5
    if abs(exponent - round(exponent)) < 1e-9 and abs(exponent) > 1.5:
        return f"$10^{{{round(exponent)}}}$"
    return f"{value:g}"
