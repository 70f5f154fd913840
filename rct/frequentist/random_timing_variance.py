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
    cohorts = _cohorts(outcomes, sizes)
    of_unit = np.stack(
        [
            np.concatenate([own @ weights for own, weights in zip(cohorts, contrast, strict=True)])
            for contrast in (theta, zero)
        ]
    )
    means, covariance = _moments(of_unit, sizes)
    theta_0, x = means.sum(axis=1)
    total = (covariance / sizes).sum(axis=2)
    if beta is None:
        beta = float(total[0, 1] / total[1, 1]) if total[1, 1] > 0 else 0.0
    neyman = total[0, 0] - 2 * beta * total[0, 1] + beta**2 * total[1, 1]
    adjusted = neyman - _explained_heterogeneity(outcomes, of_unit[0], sizes, starts, theta)
    return TimingFit(
        float(theta_0 - beta * x),
        float(np.sqrt(max(adjusted, 0.0))),
        float(np.sqrt(max(neyman, 0.0))),
        beta,
    )


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
    statistics = np.empty(permutations)
    order = np.arange(len(block))
    for draw in range(permutations):
        for rows in members:
            order[rows] = generator.permutation(rows)
        fit = fit_timing(np.take(outcomes, order, axis=0), sizes, starts, theta, zero, beta)
        statistics[draw] = (
            fit.estimate / fit.std_error if fit.std_error > 0 else np.sign(fit.estimate) * np.inf
        )
    return statistics


def permutation_p_value(statistic: float, null: NDArray[np.float64]) -> float:
    """Two-sided p-value of a studentized estimate among its permutations."""
    reached = np.count_nonzero(np.abs(null) >= abs(statistic) * (1 - 1e-10))
    return float((1 + reached) / (1 + len(null)))


def _cohorts(of_units: NDArray[np.float64], sizes: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    ends = np.cumsum(sizes).tolist()
    return [of_units[first:last] for first, last in zip([0, *ends], ends, strict=False)]


def _moments(
    values: NDArray[np.float64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cohort means (variables, cohorts) and covariances (variables, variables, cohorts)."""
    first = np.r_[0, np.cumsum(sizes)[:-1]]
    means = np.add.reduceat(values, first, axis=1) / sizes
    centred = values - np.repeat(means, sizes, axis=1)
    products = centred[:, None, :] * centred[None, :, :]
    return means, np.add.reduceat(products, first, axis=2) / (sizes - 1)


def _explained_heterogeneity(
    outcomes: NDArray[np.float64],
    theta_of_unit: NDArray[np.float64],
    sizes: NDArray[np.int64],
    starts: NDArray[np.int64],
    theta: NDArray[np.float64],
) -> float:
    """Lower bound on the variance of unit effects, from pre-treatment outcomes, over N (section 4.2).

    Covariances of pre-treatment outcomes are averaged over cohorts with equal weight, cohorts before the
    first one in the estimand left out.
    """
    earliest = int(np.flatnonzero(theta.any(axis=1))[0])
    n_before = int(starts[earliest]) - 1
    left_out, own = int(sizes[:earliest].sum()), sizes[earliest:]
    joint = np.column_stack([outcomes[left_out:, :n_before], theta_of_unit[left_out:]])
    means = np.add.reduceat(joint, np.r_[0, np.cumsum(own)[:-1]]) / own[:, None]
    deviations = _cohorts(joint - np.repeat(means, own, axis=0), own)
    products = np.stack([part.T @ part for part in deviations]) / (own - 1)[:, None, None]
    covariance, with_theta = products[:, :-1, :-1], products[:, :-1, -1:]
    slopes = (np.linalg.pinv(covariance, rcond=_GINV_TOLERANCE, hermitian=True) @ with_theta)[..., 0].sum(
        axis=0
    )
    average = covariance.sum(axis=0)
    return float(slopes @ average @ slopes) / len(own) / int(sizes.sum())


_GINV_TOLERANCE = float(np.sqrt(np.finfo(float).eps))
