"""The standard error of Callaway and Sant'Anna from influence functions of units.

It takes units as a sample of independent draws, cohort sizes included (Callaway & Sant'Anna 2021, theorem 3
and corollary 1, without covariates; as R's `did` and Python's `diff-diff` have it), not timing as randomized
among the units at hand, which is what `random_timing_variance` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def influence_std_error(
    outcomes: NDArray[np.float64],
    sizes: NDArray[np.int64],
    starts: NDArray[np.int64],
    weights: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> float:
    """Root of the sum of squared influences over the number of units.

    Parameters
    ----------
    outcomes : (units, periods), sorted by cohort
    sizes, starts : (cohorts,)
    weights : (cohorts, periods) of the effects, each proportional to its cohort's size
    shares : (cohorts, periods) of each cohort in the comparison mean of a period
    """
    units = int(sizes.sum())
    first = np.r_[0, np.cumsum(sizes)[:-1]]
    means = np.add.reduceat(outcomes, first, axis=0) / sizes[:, None]
    before = np.clip(starts - 2, 0, outcomes.shape[1] - 1)  # a cohort never treated has no weight
    treated = means - np.take_along_axis(means, before[:, None], axis=1)
    compared = (shares * means).sum(axis=0) - means[:, before].T @ shares
    effects = treated - compared

    on_outcome = weights - shares * weights.sum(axis=0)
    baseline = np.zeros_like(on_outcome)
    np.add.at(baseline, (np.arange(len(sizes)), before), weights.sum(axis=1))
    np.add.at(baseline.T, before, -weights @ shares.T)
    on_outcome -= baseline

    # A comparison mean pools cohorts, so its units deviate from the pooled mean, not from their cohort's.
    centre = (weights * treated).sum(axis=1) - shares @ (weights * compared).sum(axis=0)
    of_weights = (weights * (effects - (weights * effects).sum())).sum(axis=1)
    cohort = np.repeat(np.arange(len(sizes)), sizes)
    influence = np.einsum("ut,ut->u", outcomes, on_outcome[cohort]) + (of_weights - centre)[cohort]
    influence *= units / sizes[cohort]
    return float(np.sqrt((influence**2).sum()) / units)
