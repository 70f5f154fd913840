"""Several arms against one control: Dunnett's critical value and power."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import RctError
from rct.power.solving import check_choice, check_finite, check_levels, check_positive

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class DunnettPower:
    """Inputs and answer of `dunnett`.

    Attributes
    ----------
    critical_value : float
    power : tuple of float
        Of each arm's comparison.
    any, all : float
        Probability that at least one arm is found, and that all are.
    """

    expected_z: tuple[float, ...]
    control_over_arm: float
    alpha: float
    sides: Literal[1, 2]
    critical_value: float
    power: tuple[float, ...]
    any: float
    all: float


def dunnett(
    expected_z: Sequence[float],
    *,
    control_over_arm: float = 1.0,
    alpha: float = 0.05,
    sides: Literal[1, 2] = 2,
) -> DunnettPower:
    """Give the power of single-step comparisons of several equal arms with one control, variance known.

    Dunnett (1955): the comparisons correlate at ρ = n/(n + n₀), Zₖ = √ρ U + √(1 − ρ) Eₖ + δₖ, so that given U
    they are independent; the integral over U is by Gauss–Legendre quadrature. A rejection in either
    direction counts.

    Parameters
    ----------
    expected_z : sequence of float
        Effect over standard error of each comparison.
    control_over_arm : float
        n₀/n, control units over units of one arm; √arms is the most efficient.
    alpha : float
        Of the family.
    sides : {1, 2}

    Raises
    ------
    RctError
        If there is no arm or an argument is out of range.
    """
    from scipy.special import ndtr

    check_finite(**{f"expected_z[{place}]": z for place, z in enumerate(expected_z)})
    critical = dunnett_critical_value(
        len(expected_z), control_over_arm=control_over_arm, alpha=alpha, sides=sides
    )
    delta = np.array(expected_z, dtype=float)
    u, weights = _standard_normal()
    missed = _inside(u[:, np.newaxis], delta, critical, control_over_arm, sides)
    lower = ndtr(-critical - delta) if sides == 2 else 0
    return DunnettPower(
        expected_z=tuple(map(float, delta)), control_over_arm=control_over_arm, alpha=alpha, sides=sides,
        critical_value=critical, power=tuple(map(float, ndtr(delta - critical) + lower)),
        any=float(1 - weights @ missed.prod(axis=1)), all=float(weights @ (1 - missed).prod(axis=1)),
    )  # fmt: skip


def dunnett_critical_value(
    arms: int,
    *,
    control_over_arm: float = 1.0,
    alpha: float = 0.05,
    sides: Literal[1, 2] = 2,
    df: float | None = None,
) -> float:
    """Give Dunnett's critical value for arms against one control.

    The c with ``P(max |T| ≤ c) = 1 − alpha``, an integral over the shared control and, with `df`, over
    the pooled standard deviation √(χ²/df) (Dunnett 1955; 1964).

    Parameters
    ----------
    arms : int
        Without the control.
    control_over_arm, alpha, sides
        As in `dunnett`.
    df : float, optional
        Of the pooled variance; None: known (normal).

    Raises
    ------
    RctError
        If there is no arm or an argument is out of range.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri, stdtrit

    check_levels(alpha, None)
    check_positive(control_over_arm=control_over_arm, df=df)
    check_choice("sides", sides, Literal[1, 2])
    if arms < 1:
        raise RctError("Dunnett's comparisons need at least one arm beside the control")
    u, weights = _standard_normal()
    scales, shares = (np.ones(1), np.ones(1)) if df is None else _pooled_sd(df)
    zero = np.zeros(1)

    def gap(c: float) -> float:
        inside = _inside(u[:, np.newaxis], zero, c * scales, control_over_arm, sides)
        return float(weights @ inside**arms @ shares) - (1 - alpha)

    def point(tail: float) -> float:
        return float(-ndtri(tail) if df is None else -stdtrit(df, tail))

    low, high = point(alpha / sides), point(alpha / sides / arms)
    return float(brentq(gap, low - 1e-6, high + 1e-6, xtol=1e-12))


def _inside(
    u: "NDArray[np.float64]",
    delta: "NDArray[np.float64]",
    critical: "float | NDArray[np.float64]",
    control_over_arm: float,
    sides: Literal[1, 2],
) -> "NDArray[np.float64]":
    """Give P(comparison within its critical value | U)."""
    from scipy.special import ndtr

    rho = 1 / (1 + control_over_arm)
    shift, own = np.sqrt(rho) * u + delta, np.sqrt(1 - rho)
    upper = ndtr((critical - shift) / own)
    return upper - ndtr((-critical - shift) / own) if sides == 2 else upper


def _standard_normal() -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    x, w = np.polynomial.legendre.leggauss(160)
    u = 9 * x
    return u, 9 * w * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)


def _pooled_sd(df: float) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """Give nodes and shares of √(χ²/df)."""
    from scipy.stats import chi2

    x, w = np.polynomial.legendre.leggauss(120)
    low, high = np.sqrt(chi2.ppf(1e-14, df) / df), np.sqrt(chi2.isf(1e-14, df) / df)
    s = (low + high) / 2 + (high - low) / 2 * x
    shares = (high - low) / 2 * w * chi2.pdf(df * s**2, df) * 2 * df * s
    return s, shares / shares.sum()
