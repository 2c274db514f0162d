"""Differences of two variants, run by run, and how sure they are."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

from dmg_tf.studies.runs import Run
from dmg_tf.studies.table import mean_and_error

_SURE = 0.975


@dataclasses.dataclass(frozen=True)
class Difference:
    """What one variant has more than another.

    Attributes:
        mean: The mean over pairs of runs of one target and seed; a fraction.
        half: Half of its 95 % interval; None for a single pair.
        count: How many pairs.
        by_target: {target: mean over its seeds}.
    """

    mean: float
    half: float | None
    count: int
    by_target: dict[str, float]

    @property
    def word(self) -> str:
        """What can be said: "better", "worse", or that it is open."""
        if self.half is None:
            return "of a single pair"
        if abs(self.mean) <= self.half:
            return "not told from chance"
        return "better" if self.mean > 0 else "worse"

    def text(self) -> str:
        """Returns it in points, with its interval, e.g. "+1.2 (0.3 to 2.1)"."""
        mean = f"{100 * self.mean:+.1f}"
        if self.half is None:
            return mean
        low, high = self.mean - self.half, self.mean + self.half
        return f"{mean} ({100 * low:+.1f} to {100 * high:+.1f})"


def difference(
    ours: Sequence[Run],
    theirs: Sequence[Run],
    value: Callable[[Run], float | None],
) -> Difference | None:
    """Returns the mean difference of runs of equal target and seed.

    The interval is that of Student's t over all pairs. Pairs of one target have
    more in common than those of two, which it does not know: `by_target` shows
    that.

    Args:
        ours: The runs of a variant.
        theirs: Those of the other.
        value: What is compared; None where a run has no such number.

    Returns:
        None where there is no pair.
    """
    pairs = {}
    known = {(run.target, run.config["seed"]): value(run) for run in theirs}
    for run in ours:
        place = run.target, run.config["seed"]
        mine, other = value(run), known.get(place)
        if mine is not None and other is not None:
            pairs[place] = mine - other
    if not pairs:
        return None
    mean, error = mean_and_error(list(pairs.values()))
    by_target = {
        target: statistics.fmean(
            v for (t, _), v in pairs.items() if t == target
        )
        for target in sorted({target for target, _ in pairs})
    }
    half = None if error is None else error * t_quantile(len(pairs) - 1)
    return Difference(mean, half, len(pairs), by_target)


def t_quantile(freedom: int, probability: float = _SURE) -> float:
    """Returns the quantile of Student's t, for whole degrees of freedom.

    Args:
        freedom: Degrees of freedom, at least 1.
        probability: Above 0.5.
    """
    low, high = 0.0, 1.0
    while _t_below(high, freedom) < probability:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if _t_below(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def _t_below(t: float, freedom: int) -> float:
    """Returns P(T < t), t >= 0: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0 if freedom == 1 else term
    for i in range(3 if odd else 2, freedom - 1, 2):
        term *= math.cos(angle) ** 2 * (i - 1) / i
        total += term
    within = math.sin(angle) * total
    if odd:
        within = 2 / math.pi * (angle + within)
    return (1 + within) / 2
