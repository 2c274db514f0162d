"""Which part of a training SWAD averages: a valley of the validation loss."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Valley:
    """What is known of a valley after some validations.

    A segment is the steps that end with a validation; segments are counted
    from 0.

    Attributes:
        start: The segment whose end has the lowest loss of the next few; None
            before it is found.
        threshold: The loss above which the valley has ended; None likewise.
        end: The validation that ended it; None where that was none so far.
        taken: The segments that the authors' code averages, in its order and
            as often as it takes them.
        first: The first segment of the valley that is known.
    """

    start: int | None = None
    threshold: float | None = None
    end: int | None = None
    taken: tuple[int, ...] = ()
    first: int | None = None

    @property
    def segments(self) -> tuple[int, ...]:
        """The segments that are averaged, each once, in order."""
        if self.start is None:
            return ()
        known = range(self.first, self.start + 1)
        return tuple(sorted({*known, *self.taken}))


def find_valley(
    losses: Sequence[float],
    converge: int = 3,
    patience: int = 6,
    tolerance: float = 0.3,
    ended: bool = False,
) -> Valley:
    """Finds the valley of the validations so far.

    Source: Cha et al., "SWAD: Domain Generalization by Seeking Flat Minima",
    NeurIPS 2021, Algorithm 1, with the constants and the detection of the
    authors' code. Differs in `Valley.segments`: that code leaves out the first
    segment that it looks back on and takes the start twice.

    Args:
        losses: The validation loss at the end of each segment.
        converge: N_s: the start has the lowest of so many losses, its own the
            first of them.
        patience: N_e: the valley has ended once so many losses in a row are
            above the threshold.
        tolerance: r: the threshold is 1 + r times the mean of the N_s losses.
        ended: Whether the training is over, so that no more losses come.
    """
    losses = [float(loss) for loss in losses]
    for now in range(converge - 1, len(losses)):
        start = now - converge + 1
        window = losses[start : now + 1]
        if window[0] == min(window):
            break
    else:
        return Valley()
    threshold = float(np.mean(window)) * (1.0 + tolerance)
    first, taken = start, []
    if patience > converge:
        first = max(now - patience + 1, 0)
        for segment in range(first, start + 1):
            if losses[segment] > threshold:
                first = segment + 1
        taken += range(first + 1, start + 1)
    else:
        taken += range(start + 1, start + 1 + converge - patience)

    def low(oldest, newest):
        return min(losses[oldest : newest + 1]) <= threshold

    end, newest = None, len(losses) - 1
    for later in range(now + 1, len(losses)):
        oldest = max(later - patience + 1, 0)
        if oldest < start:
            continue
        if not low(oldest, later):
            end = later
            break
        taken.append(oldest)
    if ended and end is None:
        # What is left is newer than the oldest that was looked at.
        for segment in range(max(newest - patience + 1, 0) + 1, newest + 1):
            if not low(segment, newest):
                break
            taken.append(segment)
    return Valley(start, threshold, end, tuple(taken), min(first, start))
