"""How far a share of so many images can be trusted, and how it is written."""

import math
import statistics
from collections.abc import Sequence

_Z = statistics.NormalDist().inv_cdf(0.975)
# As many decimals of a percentage as any table has.
MOST_DIGITS = 2


def wilson(share: float, count: float) -> tuple[float, float]:
    """Returns the 95 % interval of a share of so many images.

    Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 1927.

    Args:
        share: A fraction.
        count: How many images it is of; of none, nothing is known.
    """
    if not count:
        return 0.0, 1.0
    middle = share + _Z * _Z / (2 * count)
    spread = _Z * math.sqrt(
        share * (1 - share) / count + _Z * _Z / (4 * count * count)
    )
    scale = 1 + _Z * _Z / count
    return max(0.0, (middle - spread) / scale), min(
        1.0, (middle + spread) / scale
    )


def wilson_of_mean(
    shares: Sequence[float], counts: Sequence[int]
) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of shares, each of its own images.

    That of one share of D**2 / sum(1 / n) images, which has the variance of the
    mean where the D shares are equal. Where they are not and each is of equally
    many images, it is a little too wide.

    Args:
        shares: Fractions, one or more.
        counts: How many images each is of, 1 or more.
    """
    alike = len(counts) ** 2 / sum(1 / count for count in counts)
    return wilson(statistics.fmean(shares), alike)


def digits_of(low: float, high: float) -> int:
    """Returns how many decimals a percentage is written with.

    The last one is that of the first digit of half its interval: 0 for
    53 +- 4, 1 for 53.2 +- 0.4.

    Args:
        low: Where its interval begins, a fraction.
        high: Where it ends.
    """
    half = 50 * (high - low)
    if half <= 0:
        return MOST_DIGITS
    return min(MOST_DIGITS, max(0, -math.floor(math.log10(half))))


def percent(share: float, interval: Sequence[float] | None = None) -> str:
    """Returns a fraction in percent, with the decimals that it deserves.

    Args:
        share: The fraction.
        interval: Its interval; None writes the most decimals.
    """
    digits = MOST_DIGITS if interval is None else digits_of(*interval)
    return f"{100 * share:.{digits}f}"
