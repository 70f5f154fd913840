"""Group-sequential boundaries and what they cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import RctError
from rct.power.recursive_integration import Walk, crossings, walk_from
from rct.power.solving import check_choice, check_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

Boundary = Literal[
    "obrien-fleming",
    "pocock",
    "wang-tsiatis",
    "lan-demets-obrien-fleming",
    "lan-demets-pocock",
    "hwang-shih-decani",
    "kim-demets",
]
LEAST_SHARE, HIGHEST_BOUND = 1e-300, 37.5
NEEDS_PARAMETER = ("wang-tsiatis", "hwang-shih-decani", "kim-demets")


@dataclass(frozen=True, kw_only=True)
class GroupSequential:
    """Inputs and answer of `group_sequential`.

    Attributes
    ----------
    bounds : tuple of float
        Critical value of Z at each look.
    alpha_spent : tuple of float
        Cumulative, both sides together.
    inflation : float
        Largest information over that of a fixed design with the same power: the factor by which the sample
        (or the follow-up) grows.
    drift : float
        Expected Z at the largest information that has the power.
    stopping : tuple of float
        Probability, under that drift, to stop at each look for crossing a bound.
    expected_information, expected_information_null : float
        Mean information at the stop over the information of the fixed design, under that drift and under no
        effect.
    """

    information: tuple[float, ...]
    kind: Boundary
    alpha: float
    sides: Literal[1, 2]
    power: float
    parameter: float
    bounds: tuple[float, ...]
    alpha_spent: tuple[float, ...]
    inflation: float
    drift: float
    stopping: tuple[float, ...]
    expected_information: float
    expected_information_null: float


def group_sequential(
    information: int | Sequence[float],
    *,
    kind: Boundary = "lan-demets-obrien-fleming",
    alpha: float = 0.05,
    sides: Literal[1, 2] = 2,
    power: float = 0.8,
    parameter: float | None = None,
) -> GroupSequential:
    """Give the bounds of a trial that is looked at several times, and its sample-size inflation.

    Bounds of Z at information fraction t: O'Brien & Fleming (1979) c/√t; Pocock (1977) c; Wang & Tsiatis
    (1987) c t^(Δ − ½); c so that all looks together spend alpha. By alpha spending (Lan & DeMets 1983), one
    side spending a = alpha / sides: 2 (1 − Φ(z_{a/2}/√t)) (O'Brien–Fleming type), a log(1 + (e − 1) t)
    (Pocock type), a (1 − e^{−γt})/(1 − e^{−γ}) (Hwang, Shih & DeCani 1990), a t^ρ (Kim & DeMets 1987); these
    hold alpha whatever the times of the looks turn out to be. Probabilities by recursive integration
    (Armitage, McPherson & Rowe 1969; Jennison & Turnbull 2000, ch. 19).

    Ours is the convention of rpact: two-sided, each side spends its half by itself (first O'Brien–Fleming
    type bound of two looks 2.963; spending the total as one function of alpha would give 2.772). Power and
    inflation count a crossing on the effect's side; there is no stopping for futility.

    Parameters
    ----------
    information : int or sequence of float
        Number of equally spaced looks, or increasing fractions of the largest information, the last 1. For
        counts, information is that of the log rate ratio: about the share of the expected events.
    kind : str
    alpha : float
        Of the whole trial; two-sided total where `sides` is 2.
    sides : {1, 2}
    power : float
        For which inflation, drift and expected information are given.
    parameter : float, optional
        Δ of Wang & Tsiatis (0: O'Brien–Fleming, ½: Pocock), γ of Hwang, Shih & DeCani, ρ of Kim & DeMets.

    Raises
    ------
    RctError
        If the looks do not increase to 1, or a parameter lacks or is out of range.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    looks = _looks(information)
    check_levels(alpha, power)
    check_choice("kind", kind, Boundary)
    check_choice("sides", sides, Literal[1, 2])
    shape = _parameter(kind, parameter)
    if kind in ("obrien-fleming", "pocock", "wang-tsiatis"):
        delta = {"obrien-fleming": 0.0, "pocock": 0.5}.get(kind, shape)
        bounds = _classical(looks, delta, alpha, sides)
    else:
        bounds = _spending(looks, _spending_function(kind, alpha / sides, shape), sides)
    lower = [-bound for bound in bounds] if sides == 2 else [-math.inf] * len(bounds)
    null = crossings(looks, lower, bounds, drift=0.0)
    fixed = float(-ndtri(alpha / sides) + ndtri(power))

    def gap(drift: float) -> float:
        return float(crossings(looks, lower, bounds, drift=drift)[:, 0].sum()) - power

    drift = float(brentq(gap, 0.0, 3 * max(fixed, 2.0), xtol=1e-11))
    reached = crossings(looks, lower, bounds, drift=drift).sum(axis=1)
    inflation = (drift / fixed) ** 2
    return GroupSequential(
        information=looks, kind=kind, alpha=alpha, sides=sides, power=power, parameter=shape,
        bounds=tuple(bounds), alpha_spent=tuple(map(float, null.sum(axis=1).cumsum())), inflation=inflation,
        drift=drift, stopping=tuple(map(float, reached)),
        expected_information=inflation * _mean_stop(looks, reached),
        expected_information_null=inflation * _mean_stop(looks, null.sum(axis=1)),
    )  # fmt: skip


def _looks(information: int | Sequence[float]) -> tuple[float, ...]:
    if isinstance(information, int):
        if information < 1:
            raise RctError("a trial has one look at least, the last")
        return tuple((look + 1) / information for look in range(information))
    looks = tuple(float(at) for at in information)
    if not looks or not np.all(np.diff([0.0, *looks]) > 1e-6) or abs(looks[-1] - 1) > 1e-9:
        raise RctError(f"the information of the looks must increase from above 0 to 1, and is {looks}")
    return looks


def _parameter(kind: Boundary, parameter: float | None) -> float:
    if kind not in NEEDS_PARAMETER:
        if parameter is not None:
            raise RctError(f'the boundary "{kind}" has no parameter')
        return math.nan
    if parameter is None:
        raise RctError(f'the boundary "{kind}" needs its parameter')
    if kind == "kim-demets" and parameter <= 0:
        raise RctError("rho of Kim & DeMets must be positive")
    return parameter


def _classical(looks: Sequence[float], delta: float, alpha: float, sides: Literal[1, 2]) -> list[float]:
    from scipy.optimize import brentq
    from scipy.special import ndtri

    def bounds(c: float) -> list[float]:
        return [c * at ** (delta - 0.5) for at in looks]

    def gap(c: float) -> float:
        upper = bounds(c)
        lower = [-bound for bound in upper] if sides == 2 else [-math.inf] * len(upper)
        return float(crossings(looks, lower, upper, drift=0.0).sum()) - alpha

    single = float(-ndtri(alpha / sides))
    highest = max(1.0, *(at ** (0.5 - delta) for at in looks))
    most = float(-ndtri(alpha / sides / len(looks))) * highest + 1e-6
    least = single * min(1.0, *(at ** (0.5 - delta) for at in looks)) - 1e-6
    return bounds(float(brentq(gap, least, most, xtol=1e-11)))


def _spending_function(kind: Boundary, a: float, parameter: float) -> Callable[[float], float]:
    from scipy.special import ndtr, ndtri

    if kind == "lan-demets-obrien-fleming":
        return lambda t: float(2 * ndtr(ndtri(a / 2) / math.sqrt(t)))
    if kind == "lan-demets-pocock":
        return lambda t: a * math.log(1 + (math.e - 1) * t)
    if kind == "kim-demets":
        return lambda t: a * t**parameter
    if parameter == 0:
        return lambda t: a * t
    return lambda t: a * math.expm1(-parameter * t) / math.expm1(-parameter)


def _spending(looks: Sequence[float], spent: Callable[[float], float], sides: Literal[1, 2]) -> list[float]:
    walk, bounds, before = walk_from(), [], 0.0
    for look, at in enumerate(looks):
        bound = _bound_that_spends(spent(at) - before, walk, at)
        before = spent(at)
        bounds.append(bound)
        if look + 1 < len(looks):
            lower = -bound if sides == 2 else -math.inf
            walk = walk.going_on(at, lower, bound, 0.0, looks[look + 1] - at)
    return bounds


def _bound_that_spends(share: float, walk: Walk, at: float) -> float:
    """Give the bound that Z passes with this probability; on the log scale, for early shares are minute."""
    from scipy.optimize import brentq

    if share < LEAST_SHARE:
        return HIGHEST_BOUND

    def gap(bound: float) -> float:
        return math.log(max(walk.above(at, bound, 0.0), LEAST_SHARE)) - math.log(share)

    return float(brentq(gap, -2.0, HIGHEST_BOUND, xtol=1e-12))


def _mean_stop(looks: Sequence[float], stopping: "NDArray[np.float64]") -> float:
    early = float(np.dot(looks[:-1], stopping[:-1]))
    return early + looks[-1] * (1 - float(stopping[:-1].sum()))
