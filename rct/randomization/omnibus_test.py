"""One test of all covariates: whether an allocation is as balanced as its mechanism makes allocations.

The statistic is d² = T′V⁻T of Hansen & Bowers (2008, eq. 6), with the imbalances T of every group and the
covariance V that they have under the mechanism; its p-value comes from re-randomization, not from chi-square.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from rct.errors import DataError
from rct.randomization.balance import covariate_numbers
from rct.randomization.random_draws import Draws
from rct.randomization.restriction_scores import compared_groups

if TYPE_CHECKING:
    from rct.randomization.allocation import Allocation

TIE_TOLERANCE = 1e-9
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class BalanceTest:
    """Result of the omnibus test.

    ``statistic`` is d², ``df`` the rank of V (its mean under the mechanism), ``p_value`` the share of the
    ``draws`` at least as imbalanced.
    """

    statistic: float
    df: int
    p_value: float
    draws: int


def balance_test(
    allocation: "Allocation",
    covariates: tuple[str, ...] = (),
    *,
    draws: int | Literal["exact"] = 9999,
    seed: int | None = None,
) -> BalanceTest:
    """Test whether covariates are balanced, by re-randomization.

    Parameters
    ----------
    covariates
        Roster columns of numbers; default: those the trial names under ``analysis.covariates``. A randomized
        unit's value is the mean over its rows.
    draws
        Number of re-randomizations, or "exact" for all.
    seed
        Of the draws; needed unless ``draws`` is "exact".

    Raises
    ------
    DataError
        When no covariate is named, or a randomized unit has no value.
    """
    values = _standardized(allocation, covariates or allocation.trial.analysis.covariates)
    redrawn = allocation.draws(draws, seed=seed)
    imbalances = _imbalances(allocation, redrawn, values)
    observed = _imbalances(allocation, allocation.frame["sequence"].to_numpy()[None, :], values)
    exact = draws == "exact"
    # The observed allocation is one of the draws; among random ones it is added, so that all are alike.
    pool = imbalances if exact else np.vstack([imbalances, observed])
    covariance = pool.T @ pool / len(pool)
    inverse = np.linalg.pinv(covariance, rcond=RANK_TOLERANCE, hermitian=True)
    distances = ((pool @ inverse) * pool).sum(axis=1)
    (statistic,) = ((observed @ inverse) * observed).sum(axis=1)
    reached = np.count_nonzero(distances >= statistic * (1 - TIE_TOLERANCE))
    return BalanceTest(
        statistic=float(statistic),
        df=int(np.linalg.matrix_rank(covariance, tol=RANK_TOLERANCE * covariance.max(), hermitian=True)),
        p_value=reached / len(pool),
        draws=len(redrawn),
    )


def _standardized(allocation: "Allocation", covariates: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Give (units, covariates) with mean 0 and standard deviation 1, or 0 where nothing differs."""
    if not covariates:
        raise DataError(
            "balance can be tested of named covariates only; name them, or in analysis.covariates"
        )
    unit = allocation.roster[allocation.trial.units.randomize]
    columns = []
    for name in covariates:
        means = covariate_numbers(allocation.roster, name).groupby(unit).mean()
        lacking = means.index[means.isna()].tolist()
        if lacking:
            raise DataError(f"roster column {name} has no value for {', '.join(lacking[:10])}")
        columns.append(means.reindex(allocation.frame["unit"]).to_numpy(dtype=float))
    values = np.column_stack(columns)
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def _imbalances(
    allocation: "Allocation", draws: Draws, values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Give (draws, groups × covariates): sums over each group less their expectation."""
    sequences = allocation.plan.sequences
    shares = allocation.probabilities.to_numpy()
    parts = []
    for group in compared_groups(sequences, allocation.trial.arms.names):
        belongs = np.array([number in group for number in range(len(sequences))], dtype=float)
        parts.append(belongs[draws] @ values - (shares @ belongs) @ values)
    return np.hstack(parts)
