"""Power of the comparison of two incidence rates, in closed form."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from rct.errors import RctError

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
) -> RatesPower:
    """Solve for the power, the rate ratio or the number of units of a two-group comparison of counts.

    Two-sided Wald test of the log rate ratio, both tails counted, with the variance at the rates of the
    alternative under null and alternative alike: (1/μ₁ + k)/n + (1/μ₀ + k)/n₀ with μ the expected count
    of a unit and k the dispersion (Zhu & Lakkis 2014, eq. 7 with their approach 3; statsmodels'
    ``power_negbin_ratio_2indep(method_var="alt")``).

    Parameters
    ----------
    rate : float
        Events per control unit and unit of exposure.
    ratio : float, optional
        Incidence rate ratio, treated to control. Leave exactly one of `ratio`, `n`, `power` as None.
    n, n_control : float, optional
        Treated and control units; as many controls as treated where `n_control` is None. A solved `n`
        is a real number: round it up.
    exposure : float
        Exposure of every unit, in the unit of `rate`.
    dispersion : float
        k in variance = mean + k mean²; 0 is Poisson, 1/shape for gamma heterogeneity.
    alpha, power : float
    side : {"decrease", "increase"}
        On which side of one a solved ratio lies.

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an input is out of range, or no answer exists.
    """
    if [ratio, n, power].count(None) != 1:
        raise RctError("leave exactly one of ratio, n and power as None: that one is solved")
    _check(rate=rate, exposure=exposure, ratio=ratio, n=n, n_control=n_control)
    if not 0 < alpha < 1 or (power is not None and not alpha < power < 1) or dispersion < 0:
        raise RctError(
            "alpha must lie in (0, 1), power between alpha and 1, and dispersion may not be negative"
        )
    given = RatesPower(
        rate=rate, ratio=ratio or math.nan, n=n or math.nan, n_control=n_control or n or math.nan,
        exposure=exposure, dispersion=dispersion, alpha=alpha, power=power or math.nan, side=side, solved="",
    )  # fmt: skip
    if power is None:
        return replace(given, power=_power(given), solved="power")
    if n is None:
        return _solve_n(given, equal_groups=n_control is None)
    return _solve_ratio(given)


def _check(**positive: float | None) -> None:
    for name, value in positive.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise RctError(f"{name} must be a positive number, not {value}")


def _power(x: RatesPower) -> float:
    from scipy.special import ndtr, ndtri

    control = x.rate * x.exposure
    variance = (1 / (control * x.ratio) + x.dispersion) / x.n + (1 / control + x.dispersion) / x.n_control
    z, shift = ndtri(1 - x.alpha / 2), math.log(x.ratio) / math.sqrt(variance)
    return float(ndtr(-z - shift) + ndtr(-z + shift))


def _solve_n(given: RatesPower, *, equal_groups: bool) -> RatesPower:
    def at(n: float) -> RatesPower:
        return replace(given, n=n, n_control=n if equal_groups else given.n_control)

    if given.ratio == 1:
        raise RctError("a ratio of 1 is no effect: no number of units gives it power")
    n = _root(lambda log_n: _power(at(math.exp(log_n))) - given.power, -5.0, 30.0)
    if n is None:
        raise RctError(
            f"with {given.n_control:g} control units no number of treated units reaches "
            f"power {given.power:g}; add control units"
        )
    solved = at(math.exp(n))
    return replace(solved, solved="n")


def _solve_ratio(given: RatesPower) -> RatesPower:
    sign = -1.0 if given.side == "decrease" else 1.0
    size = _root(lambda s: _power(replace(given, ratio=math.exp(sign * s))) - given.power, 1e-9, 12.0)
    if size is None:
        raise RctError(f"no {given.side} reaches power {given.power:g} with these units and this exposure")
    return replace(given, ratio=math.exp(sign * size), solved="ratio")


def _root(gap: Callable[[float], float], low: float, high: float) -> float | None:
    """Find the first crossing from below; power may fall again as a decrease empties the treated group."""
    from scipy.optimize import brentq

    grid = [low + (high - low) * step / 200 for step in range(201)]
    for left, right in pairwise(grid):
        if gap(left) < 0 <= gap(right):
            return float(brentq(gap, left, right, xtol=1e-13, rtol=1e-13))
    return None
