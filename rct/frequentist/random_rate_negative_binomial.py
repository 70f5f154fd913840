"""Negative binomial regression with log-normal rates of units, by Laplace's approximation.

With ℓ(η) the log-likelihood of a row and u the unit's log rate, h = Σ ℓ(xβ + u) − u²/2σ²; at its mode the
unit contributes h − log σ − ½ log(−h″), and the slope in β is Σ x [ℓ′ − (ℓ‴ − (Σℓ‴) ℓ″/h″) / 2h″] (Breslow &
Clayton 1993; Skaug & Fournier 2006).
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

STEP = 1e-3
TOLERANCE = 1e-8
MAX_ITERATIONS = 100
DIVERGED = 12.0


@dataclass(frozen=True)
class MixedFit:
    """Maximum of the approximated likelihood; spread is the standard deviation of the log rates."""

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    spread: float
    dispersion: float
    log_likelihood: float


@dataclass(frozen=True)
class _Laplace:
    """Value, slope in the coefficients, mode (units,), curvature (rows,) −ℓ″, and precision 1/σ²."""

    value: float
    score: NDArray[np.float64]
    mode: NDArray[np.float64]
    curvature: NDArray[np.float64]
    precision: float


def fit_normal_rates(pooled: PooledRates, start: NDArray[np.float64], dispersion: float) -> MixedFit:
    """Alternate between coefficients and the two variances, then difference the slopes once for information.

    Parameters
    ----------
    start, dispersion : the fit without random rates

    Raises
    ------
    ConvergenceError
        No maximum that the iterations reach, as where either variance is zero.
    """
    coefficients = start
    variances = np.array([np.log(0.5), -np.log(max(dispersion, 1e-2))])
    at = _laplace(pooled, coefficients, variances, np.zeros(int(pooled.unit.max()) + 1))
    for _ in range(MAX_ITERATIONS):
        step = np.linalg.solve(_joint_information(pooled, at), at.score)
        coefficients = coefficients + step / max(1.0, float(np.max(np.abs(step))))
        change = _variance_step(pooled, coefficients, variances, at.mode)
        variances = variances + change
        at = _laplace(pooled, coefficients, variances, at.mode)
        if np.max(np.abs(variances)) > DIVERGED:
            break
        if max(np.max(np.abs(step)), np.max(np.abs(change))) < TOLERANCE:
            covariance = _covariance(pooled, coefficients, variances, at.mode)
            spread, size = np.exp(variances)
            return MixedFit(coefficients, covariance, float(spread), float(1 / size), at.value)
    raise ConvergenceError(
        "the negative binomial likelihood with random rates has no maximum that the iterations reach: these"
        " counts do not tell the spread of the units' rates from overdispersion. Leave random_effects out, or"
        ' use poisson(random_effects="normal")'
    )


def _laplace(
    pooled: PooledRates,
    coefficients: NDArray[np.float64],
    variances: NDArray[np.float64],
    mode: NDArray[np.float64],
) -> _Laplace:
    from scipy.special import gammaln

    y, unit, (spread, size) = pooled.counts, pooled.unit, np.exp(variances)
    precision = spread**-2
    fixed = (pooled.design @ coefficients)[pooled.pattern] + np.log(pooled.exposure)
    for _ in range(MAX_ITERATIONS):
        mean = np.exp(fixed + mode[unit])
        slope = size * (y - mean) / (size + mean)
        curvature = mean * size * (size + y) / (size + mean) ** 2
        total = sums_by_code(unit, curvature) + precision
        step = (sums_by_code(unit, slope) - precision * mode) / total
        mode = mode + np.clip(step, -2, 2)
        if np.max(np.abs(step)) < 1e-12:
            break
    mean = np.exp(fixed + mode[unit])
    slope = size * (y - mean) / (size + mean)
    curvature = mean * size * (size + y) / (size + mean) ** 2
    third = -curvature * (size - mean) / (size + mean)
    total = sums_by_code(unit, curvature) + precision
    each = (
        gammaln(y + size) - gammaln(size) - gammaln(y + 1) + size * np.log(size / (size + mean))
        + y * (np.log(mean) - np.log(size + mean))
    )  # fmt: skip
    value = (
        each.sum() - precision * np.sum(mode**2) / 2 - len(mode) * np.log(spread) - np.log(total).sum() / 2
    )
    tilt = sums_by_code(unit, third) / total
    weight = slope + (third - (tilt[unit]) * curvature) / (2 * total[unit])
    score = pooled.design.T @ sums_by_code(pooled.pattern, weight, len(pooled.design))
    return _Laplace(float(value), score, mode, curvature, float(precision))


def _joint_information(pooled: PooledRates, at: _Laplace) -> NDArray[np.float64]:
    """Information of the coefficients with the modes swept out: close to that of the approximation."""
    from scipy.sparse import csr_array

    shape = (len(at.mode), len(pooled.design))
    weight = csr_array((at.curvature, (pooled.unit, pooled.pattern)), shape=shape)
    by_pattern = sums_by_code(pooled.pattern, at.curvature, len(pooled.design))
    sums = np.asarray(weight @ pooled.design)
    total = sums_by_code(pooled.unit, at.curvature) + at.precision
    return np.asarray(
        (pooled.design * by_pattern[:, None]).T @ pooled.design - sums.T @ (sums / total[:, None])
    )


def _variance_derivatives(
    pooled: PooledRates,
    coefficients: NDArray[np.float64],
    variances: NDArray[np.float64],
    mode: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and information in the two log variances, by central differences."""

    def value(*shift: float) -> float:
        return _laplace(pooled, coefficients, variances + STEP * np.array(shift), mode).value

    here = value(0, 0)
    ends = [(value(1, 0), value(-1, 0)), (value(0, 1), value(0, -1))]
    slope = np.array([up - down for up, down in ends]) / (2 * STEP)
    curve = -np.diag([up - 2 * here + down for up, down in ends]) / STEP**2
    cross = -(value(1, 1) - value(1, -1) - value(-1, 1) + value(-1, -1)) / (4 * STEP**2)
    return slope, curve + cross * np.array([[0, 1], [1, 0]])


def _variance_step(
    pooled: PooledRates,
    coefficients: NDArray[np.float64],
    variances: NDArray[np.float64],
    mode: NDArray[np.float64],
) -> NDArray[np.float64]:
    slope, information = _variance_derivatives(pooled, coefficients, variances, mode)
    concave = np.linalg.eigvalsh(information)[0] > 0
    step = np.linalg.solve(information, slope) if concave else np.sign(slope) / 2
    return np.asarray(np.clip(step, -0.5, 0.5))


def _covariance(
    pooled: PooledRates,
    coefficients: NDArray[np.float64],
    variances: NDArray[np.float64],
    mode: NDArray[np.float64],
) -> NDArray[np.float64]:
    n = len(coefficients)

    def score(shift: NDArray[np.float64]) -> NDArray[np.float64]:
        return _laplace(pooled, coefficients + shift[:n], variances + shift[n:], mode).score

    information = np.zeros((n + 2, n + 2))
    for number, own in enumerate(np.eye(n + 2) * STEP):
        information[number, :n] = -(score(own) - score(-own)) / (2 * STEP)
    information[:n, n:] = information[n:, :n].T
    information[n:, n:] = _variance_derivatives(pooled, coefficients, variances, mode)[1]
    return np.asarray(np.linalg.inv((information + information.T) / 2))[:n, :n]
