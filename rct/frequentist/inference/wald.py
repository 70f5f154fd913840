"""Wald limits and p-value from an estimate, its standard error and its degrees of freedom."""

from __future__ import annotations

import math


def wald(estimate: float, std_error: float, df: float, level: float) -> tuple[float, float, float]:
    """Give lower limit, upper limit and two-sided p-value; t on `df`, normal where that is not finite."""
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    statistic = -abs(estimate / std_error)
    if math.isfinite(df):
        quantile, tail = stdtrit(df, (1 + level) / 2), stdtr(df, statistic)
    else:
        quantile, tail = ndtri((1 + level) / 2), ndtr(statistic)
    margin = float(quantile) * std_error
    return estimate - margin, estimate + margin, min(1.0, 2 * float(tail))
