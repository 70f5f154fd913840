"""Power of the comparison of two proportions, in closed form."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from rct.errors import RctError
from rct.power.solving import check_choice, check_levels, check_positive, only_unknown, reach
from rct.power.two_rates import Side
from rct.power.wald_power import rejection_probability

Method = Literal["pooled", "unpooled", "arcsine"]


@dataclass(frozen=True, kw_only=True)
class ProportionsPower:
    """Inputs and answer of `proportions`; `solved` names the quantity that was asked for."""

    control: float
    treated: float
    n: float
    n_control: float
    control_per_treated: float
    alpha: float
    power: float
    method: Method
    side: Side
    far_tail: bool
    solved: str


def proportions(
    *,
    control: float,
    treated: float | None = None,
    n: float | None = None,
    n_control: float | None = None,
    alpha: float = 0.05,
    power: float | None = None,
    method: Method = "pooled",
    side: Side = "decrease",
    control_per_treated: float = 1.0,
    far_tail: bool = True,
) -> ProportionsPower:
    """Solve for the power, the treated proportion or the units of a two-sided z test of two proportions.

    "pooled": null variance p̄ q̄ (1/n + 1/n₀) at the pooled proportion, alternative variance p₁ q₁/n + p₀
    q₀/n₀ (Fleiss, Levin & Paik 2003; R's ``power.prop.test``, which leaves out the far tail); "unpooled":
    the latter in both places; "arcsine": (2 asin √p₁ − 2 asin √p₀) √(n n₀/(n + n₀)) (Cohen 1988, ch. 6;
    pwr).

    Parameters
    ----------
    control, treated : float
        Leave exactly one of `treated`, `n`, `power` as None; a solved proportion lies on the given `side`.
    n, n_control : float, optional
        Units; `control_per_treated` as many controls as treated where `n_control` is None. A solved n is a
        real number.
    alpha, power : float
    method : {"pooled", "unpooled", "arcsine"}
    side : {"decrease", "increase"}
    control_per_treated : float
    far_tail : bool

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an input is out of range, or no answer exists.
    """
    solved = only_unknown(treated=treated, n=n, power=power)
    check_positive(n=n, n_control=n_control, control_per_treated=control_per_treated)
    check_levels(alpha, power)
    check_choice("method", method, Method)
    check_choice("side", side, Side)
    if not (0 < control < 1 and (treated is None or 0 < treated < 1)):
        raise RctError("proportions must lie between 0 and 1")
    given = ProportionsPower(
        control=control, treated=treated or math.nan, n=n or math.nan,
        n_control=n_control or (math.nan if n is None else control_per_treated * n), alpha=alpha,
        control_per_treated=control_per_treated, power=power or math.nan, method=method, side=side,
        far_tail=far_tail, solved=solved,
    )  # fmt: skip
    if solved == "power":
        return replace(given, power=_power(given))
    if solved == "n":
        if treated == control:
            raise RctError("equal proportions are no effect: no number of units gives it power")
        found = reach(
            lambda n: replace(given, n=n, n_control=n_control or control_per_treated * n), _power,
            given.power, 1e-3, 1e12,
        )  # fmt: skip
    else:
        room, sign = (control, -1.0) if side == "decrease" else (1 - control, 1.0)
        found = reach(
            lambda size: replace(given, treated=control + sign * size), _power, given.power,
            1e-9 * room, (1 - 1e-9) * room,
        )  # fmt: skip
    if found is None:
        raise RctError(f"no {'number of units' if solved == 'n' else side} reaches power {given.power:g}")
    return found


def _power(x: ProportionsPower) -> float:
    per = 1 / x.n + 1 / x.n_control
    if x.method == "arcsine":
        gap = 2 * math.asin(math.sqrt(x.treated)) - 2 * math.asin(math.sqrt(x.control))
        return rejection_probability(gap / math.sqrt(per), alpha=x.alpha, far_tail=x.far_tail)
    se = math.sqrt(x.treated * (1 - x.treated) / x.n + x.control * (1 - x.control) / x.n_control)
    pooled = (x.n * x.treated + x.n_control * x.control) / (x.n + x.n_control)
    null = math.sqrt(pooled * (1 - pooled) * per) if x.method == "pooled" else se
    return rejection_probability(
        (x.treated - x.control) / se, alpha=x.alpha, far_tail=x.far_tail, null_spread=null / se
    )
