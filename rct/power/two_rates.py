"""Power of the comparison of two incidence rates, in closed form."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from rct.errors import RctError
from rct.power.rate_tests import RateTest, check_test, effect_and_spreads
from rct.power.solving import check_choice, check_levels, check_positive, only_unknown, reach
from rct.power.wald_power import Alternative, rejection_probability

Side = Literal["decrease", "increase"]


@dataclass(frozen=True, kw_only=True)
class RatesPower:
    """Inputs and answer of `rates`; `solved` names the quantity that was asked for."""

    rate: float
    ratio: float
    n: float
    n_control: float
    exposure: float
    dispersion: float
    alpha: float
    power: float
    side: Side
    test: RateTest
    alternative: Alternative
    null_ratio: float
    variance_factor: float
    control_per_treated: float
    far_tail: bool
    solved: str

    @property
    def warning(self) -> str:
        """Say where the normal approximation is rough (fewer than 40 expected events in a group)."""
        events = self.exposure * self.rate * min(self.n_control, self.n * self.ratio)
        if events >= 40:
            return ""
        return (
            f"only {events:.0f} events expected in a group: below 40 this formula is rough, simulate instead"
        )


def rates(
    *,
    rate: float,
    ratio: float | None = None,
    n: float | None = None,
    n_control: float | None = None,
    exposure: float = 1.0,
    dispersion: float = 0.0,
    alpha: float = 0.05,
    power: float | None = None,
    side: Side = "decrease",
    test: RateTest = "wald",
    alternative: Alternative = "two-sided",
    null_ratio: float = 1.0,
    variance_factor: float = 1.0,
    control_per_treated: float = 1.0,
    far_tail: bool = True,
) -> RatesPower:
    """Solve for the power, the rate ratio or the number of units of a two-group comparison of counts.

    Two-sided Wald test of the log rate ratio, both tails counted, with the variance at the rates of the
    alternative under null and alternative alike: (1/μ₁ + k)/n + (1/μ₀ + k)/n₀ with μ the expected count
    of a unit and k the dispersion (Zhu & Lakkis 2014, eq. 7 with their approach 3; statsmodels'
    ``power_negbin_ratio_2indep(method_var="alt")``). In general power is
    P(effect + se Z beyond z null_se), with other null variances by `test`. Against the exact rejection
    probability (20 to 160 control events, ratio .4 to .85, half to twice as many controls) the Wald formula
    is off by up to .08 and the log-scale score formula by up to .16; with 40 events or more in each group by
    .03 and .05, and the pooled difference, against the score test, by .007: use "pooled-difference" for a
    score test.

    Parameters
    ----------
    rate : float
        Events per control unit and unit of exposure.
    ratio : float, optional
        Incidence rate ratio, treated to control. Leave exactly one of `ratio`, `n`, `power` as None. Power
        has a root on each side of 1, not reciprocal, and falls again as a decrease leaves nothing to count:
        a solved ratio is the one nearest `null_ratio` on the given `side`.
    n, n_control : float, optional
        Treated and control units; `control_per_treated` as many controls as treated where `n_control` is
        None. A solved `n` is a real number: round it up.
    exposure : float
        Exposure of every unit, in the unit of `rate`.
    dispersion : float
        k in variance = mean + k mean²; 0 is Poisson, 1/shape for gamma heterogeneity. (statsmodels' Poisson
        functions call the `variance_factor` dispersion.)
    alpha, power : float
        `alpha` is two-sided, or one-sided where `alternative` is.
    side : {"decrease", "increase"}
        On which side of the null ratio a solved ratio lies.
    test : {"wald", "score", "total", "reference", "difference", "pooled-difference"}
        Log ratio with the null variance at the alternative's rates; at the rates constrained to the null (Zhu
        & Lakkis, approach 2); at the same total; with the control rate in both groups (approach 1:
        overstates); difference of rates, unpooled and pooled under the null.
    alternative : {"two-sided", "smaller", "larger"}
    null_ratio : float
        With a one-sided alternative the margin of non-inferiority: "smaller" than 1.2, say.
    variance_factor : float
        φ in variance = φ mean + k mean² (quasi-Poisson).
    control_per_treated : float
    far_tail : bool
        Count significant results on the wrong side in a two-sided test (textbook formulas for n do not).

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an input is out of range, or no answer exists.
    """
    solved = only_unknown(ratio=ratio, n=n, power=power)
    check_positive(rate=rate, exposure=exposure, ratio=ratio, n=n, n_control=n_control)
    check_positive(
        null_ratio=null_ratio, variance_factor=variance_factor, control_per_treated=control_per_treated
    )
    check_levels(alpha, power)
    check_choice("side", side, Side)
    check_choice("alternative", alternative, Alternative)
    check_test(test, dispersion=dispersion, null_ratio=null_ratio, variance_factor=variance_factor)
    controls = n_control or (math.nan if n is None else control_per_treated * n)
    given = RatesPower(
        rate=rate, ratio=ratio or math.nan, n=n or math.nan, n_control=controls, exposure=exposure,
        dispersion=dispersion, alpha=alpha, power=power or math.nan, side=side, test=test,
        alternative=alternative, null_ratio=null_ratio, variance_factor=variance_factor,
        control_per_treated=control_per_treated, far_tail=far_tail, solved=solved,
    )  # fmt: skip
    if solved == "power":
        return replace(given, power=_power(given))
    if solved == "n":
        return _solve_n(given, tied=n_control is None)
    return _solve_ratio(given)


def _power(x: RatesPower) -> float:
    effect, null_se, se = effect_and_spreads(
        rate=x.rate, ratio=x.ratio, n=x.n, n_control=x.n_control, exposure=x.exposure,
        dispersion=x.dispersion, variance_factor=x.variance_factor, null_ratio=x.null_ratio, test=x.test,
    )  # fmt: skip
    return rejection_probability(
        -effect / se if x.alternative == "smaller" else effect / se, alpha=x.alpha, far_tail=x.far_tail,
        sides=2 if x.alternative == "two-sided" else 1, null_spread=null_se / se,
    )  # fmt: skip


def _solve_n(given: RatesPower, *, tied: bool) -> RatesPower:
    def at(n: float) -> RatesPower:
        return replace(given, n=n, n_control=given.control_per_treated * n if tied else given.n_control)

    if given.ratio == given.null_ratio:
        raise RctError(f"a ratio of {given.ratio:g} is no effect: no number of units gives it power")
    if given.alternative != "two-sided" and (given.alternative == "smaller") != (
        given.ratio < given.null_ratio
    ):
        raise RctError(
            f"a ratio of {given.ratio:g} is not {given.alternative} than {given.null_ratio:g}: no number of "
            "units gives this test power"
        )
    solved = reach(at, _power, given.power, low=1e-3, high=1e13)
    if solved is None:
        raise RctError(
            f"with {given.n_control:g} control units no number of treated units reaches "
            f"power {given.power:g}; add control units"
        )
    return solved


def _solve_ratio(given: RatesPower) -> RatesPower:
    sign = -1.0 if given.side == "decrease" else 1.0
    if given.alternative != "two-sided" and (given.alternative == "smaller") != (sign < 0):
        raise RctError(f'a test of a {given.alternative} ratio finds no {given.side}: change "side"')
    solved = reach(
        lambda size: replace(given, ratio=given.null_ratio * math.exp(sign * size)), _power, given.power,
        low=1e-6, high=12.0,
    )  # fmt: skip
    if solved is None:
        raise RctError(f"no {given.side} reaches power {given.power:g} with these units and this exposure")
    return solved
