"""The half-life of a fading effect by profile likelihood, and how well the counts know it.

Given the half-life the log-likelihood is concave in all else, so it is maximized over a grid of half-lives
and refined. The limits are those of the likelihood-ratio test, the ratio divided by how much larger the
robust variance of the log half-life is than the model's (Rotnitzky & Jewell 1990; Chandler & Bate 2007).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

GRID = 33
SHORTEST = 0.25
EDGE = 0.02


@dataclass(frozen=True)
class HalfLife:
    """Half-life in periods, and its profile limits (0 and infinity: none within the range searched).

    at_edge : the likelihood grows to the end of the range, so the data know no half-life
    """

    value: float
    low: float
    high: float
    at_edge: bool

    @property
    def unknown(self) -> bool:
        """Whether a limit is missing."""
        return self.at_edge or self.low == 0 or math.isinf(self.high)


def search_range(longest: int) -> tuple[float, float]:
    """Give the log half-lives between which to search: gone after one period, to hardly fading."""
    return math.log(SHORTEST), math.log(8 * longest)


def maximize(log_likelihood: Callable[[float], float], longest: int) -> tuple[float, bool]:
    """Give the log half-life of the largest profile log-likelihood, and whether the range ends there."""
    from scipy.optimize import minimize_scalar

    low, high = search_range(longest)
    grid = np.linspace(low, high, GRID)
    best = int(np.argmax([log_likelihood(float(x)) for x in grid]))
    around = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)]))
    found = minimize_scalar(
        lambda x: -log_likelihood(float(x)), bounds=around, method="bounded", options={"xatol": 1e-7}
    )
    value = float(found.x)
    return value, min(value - low, high - value) < EDGE


def profile_limits(
    log_likelihood: Callable[[float], float], best: float, longest: int, drop: float
) -> tuple[float, float]:
    """Give the half-lives whose log-likelihood is `drop` below its maximum; 0 and infinity for none."""
    from scipy.optimize import brentq

    floor = log_likelihood(best) - drop
    ends = search_range(longest)
    found = [0.0, math.inf]
    for side, end in enumerate(ends):
        if log_likelihood(end) < floor:
            found[side] = math.exp(brentq(lambda x: log_likelihood(float(x)) - floor, end, best, xtol=1e-6))
    return found[0], found[1]
