"""The variances of two compared rates, under the null and the alternative, by the test that is meant."""

import math
from typing import Literal

from rct.errors import RctError
from rct.power.solving import check_choice, check_not_negative

RateTest = Literal["wald", "score", "total", "reference", "difference", "pooled-difference"]
ON_DIFFERENCE = ("difference", "pooled-difference")


def effect_and_spreads(
    *,
    rate: float,
    ratio: float,
    n: float,
    n_control: float,
    exposure: float,
    dispersion: float,
    variance_factor: float,
    null_ratio: float,
    test: RateTest,
) -> tuple[float, float, float]:
    """Give the effect against the null and its standard errors under null and alternative.

    A count has variance φ μ + k μ², μ = rate × exposure (times the ratio where treated). Log-ratio tests:
    Var = (φ/μ₁ + k)/n + (φ/μ₀ + k)/n₀ (Zhu & Lakkis 2014, eq. 7). Under the null the rates are those of the
    alternative ("wald", their approach 3), the maximum-likelihood ones constrained to the null ratio
    ("score", their approach 2), the same total events ("total"; equal to "score" at null ratio 1 or k = 0),
    the control rate in both groups ("reference", approach 1). Difference tests: Var = (φ μ₁ + k μ₁²)/n +
    (φ μ₀ + k μ₀²)/n₀, the pooled mean under the null of "pooled-difference" (the score test of a difference).

    Returns
    -------
    effect, null_se, se : float
        The effect is log(ratio / null ratio), or the difference of expected counts.
    """
    control, treated = rate * exposure, rate * exposure * ratio

    def of_log(mu0: float, mu1: float) -> float:
        per_control, per_treated = variance_factor / mu0 + dispersion, variance_factor / mu1 + dispersion
        return math.sqrt(per_treated / n + per_control / n_control)

    def of_difference(mu0: float, mu1: float) -> float:
        per_control = variance_factor * mu0 + dispersion * mu0**2
        return math.sqrt((variance_factor * mu1 + dispersion * mu1**2) / n + per_control / n_control)

    if test in ON_DIFFERENCE:
        se = of_difference(control, treated)
        pooled = (n * treated + n_control * control) / (n + n_control)
        null = of_difference(pooled, pooled) if test == "pooled-difference" else se
        return treated - control, null, se
    se = of_log(control, treated)
    if test == "wald":
        null = se
    else:
        at = {
            "reference": lambda: control,
            "total": lambda: (n * treated + n_control * control) / (n * null_ratio + n_control),
            "score": lambda: _constrained(control, treated, n, n_control, dispersion, null_ratio),
        }[test]()
        null = of_log(at, null_ratio * at)
    return math.log(ratio / null_ratio), null, se


def check_test(test: RateTest, *, dispersion: float, null_ratio: float, variance_factor: float) -> None:
    """Refuse what the test has no formula for."""
    check_choice("test", test, RateTest)
    check_not_negative(dispersion=dispersion)
    if test in ON_DIFFERENCE and null_ratio != 1:
        raise RctError(f'the test "{test}" is of no difference: null_ratio must be 1; use "wald" or "score"')
    if test == "score" and variance_factor != 1 and dispersion > 0:
        raise RctError('test="score" needs variance_factor = 1 where dispersion is above 0')


def _constrained(
    control: float, treated: float, n: float, n_control: float, dispersion: float, null_ratio: float
) -> float:
    """Give the limit of the control mean's maximum-likelihood estimate at μ₁ = null ratio × μ₀.

    The positive root of n (m₁ − c μ)(1 + k μ) + n₀ (m₀ − μ)(1 + k c μ) = 0.
    """
    k, c = dispersion, null_ratio
    square = -k * c * (n + n_control)
    linear = n * (k * treated - c) + n_control * (k * c * control - 1)
    constant = n * treated + n_control * control
    # the root without cancellation, right at k = 0 too
    return 2 * constant / (-linear + math.sqrt(linear**2 - 4 * square * constant))
