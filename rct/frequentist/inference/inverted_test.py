"""Estimate and interval from a randomization test: the ratios that it does not reject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_LOG_RATIO = 8.0
FIRST_STEP = 0.25
LOG_RATIO_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Statistic:
    """A test statistic as a function of the log ratio under test.

    observed : log ratio → statistic of the assignment that was made
    null : log ratio → statistic of each draw (draws,)
    """

    observed: Callable[[float], float]
    null: Callable[[float], NDArray[np.float64]]


def root(statistic: Callable[[float], float]) -> float:
    """Log ratio at which a decreasing statistic is zero; NaN where it has no sign change within ±8."""
    from scipy.optimize import brentq

    sign = np.sign(statistic(0.0))
    if sign == 0:
        return 0.0
    inner, outer = 0.0, FIRST_STEP * sign
    while statistic(outer) * sign > 0:
        inner, outer = outer, outer * 2
        if abs(outer) > LARGEST_LOG_RATIO:
            return float("nan")
    return float(brentq(statistic, inner, outer, xtol=1e-10))


def limits(statistic: Statistic, estimate: float, level: float, *, exact: bool) -> tuple[float, float]:
    """Interval of the log ratios that the two-sided test at 1 − level does not reject.

    Parameters
    ----------
    statistic : Statistic
    estimate : float
        A log ratio that is not rejected.

    Returns
    -------
    (float, float)
        Infinite on a side where nothing is rejected.
    """
    if not np.isfinite(estimate):
        return float("nan"), float("nan")
    return (
        _limit(statistic, estimate, -1.0, level, exact=exact),
        _limit(statistic, estimate, 1.0, level, exact=exact),
    )


def _limit(statistic: Statistic, estimate: float, side: float, level: float, *, exact: bool) -> float:
    from scipy.optimize import brentq

    def excess(log_ratio: float) -> float:
        critical = critical_value(statistic.null(log_ratio), level, exact=exact)
        return abs(statistic.observed(log_ratio)) - critical

    inner, step = estimate, FIRST_STEP
    while excess(estimate + side * step) <= 0:
        inner, step = estimate + side * step, step * 2
        if step > LARGEST_LOG_RATIO:
            return side * float("inf")
    return float(brentq(excess, inner, estimate + side * step, xtol=LOG_RATIO_TOLERANCE))


def critical_value(null: NDArray[np.float64], level: float, *, exact: bool) -> float:
    """Give the value that |T| must exceed for p ≤ 1 − level; infinite where no statistic can reach that.

    p ≤ alpha means at most alpha × draws values as extreme (alpha × (draws + 1) − 1 where the draws are a
    sample, since the observed one counts among them).
    """
    n = len(null)
    alpha = 1 - level
    allowed = int(np.floor(alpha * n + 1e-9)) if exact else int(np.floor(alpha * (n + 1) + 1e-9)) - 1
    if allowed < (1 if exact else 0):
        return float("inf")
    return float(np.partition(np.abs(null), n - 1 - allowed)[n - 1 - allowed]) if allowed < n else 0.0
