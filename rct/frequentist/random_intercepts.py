"""Poisson regression with a random rate for each unit, integrated out of the likelihood.

Given a unit's rate multiplier b its counts are Poisson, so the unit enters through its total Y and the sum M
of its expected counts alone: log ∫ b^Y exp(−bM) dF(b). With b gamma (mean one, variance 1/k) the integral is
closed (Hausman, Hall & Griliches 1984); with log b normal (mean zero) it is Laplace's approximation or
adaptive Gauss–Hermite quadrature (Pinheiro & Bates 1995). Estimand: the incidence rate ratio given the unit,
consistent where units' rates do not depend on their treatment, as randomization makes sure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import ConvergenceError
from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

Distribution = Literal["gamma", "normal"]
# log-integral (units,) of totals, sums of expected counts, and the log of the standard deviation of the rates
LogIntegral = Callable[["NDArray[np.float64]", "NDArray[np.float64]", float], "NDArray[np.float64]"]

STEP = 2e-3
TOLERANCE = 1e-9
MAX_ITERATIONS = 200
NO_VARIATION = -12.0
DIVERGED = 30.0


@dataclass(frozen=True)
class UnitTotals:
    """Units that share exposure and design in every row are summed over one path of cells.

    design : (cells, columns); exposure : (cells,) of one unit; path : (cells,) codes of the paths
    events : (columns,) the design summed over all events
    total : (units,) events of each unit; unit_path : (units,) its path
    constant : part of the log-likelihood without parameters
    """

    design: NDArray[np.float64]
    exposure: NDArray[np.float64]
    path: NDArray[np.intp]
    events: NDArray[np.float64]
    total: NDArray[np.float64]
    unit_path: NDArray[np.intp]
    constant: float


@dataclass(frozen=True)
class RandomInterceptFit:
    """Maximum-likelihood fit; `spread` is the standard deviation of the rates, 0 at the boundary."""

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    spread: float
    log_likelihood: float


def unit_totals(
    counts: NDArray[np.float64],
    exposure: NDArray[np.float64],
    unit: NDArray[np.intp],
    pattern: NDArray[np.intp],
    design: NDArray[np.float64],
) -> UnitTotals:
    """Sum rows, sorted by unit, to what the likelihood needs.

    Parameters
    ----------
    counts, exposure, unit : (rows,)
    pattern : (rows,) row of `design` (patterns, columns) that each row has
    """
    from scipy.special import gammaln

    code = pattern * (len(np.unique(exposure)) + 1) + np.unique(exposure, return_inverse=True)[1]
    first = np.flatnonzero(np.diff(unit, prepend=-1))
    paths: dict[bytes, int] = {}
    unit_path = np.array(
        [paths.setdefault(own.tobytes(), len(paths)) for own in np.split(code, first[1:])], dtype=np.intp
    )
    example = np.unique(unit_path, return_index=True)[1]
    length = np.diff(first, append=len(unit))
    cells = np.concatenate([np.arange(first[i], first[i] + length[i]) for i in example])
    by_pattern = sums_by_code(pattern, counts, len(design))
    return UnitTotals(
        design=design[pattern[cells]],
        exposure=exposure[cells],
        path=np.repeat(np.arange(len(example)), length[example]),
        events=design.T @ by_pattern,
        total=sums_by_code(unit, counts),
        unit_path=unit_path,
        constant=float(counts @ np.log(exposure) - gammaln(counts + 1).sum()),
    )


def fit_random_intercepts(
    data: UnitTotals, distribution: Distribution, quadrature: int, start: NDArray[np.float64]
) -> RandomInterceptFit:
    """Maximize the marginal likelihood by Newton's method on coefficients and log standard deviation.

    Parameters
    ----------
    start : (columns,) the Poisson fit without random rates
    quadrature : points for a normal distribution; 1 is Laplace's approximation

    Raises
    ------
    ConvergenceError
        No maximum that the iterations reach.
    """
    integral = _gamma if distribution == "gamma" else _normal(quadrature)
    mean = _sums(data, start)[0]
    excess = np.sum((data.total - mean) ** 2 - data.total)
    if excess <= 0:
        # The likelihood falls as soon as rates vary: its slope in their variance is half the excess.
        derivatives = _derivatives(data, _gamma, start, NO_VARIATION)
        return RandomInterceptFit(
            start,
            np.asarray(np.linalg.inv(derivatives.information[:-1, :-1]), dtype=float),
            0.0,
            derivatives.value,
        )
    spread = 0.5 * np.log(excess / np.sum(mean**2))
    point = np.r_[start, np.clip(spread, -2.0, 1.0)]
    return _maximize(data, integral, point)


def _maximize(data: UnitTotals, integral: LogIntegral, point: NDArray[np.float64]) -> RandomInterceptFit:
    found = _derivatives(data, integral, point[:-1], point[-1])
    for _ in range(MAX_ITERATIONS):
        step = _uphill(found)
        step /= max(1.0, float(np.max(np.abs(step))))
        size = float(np.max(np.abs(step)))
        for _halving in range(30):
            trial = _derivatives(data, integral, point[:-1] + step[:-1], point[-1] + step[-1])
            if trial.value >= found.value - 1e-9 * abs(found.value):
                break
            step = step / 2
        point, found = point + step, trial
        if size < TOLERANCE:
            covariance = np.asarray(np.linalg.inv(found.information), dtype=float)[:-1, :-1]
            return RandomInterceptFit(point[:-1], covariance, float(np.exp(point[-1])), found.value)
        if np.max(np.abs(point)) > DIVERGED:
            break
    raise ConvergenceError(
        "the likelihood with random rates has no maximum that the iterations reach: some combination of terms"
        " predicts that no event happens (separation), or the spread of the rates is not identified by these"
        ' counts. Use fixed_effects=("unit", "period") without random_effects'
    )


def _uphill(found: _Derivatives) -> NDArray[np.float64]:
    """Newton's step, or Newton's for the coefficients alone where the likelihood is not concave."""
    try:
        np.linalg.cholesky(found.information)
    except np.linalg.LinAlgError:
        own = np.linalg.solve(found.concave, found.score[:-1])
        return np.r_[own, 0.5 * np.sign(found.score[-1])]
    return np.asarray(np.linalg.solve(found.information, found.score))


@dataclass(frozen=True)
class _Derivatives:
    """Log-likelihood, score and observed information; `concave` is the Poisson part of the coefficients'."""

    value: float
    score: NDArray[np.float64]
    information: NDArray[np.float64]
    concave: NDArray[np.float64]


def _sums(
    data: UnitTotals, coefficients: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sums of expected counts (units,), expected counts (cells,), and the design's sums (paths, columns)."""
    fitted = data.exposure * np.exp(data.design @ coefficients)
    n_paths = int(data.path.max()) + 1
    slopes = np.zeros((n_paths, data.design.shape[1]))
    np.add.at(slopes, data.path, fitted[:, None] * data.design)
    return sums_by_code(data.path, fitted)[data.unit_path], fitted, slopes


def _derivatives(
    data: UnitTotals, integral: LogIntegral, coefficients: NDArray[np.float64], spread: float
) -> _Derivatives:
    """Chain rule through m = log M; the integral's derivatives in m and in the spread by differences.

    Five-point differences of a smooth function: their error is far below the tolerance of the fit.
    """
    mean, fitted, slopes = _sums(data, coefficients)
    n_paths = len(slopes)
    path_mean = sums_by_code(data.path, fitted)
    grid = {
        (i, j): integral(data.total, mean * np.exp(STEP * i), spread + STEP * j)
        for i in range(-2, 3)
        for j in range(-2, 3)
        if abs(i) == abs(j) or i == 0 or j == 0
    }
    first_m, second_m = _along(grid, lambda i: (i, 0))
    first_s, second_s = _along(grid, lambda j: (0, j))
    cross = (
        16 * (grid[1, 1] - grid[1, -1] - grid[-1, 1] + grid[-1, -1])
        - (grid[2, 2] - grid[2, -2] - grid[-2, 2] + grid[-2, -2])
    ) / (48 * STEP**2)
    relative = slopes / path_mean[:, None]
    slope, curve, mixed = (sums_by_code(data.unit_path, own, n_paths) for own in (first_m, second_m, cross))
    # d²m/dβ² = Σ fitted x x' / M − (dm/dβ)(dm/dβ)'
    weight = (-slope / path_mean)[data.path] * fitted
    concave = (data.design * weight[:, None]).T @ data.design
    own = concave - (relative * (curve - slope)[:, None]).T @ relative
    side = -relative.T @ mixed
    score = np.r_[data.events + relative.T @ slope, first_s.sum()]
    corner = np.array([[-second_s.sum()]])
    value = float(data.events @ coefficients + grid[0, 0].sum()) + data.constant
    return _Derivatives(value, score, np.block([[own, side[:, None]], [side[None], corner]]), concave)


def _along(
    grid: dict[tuple[int, int], NDArray[np.float64]], at: Callable[[int], tuple[int, int]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    far_down, down, here, up, far_up = (grid[at(i)] for i in (-2, -1, 0, 1, 2))
    first = (far_down - 8 * down + 8 * up - far_up) / (12 * STEP)
    second = (-far_down + 16 * down - 30 * here + 16 * up - far_up) / (12 * STEP**2)
    return first, second


def _gamma(total: NDArray[np.float64], mean: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Hausman, Hall & Griliches 1984, eq. 2.3: Γ(k+Y)/Γ(k) k^k / (k+M)^(k+Y) with k = 1/spread²."""
    from scipy.special import gammaln

    k = np.exp(-2 * spread)
    return np.asarray(gammaln(k + total) - gammaln(k) - total * np.log(k + mean) - k * np.log1p(mean / k))


def _normal(quadrature: int) -> LogIntegral:
    nodes, weights = np.polynomial.hermite.hermgauss(quadrature)
    log_weights = np.log(weights) + nodes**2

    def integral(total: NDArray[np.float64], mean: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
        """Integrate over u = σz with nodes centred and scaled at the mode of each unit."""
        precision = np.exp(-2 * spread)
        mode = _mode(total, mean, precision)
        curvature = mean * np.exp(mode) + precision
        width = np.sqrt(2 / curvature)
        u = mode[:, None] + width[:, None] * nodes
        log_joint = total[:, None] * u - mean[:, None] * np.exp(u) - precision * u**2 / 2 + log_weights
        top = log_joint.max(axis=1)
        summed = np.log(np.exp(log_joint - top[:, None]).sum(axis=1))
        return np.asarray(top + summed + np.log(width) - spread - 0.5 * np.log(2 * np.pi))

    return integral


def _mode(total: NDArray[np.float64], mean: NDArray[np.float64], precision: float) -> NDArray[np.float64]:
    """Solve Y − M exp(u) − u/σ² = 0; from the right of the root Newton's steps stay on its right."""
    u = np.maximum(0.0, np.log((total + 1e-300) / mean))
    for _ in range(MAX_ITERATIONS):
        fitted = mean * np.exp(u)
        step = (total - fitted - precision * u) / (fitted + precision)
        u = u + step
        if np.max(np.abs(step)) < 1e-13:
            break
    return np.asarray(u)
