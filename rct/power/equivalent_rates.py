"""Power to show that two incidence rates are equivalent."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from rct.errors import RctError
from rct.power.rate_tests import effect_and_spreads
from rct.power.solving import (
    check_choice,
    check_levels,
    check_not_negative,
    check_positive,
    only_unknown,
    reach,
)

LogTest = Literal["wald", "score", "total"]


@dataclass(frozen=True, kw_only=True)
class EquivalencePower:
    """Inputs and answer of `rates_equivalence`; `solved` is "power" or "n"."""

    rate: float
    ratio: float
    margins: tuple[float, float]
    n: float
    n_control: float
    exposure: float
    dispersion: float
    alpha: float
    power: float
    test: LogTest
    solved: str


def rates_equivalence(
    *,
    rate: float,
    margins: tuple[float, float],
    ratio: float = 1.0,
    n: float | None = None,
    n_control: float | None = None,
    exposure: float = 1.0,
    dispersion: float = 0.0,
    alpha: float = 0.05,
    power: float | None = None,
    test: LogTest = "wald",
) -> EquivalencePower:
    """Solve for the power or the units of two one-sided tests of the log rate ratio, each at alpha.

    Power is max(0, P(both tests reject)) = Φ(a) + Φ(b) − 1 with a = (log(upper / ratio) − z s_u) / s and
    b = (log(ratio / lower) − z s_l) / s (Zhu 2017); s is the standard error at the alternative, s_u and s_l
    those under each margin (see `rates`, `test`). statsmodels 0.15's function for Poisson rates is
    wrong for unequal groups, and its one for negative binomial rates swaps the rates.

    Parameters
    ----------
    rate, n, n_control, exposure, dispersion
        As in `rates`; as many controls as treated where `n_control` is None.
    margins : (float, float)
        Lower and upper rate ratio between which the rates count as equivalent.
    ratio : float
        The true rate ratio.
    alpha : float
        Of each test.
    power : float, optional
        Leave exactly one of `n`, `power` as None.
    test : {"wald", "score", "total"}

    Raises
    ------
    RctError
        If an input is out of range, the ratio lies outside the margins, or no answer exists.
    """
    solved = only_unknown(n=n, power=power)
    check_positive(rate=rate, ratio=ratio, n=n, n_control=n_control, exposure=exposure)
    check_levels(alpha, power)
    lower, upper = margins
    if not 0 < lower < ratio < upper:
        raise RctError(f"the ratio ({ratio:g}) must lie between the margins ({lower:g}, {upper:g})")
    check_choice("test", test, LogTest)
    check_not_negative(dispersion=dispersion)
    given = EquivalencePower(
        rate=rate, ratio=ratio, margins=(lower, upper), n=n or math.nan, n_control=n_control or n or math.nan,
        exposure=exposure, dispersion=dispersion, alpha=alpha, power=power or math.nan, test=test,
        solved=solved,
    )  # fmt: skip
    if solved == "power":
        return replace(given, power=_power(given))
    found = reach(
        lambda n: replace(given, n=n, n_control=n_control or n), _power, given.power, low=1e-3, high=1e13
    )
    if found is None:
        raise RctError(f"no number of treated units reaches power {given.power:g}; add control units")
    return found


def _power(x: EquivalencePower) -> float:
    from scipy.special import ndtr, ndtri

    z, beyond = -ndtri(x.alpha), 0.0
    for margin in x.margins:
        effect, null_se, se = effect_and_spreads(
            rate=x.rate, ratio=x.ratio, n=x.n, n_control=x.n_control, exposure=x.exposure,
            dispersion=x.dispersion, variance_factor=1.0, null_ratio=margin, test=x.test,
        )  # fmt: skip
        beyond += float(ndtr((abs(effect) - z * null_se) / se))
    return max(0.0, beyond - 1)
