"""Conditional and predictive power at an interim look."""

import math
from collections.abc import Sequence

import numpy as np

from rct.errors import RctError
from rct.power.recursive_integration import crossings, walk_from
from rct.power.solving import check_finite, check_positive


def conditional_power(
    z: float,
    *,
    information: Sequence[float],
    bounds: Sequence[float],
    drift: float | None = None,
) -> tuple[float, ...]:
    """Give the probability to have crossed by each later look, given Z at this one.

    With one look left Φ((z √t + θ (1 − t) − c)/√(1 − t)) (Lan, Simon & Halperin 1982; Jennison & Turnbull
    2000, ch. 10), with several by recursive integration: S = Z √t has independent increments with mean θ
    times the added information. No stopping for futility.

    Parameters
    ----------
    z : float
        Statistic now, its sign chosen so that benefit is positive.
    information : sequence of float
        Of this look and the later ones, fractions of the largest; the last 1.
    bounds : sequence of float
        Critical values of the later looks, benefit positive.
    drift : float, optional
        θ, the expected Z at the largest information: the design's (`GroupSequential.drift`), 0 for no
        effect; None: the current trend, z/√t.

    Returns
    -------
    tuple of float
        One per later look, cumulative: the last is the conditional power.

    Raises
    ------
    RctError
        If the information does not increase to 1 or there is not one bound for each later look.
    """
    check_finite(z=z, drift=drift)
    now, *later = information
    if not later or len(later) != len(bounds):
        raise RctError("give the information of this look and of every later one, and a bound for each later")
    if not np.all(np.diff([0.0, now, *later]) > 1e-9) or abs(later[-1] - 1) > 1e-9:
        raise RctError(f"the information of the looks must increase from above 0 to 1, and is {information}")
    drift = z / math.sqrt(now) if drift is None else drift
    none = [-math.inf] * len(later)
    crossed = crossings(later, none, list(bounds), drift=drift, start=walk_from(now, z))
    return tuple(map(float, crossed[:, 0].cumsum()))


def predictive_power(
    estimate: float,
    *,
    information_fraction: float,
    final_variance: float,
    final_bound: float,
    prior_mean: float | None = None,
    prior_sd: float | None = None,
) -> float:
    """Give the probability that the final Z will pass its bound, the effect drawn from its posterior.

    Spiegelhalter, Freedman & Blackburn (1986): estimate ~ N(θ, v/t) now, N(θ, v) at the end; θ ~ N(m, s²) or
    flat. Given the data the final estimate is normal with mean t x + (1 − t) E(θ | x) and variance
    (1 − t)² Var(θ | x) + (1 − t) v; for a flat prior this is Φ((z/√t − c) √(t/(1 − t))).

    Parameters
    ----------
    estimate : float
        Interim estimate, its sign chosen so that benefit is positive (minus the log rate ratio).
    information_fraction : float
        t, information now over that at the end.
    final_variance : float
        v, variance of the final estimate.
    final_bound : float
        c, critical value of the final Z.
    prior_mean, prior_sd : float, optional
        Both None: flat.

    Raises
    ------
    RctError
        If an argument is out of range or one of the prior's two is missing.
    """
    from scipy.special import ndtr

    check_finite(estimate=estimate, final_bound=final_bound, prior_mean=prior_mean)
    check_positive(final_variance=final_variance, prior_sd=prior_sd)
    if not 0 < information_fraction < 1:
        raise RctError(f"information_fraction must lie between 0 and 1, not {information_fraction}")
    if (prior_mean is None) != (prior_sd is None):
        raise RctError("a prior needs its mean and its sd, or neither: flat")
    t, v = information_fraction, final_variance
    precision = t / v + (0 if prior_sd is None else 1 / prior_sd**2)
    pull = 0.0 if prior_mean is None or prior_sd is None else prior_mean / prior_sd**2
    mean = (estimate * t / v + pull) / precision
    spread = math.sqrt((1 - t) ** 2 / precision + (1 - t) * v)
    return float(ndtr((t * estimate + (1 - t) * mean - final_bound * math.sqrt(v)) / spread))
