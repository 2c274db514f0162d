"""Curves over epochs, drawn as SVG that follows the page's colours."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from dmg_tf.html.markup import Markup, join, tag

_WIDTH, _HEIGHT = 460, 262
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 46
_COLOURS = 8
# More points than this would be one thick line.
_MAX_DOTS = 60


@dataclasses.dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        name: In the legend.
        values: A number for each place on the axis; NaN leaves a gap.
        colour: Index into the page's colours of curves.
        thin: Whether it is one of the less important ones.
    """

    name: str
    values: Sequence[float]
    colour: int
    thin: bool = False

    @property
    def style(self) -> str:
        """Its CSS classes; colours that repeat are dashed."""
        dashed = " dashed" if self.colour >= _COLOURS else ""
        thin = " thin" if self.thin else ""
        return f"curve c{self.colour % _COLOURS}{thin}{dashed}"


def chart(
    title: str,
    epochs: Sequence[float],
    curves: Sequence[Curve],
    marked: float | None = None,
    percent: bool = False,
) -> Markup:
    """Returns a figure: heading, curves and legend.

    Args:
        title: The heading.
        epochs: Places on the axis, ascending.
        curves: What is drawn over them.
        marked: An epoch to mark.
        percent: Whether values are fractions, to be written as percent.
    """
    values = [v for c in curves for v in c.values if math.isfinite(v)]
    ticks = nice_ticks(min(values, default=0.0), max(values, default=1.0))
    low, high = ticks[0], ticks[-1]
    written = _writer(ticks[1] - ticks[0], percent)
    first, last = epochs[0], epochs[-1]

    def x_of(epoch):
        # A single epoch stands in the middle.
        share = (epoch - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y_of(value):
        share = (value - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)

    # The important ones come last: on top.
    drawn = sorted(curves, key=lambda curve: not curve.thin)
    svg = tag(
        "svg",
        [_y_tick(y_of(tick), written(tick, 0)) for tick in ticks],
        [_x_tick(x_of(epoch), epoch) for epoch in epoch_ticks(first, last)],
        tag(
            "text",
            "epoch",
            x=(_LEFT + _WIDTH - _RIGHT) / 2,
            y=_HEIGHT - 6,
            class_="tick at-middle",
        ),
        _mark(x_of(marked), marked) if marked is not None else None,
        [_line(curve, epochs, x_of, y_of, written) for curve in drawn],
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{title} by epoch",
    )
    legend = tag(
        "ul",
        [
            tag("li", _swatch(curve), tag("span", curve.name))
            for curve in curves
        ],
        class_="legend",
    )
    return tag("figure", tag("h3", title), svg, legend)


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Returns round numbers, evenly spaced, that hold a range."""
    if not high > low:
        low, high = low - 0.05, high + 0.05
    step = 10.0 ** math.floor(math.log10((high - low) / about))
    for factor in (1, 2, 2.5, 5, 10):
        if (high - low) / (step * factor) <= about:
            step *= factor
            break
    begin, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * i, 12) for i in range(begin, end + 1)]


def epoch_ticks(first: float, last: float) -> list[float]:
    """Returns which epochs are written on the axis: first, last, some."""
    step = max(1, math.ceil((last - first) / 8))
    step = next(
        s * 10**power
        for power in range(9)
        for s in (1, 2, 5)
        if s * 10**power >= step
    )
    whole = range(math.ceil(first), math.ceil(last))
    between = [e for e in whole if e % step == 0]
    # Numbers must not run into those of the ends.
    between = [e for e in between if step <= 2 * min(e - first, last - e)]
    return sorted({first, *between, last})


def _writer(step, percent) -> Callable[[float, int], str]:
    """Returns how to write values with as many digits as the ticks need."""
    scale, unit = (100, "\u00a0%") if percent else (1, "")
    digits = max(0, -math.floor(math.log10(step * scale) + 1e-9))
    # 0.25 has a digit more than its size tells.
    while abs(round(step * scale, digits) - step * scale) > 1e-9:
        digits += 1
    return lambda value, more: f"{scale * value:.{digits + more}f}{unit}"


def _y_tick(y, label) -> Markup:
    return join(
        tag(
            "line",
            x1=_LEFT,
            x2=_WIDTH - _RIGHT,
            y1=f"{y:.1f}",
            y2=f"{y:.1f}",
            class_="grid",
        ),
        tag("text", label, x=_LEFT - 6, y=f"{y + 4:.1f}", class_="tick at-end"),
    )


def _x_tick(x, epoch) -> Markup:
    return tag(
        "text", epoch, x=f"{x:.1f}", y=_HEIGHT - 26, class_="tick at-middle"
    )


def _mark(x, epoch) -> Markup:
    right = x > _WIDTH / 2
    return join(
        tag(
            "line",
            x1=f"{x:.1f}",
            x2=f"{x:.1f}",
            y1=_TOP,
            y2=_HEIGHT - _BOTTOM,
            class_="mark",
        ),
        tag(
            "text",
            "selected",
            x=f"{x - 5 if right else x + 5:.1f}",
            y=_TOP - 3,
            class_="tick marked" + (" at-end" if right else ""),
        ),
    )


def _line(curve, epochs, x_of, y_of, written) -> Markup:
    points = [
        (epoch, value, x_of(epoch), y_of(value))
        for epoch, value in zip(epochs, curve.values, strict=True)
        if math.isfinite(value)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for _, _, x, y in points)
    dots = None
    if len(points) <= _MAX_DOTS:
        dots = [
            tag(
                "circle",
                tag(
                    "title", f"{curve.name}, epoch {epoch}: {written(value, 2)}"
                ),
                cx=f"{x:.1f}",
                cy=f"{y:.1f}",
                r=1.8 if curve.thin else 2.8,
            )
            for epoch, value, x, y in points
        ]
    return tag("g", tag("polyline", points=path), dots, class_=curve.style)


def _swatch(curve) -> Markup:
    return tag(
        "svg",
        tag(
            "g",
            tag("line", x1=1, x2=19, y1=6, y2=6),
            tag("circle", cx=10, cy=6, r=1.8 if curve.thin else 2.8),
            class_=curve.style,
        ),
        viewBox="0 0 20 12",
        aria_hidden="true",
    )
