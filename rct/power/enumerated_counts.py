"""The exact rejection probability of tests of two Poisson totals, by enumeration."""

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import RctError
from rct.power.solving import check_choice, check_levels, check_positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

CountTest = Literal[
    "wald-log",
    "score",
    "sqrt",
    "conditional",
    "conditional-doubled",
    "conditional-midp",
    "conditional-midp-minlike",
]
LARGEST_TOTAL = 5000.0
TAIL = 1e-13


def rates_exact(
    *,
    rate: float,
    ratio: float,
    n: float,
    n_control: float | None = None,
    exposure: float = 1.0,
    alpha: float = 0.05,
    test: CountTest = "score",
) -> float:
    """Give the exact probability that a test of two Poisson totals rejects, all pairs of counts enumerated.

    Totals y₁ ~ Poisson(n × exposure × rate × ratio) and y₀, with d = n / n_control. "wald-log": reject
    when ``|log(y₁/y₀) − log d| ≥ z √(1/y₁ + 1/y₀)``, never with a zero; "score": reject when ``|y₁ − d
    y₀| ≥ z √(d (y₁ + y₀))``; "sqrt" (Anscombe): when ``2 |√(y₁ + ⅜) − √(d (y₀ + ⅜))| ≥ z √(1 + d)`` (Gu,
    Ng, Tang & Schucany 2008). The conditional ones are binomial tests of y₁ given y₁ + y₀ (Przyborowski &
    Wilenski 1940): p the sum of probabilities not above the observed one; twice the smaller tail
    (doubled); twice the smaller mid-p tail (midp); the first less half the observed probability
    (midp-minlike, statsmodels' ``cond-midp``). At ratio 1 the answer is the size of the test.

    Parameters
    ----------
    rate, ratio, n, n_control, exposure
        As in `rates`; Poisson counts.
    alpha : float
        Two-sided.
    test : str

    Raises
    ------
    RctError
        If an input is out of range, or more than 5,000 events are expected (`rates` is exact enough there).
    """
    check_positive(rate=rate, ratio=ratio, n=n, n_control=n_control, exposure=exposure)
    check_levels(alpha, None)
    check_choice("test", test, CountTest)
    n_control = n_control or n
    treated, control = exposure * rate * ratio * n, exposure * rate * n_control
    if treated + control > LARGEST_TOTAL:
        raise RctError(
            f"{treated + control:.0f} events are too many to enumerate (the limit is {LARGEST_TOTAL:g}); "
            "rct.power.rates is accurate there"
        )
    (y1, p1), (y0, p0) = _counts(treated), _counts(control)
    rejected = _rejected(y1[:, np.newaxis], y0[np.newaxis, :], n / n_control, alpha, test)
    return float(p1 @ rejected @ p0)


def _counts(mean: float) -> tuple["NDArray[np.int64]", "NDArray[np.float64]"]:
    from scipy.stats import poisson

    low, high = poisson.ppf(TAIL, mean), poisson.isf(TAIL, mean)
    counts = np.arange(int(low), int(high) + 1)
    return counts, poisson.pmf(counts, mean)


def _rejected(
    y1: "NDArray[np.int64]", y0: "NDArray[np.int64]", d: float, alpha: float, test: CountTest
) -> "NDArray[np.bool_]":
    from scipy.special import ndtri

    z = -ndtri(alpha / 2)
    if test == "wald-log":
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.abs(np.log(y1) - np.log(y0) - math.log(d))
            return (gap >= z * np.sqrt(1 / y1 + 1 / y0)) & (y1 > 0) & (y0 > 0)
    if test == "score":
        return (np.abs(y1 - d * y0) >= z * np.sqrt(d * (y1 + y0))) & (y1 + y0 > 0)
    if test == "sqrt":
        return 2 * np.abs(np.sqrt(y1 + 0.375) - np.sqrt(d * (y0 + 0.375))) >= z * math.sqrt(1 + d)
    totals = y1 + y0
    rejected = np.zeros(totals.shape, dtype=bool)
    for total in range(int(totals.min()), int(totals.max()) + 1):
        rows, columns = np.nonzero(totals == total)
        p_values = _conditional_p(total, d / (1 + d), test)
        rejected[rows, columns] = p_values[y1[rows, 0]] <= alpha
    return rejected


def _conditional_p(total: int, share: float, test: CountTest) -> "NDArray[np.float64]":
    """Give the p-value of y₁ = 0 … total."""
    from scipy.stats import binom

    pmf = binom.pmf(np.arange(total + 1), total, share)
    if test in ("conditional", "conditional-midp-minlike"):
        ordered = np.sort(pmf)
        summed = np.concatenate([[0.0], np.cumsum(ordered)])
        at_most = summed[np.searchsorted(ordered, pmf * (1 + 1e-7), side="right")]
        return at_most - (pmf / 2 if test == "conditional-midp-minlike" else 0)
    own = pmf / 2 if test == "conditional-midp" else 0
    below, above = np.cumsum(pmf) - own, np.cumsum(pmf[::-1])[::-1] - own
    return np.minimum(1.0, 2 * np.minimum(below, above))
