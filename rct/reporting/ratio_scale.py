"""Percent changes on the log ratio scale: half as many lies as far from zero as twice as many."""

import math
from collections.abc import Iterable

NARROWEST = math.log(1.1)
WIDEST = math.log(10.0)
TICKS_FROM_ZERO = ((10, 25, 50, 100, 200, 400, 900), (-10, -20, -35, -50, -65, -80, -90))
CLOSEST_TICKS = 0.11


def log_ratio(percent: float) -> float:
    """Give the log rate ratio of a percent change; −∞ at −100 % and below."""
    if math.isnan(percent):
        return math.nan
    return math.log1p(percent / 100) if percent > -100 else -math.inf


def ratio_span(percents: Iterable[float]) -> tuple[float, float]:
    """Give the limits of an axis, on the log scale, that holds zero and the changes up to tenfold."""
    given = [log_ratio(percent) for percent in percents]
    within = [min(max(value, -WIDEST), WIDEST) for value in given if not math.isnan(value)]
    low, high = min([-NARROWEST, *within]), max([NARROWEST, *within])
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def ratio_ticks(span: tuple[float, float]) -> list[int]:
    """Choose percents from zero outwards, leaving out those too close to the one before."""
    shown = [0]
    for side in TICKS_FROM_ZERO:
        last = 0.0
        for tick in side:
            value = log_ratio(tick)
            apart = abs(value - last) >= CLOSEST_TICKS * (span[1] - span[0])
            if span[0] <= value <= span[1] and apart:
                shown.append(tick)
                last = value
    return sorted(shown)
