"""Negative binomial regression with the random effects of Hausman, Hall & Griliches (1984, section 3).

A unit's counts are negative binomial with size λ = exposure · exp(xβ) and a probability p of its own, drawn
from a beta distribution (r, s): Poisson counts whose gamma rates have a scale of the unit's own. The mean is
proportional to λ, so β is a log rate ratio. Stata's `xtnbreg, re` fits it. With Λ and Y the unit's sums of λ
and of counts, its likelihood is B(r + Λ, s + Y) / B(r, s) · Π Γ(λ + y) / (Γ(λ) y!).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import ConvergenceError
from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.pooled_rates import PooledRates

STEP = 1e-4
TOLERANCE = 1e-8
MAX_ITERATIONS = 60
DIVERGED = 25.0


@dataclass(frozen=True)
class BetaFit:
    """Maximum-likelihood fit; r and s of the beta distribution."""

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    r: float
    s: float
    log_likelihood: float


def fit_beta_dispersions(pooled: PooledRates, start: NDArray[np.float64]) -> BetaFit:
    """Maximize over coefficients, log r and log s: quasi-Newton first, then Newton.

    Raises
    ------
    ConvergenceError
        No maximum that the iterations reach.
    """
    from scipy.optimize import minimize

    def negative(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, score = _likelihood(pooled, point)
        return -value, -score

    point = minimize(
        negative,
        np.r_[start, 1.0, 1.0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(-DIVERGED, DIVERGED)] * (len(start) + 2),
    ).x
    for _ in range(MAX_ITERATIONS):
        information = _information(pooled, point)
        if np.max(np.abs(point)) >= DIVERGED or np.linalg.eigvalsh(information)[0] <= 0:
            break
        step = np.linalg.solve(information, _likelihood(pooled, point)[1])
        point = point + step / max(1.0, float(np.max(np.abs(step))))
        if np.max(np.abs(step)) < TOLERANCE:
            covariance = np.asarray(np.linalg.inv(information), dtype=float)[:-2, :-2]
            r, s = np.exp(point[-2:])
            return BetaFit(point[:-2], covariance, float(r), float(s), _likelihood(pooled, point)[0])
    raise ConvergenceError(
        "the negative binomial likelihood with random effects has no maximum that the iterations reach: the"
        ' spread of the units\' dispersion is not identified by these counts. Use random_effects="normal", or'
        ' poisson(random_effects="gamma")'
    )


def _likelihood(pooled: PooledRates, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    from scipy.special import betaln, digamma, gammaln

    r, s = np.exp(point[-2:])
    y = pooled.counts
    size = pooled.exposure * np.exp((pooled.design @ point[:-2])[pooled.pattern])
    sizes, total = sums_by_code(pooled.unit, size), sums_by_code(pooled.unit, y)
    value = np.sum(betaln(r + sizes, s + total) - betaln(r, s))
    value += np.sum(gammaln(size + y) - gammaln(size) - gammaln(y + 1))
    everything = digamma(r + s + sizes + total)
    both = digamma(r + s) - everything
    slope = (digamma(r + sizes) - everything)[pooled.unit] + digamma(size + y) - digamma(size)
    by_pattern = sums_by_code(pooled.pattern, slope * size, len(pooled.design))
    ends = [
        r * np.sum(both + digamma(r + sizes) - digamma(r)),
        s * np.sum(both + digamma(s + total) - digamma(s)),
    ]
    return float(value), np.r_[pooled.design.T @ by_pattern, ends]


def _information(pooled: PooledRates, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Observed information, by central differences of the score."""
    rows = [
        (_likelihood(pooled, point - own)[1] - _likelihood(pooled, point + own)[1]) / (2 * STEP)
        for own in np.eye(len(point)) * STEP
    ]
    return (np.array(rows) + np.array(rows).T) / 2
