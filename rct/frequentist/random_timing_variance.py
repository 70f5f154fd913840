"""The efficient estimator under random treatment timing, from cohort means and covariances.

theta(beta) = sum_g (A_theta,g − beta A_0,g) Ybar_g; the variance-minimizing beta is
Var(X)^−1 Cov(X, theta(0)) with X = sum_g A_0,g Ybar_g (Roth & Sant'Anna 2023, eqs. 4 to 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TimingFit:
    """Estimate, its adjusted and its conservative (Neyman) standard error, and the beta used."""

    estimate: float
    std_error: float
    std_error_neyman: float
    beta: float


def fit_timing(
    outcomes: NDArray[np.float64],
    sizes: NDArray[np.int64],
    starts: NDArray[np.int64],
    theta: NDArray[np.float64],
    zero: NDArray[np.float64],
    beta: float | None,
) -> TimingFit:
    """Estimate from unit-level outcomes.

    Parameters
    ----------
    outcomes : (units, periods), sorted by cohort
    sizes, starts : (cohorts,)
    theta, zero : (cohorts, periods) contrasts A_theta and A_0
    beta : float, optional
        Weight of the pre-treatment difference; the efficient plug-in where absent.
    """
    cohort, earliest = np.repeat(np.arange(len(sizes)), sizes), _earliest(theta)
    of_unit = np.stack([_dot(outcomes, theta[cohort]), _dot(outcomes, zero[cohort])])
    before = outcomes[:, : int(starts[earliest]) - 1]
    found = _fits(of_unit[:, None], before[None], sizes, earliest, beta)
    return TimingFit(*(float(values[0]) for values in found))


def permuted_statistics(
    outcomes: NDArray[np.float64],
    block: NDArray[np.intp],
    sizes: NDArray[np.int64],
    starts: NDArray[np.int64],
    theta: NDArray[np.float64],
    zero: NDArray[np.float64],
    beta: float | None,
    *,
    permutations: int,
    seed: int | np.random.SeedSequence | None,
) -> NDArray[np.float64]:
    """Studentized estimates (permutations,) with timing re-assigned among the units of each block.

    Parameters
    ----------
    block : (units,) codes
    permutations, seed
        Number of re-assignments and what they are drawn from; the others as in `fit_timing`.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(block == b) for b in np.unique(block)]
    cohort, earliest = np.repeat(np.arange(len(sizes)), sizes), _earliest(theta)
    # What each unit would bring to the contrasts in each cohort, once for all draws.
    brought = np.stack([outcomes @ theta.T, outcomes @ zero.T])
    before = outcomes[:, : int(starts[earliest]) - 1]
    together = max(1, VALUES_TOGETHER // max(before.size, outcomes.shape[0]))
    statistics = np.empty(permutations)
    for first in range(0, permutations, together):
        orders = np.tile(np.arange(len(block)), (min(together, permutations - first), 1))
        for order in orders:
            for rows in members:
                order[rows] = generator.permutation(rows)
        estimate, std_error, *_ = _fits(brought[:, orders, cohort], before[orders], sizes, earliest, beta)
        with np.errstate(divide="ignore", invalid="ignore"):
            studentized = estimate / std_error
        statistics[first : first + len(orders)] = np.where(
            std_error > 0, studentized, np.sign(estimate) * np.inf
        )
    return statistics


def permutation_p_value(statistic: float, null: NDArray[np.float64]) -> float:
    """Two-sided p-value of a studentized estimate among its permutations."""
    reached = np.count_nonzero(np.abs(null) >= abs(statistic) * (1 - 1e-10))
    return float((1 + reached) / (1 + len(null)))


def _dot(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ut,ut->u", left, right))


def _earliest(theta: NDArray[np.float64]) -> int:
    """Give the first cohort in the estimand."""
    return int(np.flatnonzero(theta.any(axis=1))[0])


def _fits(
    of_unit: NDArray[np.float64],
    before: NDArray[np.float64],
    sizes: NDArray[np.int64],
    earliest: int,
    beta: float | None,
) -> tuple[NDArray[np.float64], ...]:
    """Give estimate, adjusted and conservative standard error and beta, each (draws,).

    Parameters
    ----------
    of_unit : (2, draws, units)
        What each unit brings to theta(0) and to X, units sorted by cohort.
    before : (draws, units, periods)
        Outcomes before the earliest cohort in the estimand is treated.
    """
    means, covariance = _moments(of_unit, sizes)
    theta_0, x = means.sum(axis=2)
    total = (covariance / sizes).sum(axis=3)
    if beta is None:
        known = total[1, 1] > 0
        used = np.divide(total[0, 1], total[1, 1], out=np.zeros(len(known)), where=known)
    else:
        used = np.full(total.shape[2], beta)
    neyman = total[0, 0] - 2 * used * total[0, 1] + used**2 * total[1, 1]
    adjusted = neyman - _explained_heterogeneity(before, of_unit[0], sizes, earliest)
    errors = (np.sqrt(np.maximum(variance, 0.0)) for variance in (adjusted, neyman))
    return theta_0 - used * x, *errors, used


def _moments(
    values: NDArray[np.float64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cohort means (variables, draws, cohorts) and covariances (variables, variables, draws, cohorts)."""
    first = np.r_[0, np.cumsum(sizes)[:-1]]
    means = np.add.reduceat(values, first, axis=2) / sizes
    centred = values - np.repeat(means, sizes, axis=2)
    products = centred[:, None] * centred[None, :]
    return means, np.add.reduceat(products, first, axis=3) / (sizes - 1)


def _explained_heterogeneity(
    before: NDArray[np.float64], theta_of_unit: NDArray[np.float64], sizes: NDArray[np.int64], earliest: int
) -> NDArray[np.float64]:
    """Lower bound (draws,) on the variance of unit effects from earlier outcomes, over N (section 4.2).

    Covariances of pre-treatment outcomes are averaged over cohorts with equal weight, cohorts before the
    first one in the estimand left out.
    """
    first, cohorts = np.r_[0, np.cumsum(sizes)], len(sizes) - earliest
    draws, _, periods = before.shape
    covariance = np.empty((cohorts, draws, periods, periods))
    with_theta = np.empty((cohorts, draws, periods, 1))
    for place, g in enumerate(range(earliest, len(sizes))):
        rows = slice(first[g], first[g + 1])
        own = before[:, rows] - before[:, rows].mean(axis=1, keepdims=True)
        across = own.transpose(0, 2, 1) / (sizes[g] - 1)
        covariance[place] = across @ own
        theta = theta_of_unit[:, rows]
        with_theta[place] = across @ (theta - theta.mean(axis=1, keepdims=True))[..., None]
    slopes = (np.linalg.pinv(covariance, rcond=_GINV_TOLERANCE, hermitian=True) @ with_theta).sum(axis=0)
    explained = slopes.transpose(0, 2, 1) @ covariance.sum(axis=0) @ slopes
    return np.asarray(explained[:, 0, 0]) / cohorts / int(sizes.sum())


_GINV_TOLERANCE = float(np.sqrt(np.finfo(float).eps))
VALUES_TOGETHER = 2**18
"""Numbers of one table that re-assignments fill together: 2 MB, which a processor keeps at hand."""
