"""Negative binomial regression by maximum likelihood (NB2: variance μ + αμ²).

Estimand: the intention-to-treat incidence rate ratio, constant over time. Unlike the Poisson estimate it is
consistent only where the variance is what the model says (Cameron & Trivedi 2013, § 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import ConvergenceError
from rct.frequentist.asked_options import require_one_of
from rct.frequentist.beta_dispersions import fit_beta_dispersions
from rct.frequentist.pooled_rates import Inference, pooled_rates, rate_estimates
from rct.frequentist.random_rate_negative_binomial import fit_normal_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.estimates import Estimate, Estimates
    from rct.frequentist.pooled_rates import PooledRates
    from rct.panel import Panel

EFFECTS = {
    None: "",
    "gamma": ", random effects of unit (gamma rates, beta-distributed dispersion)",
    "normal": ", normal random effects of unit (Laplace)",
}
STEP_TOLERANCE = 1e-10
MAX_ITERATIONS = 200
DIVERGED = 30.0


def negative_binomial(
    panel: Panel,
    outcome: str,
    *,
    fixed_effects: Sequence[str] = ("period",),
    covariates: Sequence[str] = (),
    random_effects: Literal["gamma", "normal"] | None = None,
    level: float = 0.95,
) -> Estimate | Estimates:
    """Estimate the log incidence rate ratio of treatment with overdispersed counts.

    Parameters
    ----------
    panel : Panel
    outcome : str
        A count.
    fixed_effects : sequence of str
        "period", "block:period" or other columns of the panel; not "unit".
    covariates : sequence of str
        Numeric columns that enter linearly.
    random_effects : {None, "gamma", "normal"}
        "gamma": the model of Hausman, Hall & Griliches (Stata's ``xtnbreg, re``): gamma rates whose scale,
        and so whose dispersion, differs by unit after a beta distribution. "normal": log-normal rates of the
        units beside one dispersion, by Laplace's approximation.
    level : float

    Returns
    -------
    Estimate or Estimates
        One Estimate for one arm, else Estimates; log scale, standard errors from the observed information of
        all parameters, normal limits. `notes` hold the dispersion α and the log-likelihood.

    Raises
    ------
    DataError
        Fractional counts, an unknown column, or a covariate that is no number.
    EstimationError
        The effect does not exist in this design or sample.
    ConvergenceError
        The likelihood has no finite maximum.
    """
    require_one_of("random_effects", random_effects, tuple(EFFECTS))
    pooled = pooled_rates(
        panel,
        outcome,
        model=f"negative binomial{EFFECTS[random_effects]}",
        fixed_effects=fixed_effects,
        covariates=covariates,
        level=level,
    )
    fit = _fit(_cells(pooled))
    notes = {"dispersion": fit.dispersion, "log_likelihood": fit.log_likelihood}
    coefficients, covariance = fit.coefficients, fit.covariance
    if random_effects == "normal":
        mixed = fit_normal_rates(pooled, fit.coefficients, fit.dispersion)
        notes = {"dispersion": mixed.dispersion, "log_likelihood": mixed.log_likelihood}
        notes["random_effects_sd"] = mixed.spread
        coefficients, covariance = mixed.coefficients, mixed.covariance
    if random_effects == "gamma":
        beta = fit_beta_dispersions(pooled, fit.coefficients)
        notes = {"beta_r": beta.r, "beta_s": beta.s, "log_likelihood": beta.log_likelihood}
        coefficients, covariance = beta.coefficients, beta.covariance
    inference = Inference(
        covariance=covariance,
        name="model-based (observed information), normal",
        n_clusters=int(pooled.unit.max()) + 1,
        warning=_warning(pooled, random_effects),
    )
    return rate_estimates(pooled, coefficients, inference, notes)


def _warning(pooled: PooledRates, random_effects: str | None) -> str:
    units = int(pooled.unit.max()) + 1
    if random_effects is None:
        alike = "model-based standard errors take the rows of a unit as independent"
        return alike if len(pooled.counts) > units else ""
    together = "model-based standard errors ignore that units of a cluster move together"
    return together if int(pooled.sample.clusters("cluster").max()) + 1 < units else ""


@dataclass(frozen=True)
class _Cells:
    """Rows with equal design, exposure and count, once each.

    design : (cells, columns); counts, exposure, weight : (cells,), weight the number of rows
    """

    design: NDArray[np.float64]
    counts: NDArray[np.float64]
    exposure: NDArray[np.float64]
    weight: NDArray[np.float64]


def _cells(pooled: PooledRates) -> _Cells:
    keys = np.column_stack([pooled.pattern, pooled.exposure, pooled.counts])
    unique, weight = np.unique(keys, axis=0, return_counts=True)
    return _Cells(pooled.design[unique[:, 0].astype(int)], unique[:, 2], unique[:, 1], weight.astype(float))


def poisson_start(pooled: PooledRates) -> NDArray[np.float64]:
    """Give the coefficients of the Poisson model (no dispersion)."""
    return _coefficients(_cells(pooled), np.inf, np.zeros(pooled.design.shape[1]))


@dataclass(frozen=True)
class _Fit:
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    dispersion: float
    log_likelihood: float


def _fit(cells: _Cells) -> _Fit:
    """Alternate between coefficients and size k = 1/α, which are orthogonal in expected information.

    Where counts vary no more than Poisson counts do, the maximum lies at α = 0.
    """
    from scipy.special import gammaln

    start = np.zeros(cells.design.shape[1])
    coefficients = _coefficients(cells, np.inf, start)
    mean = _mean(cells, coefficients)
    constant = cells.weight @ gammaln(cells.counts + 1)
    excess = cells.weight @ ((cells.counts - mean) ** 2 - cells.counts)
    if excess <= 0:
        information = (cells.design * (cells.weight * mean)[:, None]).T @ cells.design
        likelihood = cells.weight @ (cells.counts * np.log(mean) - mean) - constant
        return _Fit(coefficients, np.asarray(np.linalg.inv(information), dtype=float), 0.0, float(likelihood))
    log_size = float(np.log(cells.weight @ mean**2 / excess))
    for _ in range(MAX_ITERATIONS):
        step = _size_step(cells, mean, np.exp(log_size))
        log_size += step
        updated = _coefficients(cells, np.exp(log_size), coefficients)
        change = np.max(np.abs(updated - coefficients))
        coefficients, mean = updated, _mean(cells, updated)
        if abs(step) < STEP_TOLERANCE and change < STEP_TOLERANCE:
            size = float(np.exp(log_size))
            inverse = np.asarray(np.linalg.inv(_observed_information(cells, mean, size)), dtype=float)
            return _Fit(coefficients, inverse[:-1, :-1], 1 / size, _log_likelihood(cells, mean, size))
    raise ConvergenceError(
        "the negative binomial likelihood has no maximum that the iterations reach: the dispersion is not"
        " identified by these counts. Use poisson, whose robust standard errors allow for overdispersion"
    )


def _mean(cells: _Cells, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    return cells.exposure * np.exp(cells.design @ coefficients)


def _coefficients(cells: _Cells, size: float, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fisher scoring at a given size; an infinite size is the Poisson model."""
    coefficients = start
    if not coefficients.any():
        share = cells.weight @ cells.counts / (cells.weight @ cells.exposure)
        coefficients = np.linalg.lstsq(cells.design, np.full(len(cells.design), np.log(share)), rcond=None)[0]
    for _ in range(MAX_ITERATIONS):
        mean = _mean(cells, coefficients)
        shrink = 1.0 if np.isinf(size) else size / (size + mean)
        score = cells.design.T @ (cells.weight * shrink * (cells.counts - mean))
        information = (cells.design * (cells.weight * shrink * mean)[:, None]).T @ cells.design
        step = np.linalg.solve(information, score)
        step /= max(1.0, float(np.max(np.abs(step))) / 2)
        coefficients = coefficients + step
        if np.max(np.abs(step)) < STEP_TOLERANCE:
            return coefficients
        if np.max(np.abs(coefficients)) > DIVERGED + np.max(np.abs(np.log(cells.exposure))):
            break
    raise ConvergenceError(
        "the likelihood has no finite maximum: some combination of terms predicts that no event happens"
        " (separation). Pool arms or periods with few events, or drop the covariate at fault."
    )


def _size_derivatives(
    cells: _Cells, mean: NDArray[np.float64], size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and second derivative of each cell's log-likelihood in k."""
    from scipy.special import digamma, polygamma

    total = mean + size
    first = (
        digamma(cells.counts + size)
        - digamma(size)
        + np.log(size / total)
        + 1
        - (cells.counts + size) / total
    )
    second = (
        polygamma(1, cells.counts + size)
        - polygamma(1, size)
        + 1 / size
        - 2 / total
        + (cells.counts + size) / total**2
    )
    return first, second


def _size_step(cells: _Cells, mean: NDArray[np.float64], size: float) -> float:
    """Newton's step in log k, cut to one, uphill where the likelihood is not concave."""
    first, second = _size_derivatives(cells, mean, size)
    slope = float(size * (cells.weight @ first))
    curvature = float(size**2 * (cells.weight @ second)) + slope
    step = -slope / curvature if curvature < 0 else np.sign(slope)
    return float(np.clip(step, -1, 1))


def _observed_information(cells: _Cells, mean: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """Information of coefficients and log k, where its score is zero."""
    total = mean + size
    weight = cells.weight * mean * size * (size + cells.counts) / total**2
    own = (cells.design * weight[:, None]).T @ cells.design
    cross = -size * cells.design.T @ (cells.weight * (cells.counts - mean) * mean / total**2)
    first, second = _size_derivatives(cells, mean, size)
    corner = -(size**2 * (cells.weight @ second) + size * (cells.weight @ first))
    return np.block([[own, cross[:, None]], [cross[None], np.array([[corner]])]])


def _log_likelihood(cells: _Cells, mean: NDArray[np.float64], size: float) -> float:
    from scipy.special import gammaln

    each = (
        gammaln(cells.counts + size)
        - gammaln(size)
        - gammaln(cells.counts + 1)
        + size * np.log(size)
        + cells.counts * np.log(mean)
        - (cells.counts + size) * np.log(mean + size)
    )
    return float(cells.weight @ each)
