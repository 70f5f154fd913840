"""Joint test that cohorts did not differ before training, as random timing promises.

The placebo effects of the event times before training, and the differences of covariates between cohorts,
are zero but for chance if timing was random. Their Wald statistic X'V⁻X takes the estimators' own covariance
(Roth & Sant'Anna 2023, section 2.3: the expectation of their X̂ is zero); chi-square in large samples, or
compared with what re-assigned timing gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import DataError, EstimationError
from rct.frequentist.asked_options import require_count, require_event_times, require_one_of, require_seed
from rct.frequentist.panel_columns import covariate_columns
from rct.frequentist.random_timing import BETA, Estimator
from rct.frequentist.random_timing_variance import permutation_p_value
from rct.frequentist.timing_contrasts import comparison_shares, contrasts, effect_weights
from rct.frequentist.timing_sample import TimingSample, timing_sample

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel

MOST_EVENT_TIMES = 12
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class PretrendTest:
    """Result of the joint test.

    statistic, df : Wald statistic, and the rank of the covariance of what is tested
    p_value : from chi-square, or from the permutations where there are any
    p_chi_square : from chi-square in either case
    permutations : number of re-assignments of timing
    frame : one row for each tested difference: term, event_time (NaN of a covariate), estimate, std_error
    """

    outcome: str
    statistic: float
    df: int
    p_value: float
    p_chi_square: float
    permutations: int
    frame: pd.DataFrame

    def summary(self) -> str:
        """Give the test in a sentence."""
        from rct.estimates import p_text

        source = f"{self.permutations} permutations of timing" if self.permutations else "chi-square"
        return (
            f"{self.outcome}: {len(self.frame)} differences before training, Wald {self.statistic:.2f} on"
            f" {self.df} degrees of freedom, p {p_text(self.p_value)} ({source})"
        )


def pretrend_test(
    panel: Panel,
    outcome: str,
    *,
    event_times: Sequence[int] | None = None,
    covariates: Sequence[str] = (),
    estimator: Estimator = "efficient",
    permutations: int = 0,
    seed: int | None = None,
) -> PretrendTest:
    """Test jointly that nothing differed between cohorts before training.

    Parameters
    ----------
    panel : Panel
        As for `staggered`, with one treatment arm.
    outcome : str
    event_times : sequence of int, optional
        Negative ones, −1 the last period before training; all that the first cohort has, at most
        twelve, where absent. Estimators that compare with the period before training know nothing of −1.
    covariates : sequence of str
        Numeric columns, fixed before training: their means by randomized unit over the periods before anyone
        is treated are tested too.
    estimator : str
        Whose placebo effects are tested, as in `staggered`. "difference": plain differences in means.
    permutations : int
        Re-assignments of timing (within blocks) for the p-value; chi-square is too small a yardstick where
        cohorts are small.
    seed : int, optional
        Of the permutations; required with them.

    Returns
    -------
    PretrendTest

    Raises
    ------
    DataError
        A covariate that is no number, is missing, or is the same for every unit.
    EstimationError
        As in `staggered`; an event time that is not before training or that no cohort has.
    """
    require_one_of("estimator", estimator, tuple(BETA))
    require_count("permutations", permutations, 0)
    require_seed(seed)
    require_event_times(event_times)
    if permutations and seed is None:
        raise EstimationError("permutations are random: give a seed with them")
    if not panel.treatments:
        raise EstimationError(
            "no row of the panel is treated, so no period is before training; check `starts` and the last"
            " period of the data"
        )
    if len(panel.treatments) != 1:
        raise EstimationError(
            f"the test is of one treatment arm, and this panel has {len(panel.treatments)}; leave out the"
            " other arms' units"
        )
    sample = timing_sample(panel, outcome, panel.treatments[0], None)
    times = _event_times(sample, estimator, event_times)
    tested = _Tested(sample, times, estimator, _covariate_values(panel, sample, covariates))
    labels = [f"event time {time}" for time in times] + list(covariates)
    return _result(outcome, tested, labels, times, permutations, seed)


def _event_times(sample: TimingSample, estimator: str, asked: Sequence[int] | None) -> list[int]:
    nearest = -1 if estimator == "difference" else -2
    if asked is None:
        first = max(1 - int(sample.starts[0]), -MOST_EVENT_TIMES)
        found = list(range(first, nearest + 1))
        if not found:
            raise EstimationError(
                f"the first cohort has {int(sample.starts[0]) - 1} periods before training: too few for a"
                f' placebo effect of the {estimator} estimator; use estimator="difference"'
            )
        return found
    if not len(asked) or max(asked) > nearest or len(set(asked)) < len(asked):
        raise EstimationError(
            f"event_times must be different whole numbers up to {nearest} for the {estimator} estimator, not"
            f" {list(asked)}"
        )
    return list(asked)


def _covariate_values(panel: Panel, sample: TimingSample, covariates: Sequence[str]) -> NDArray[np.float64]:
    """Give the means (units, covariates) over periods before anyone is treated, in the sample's order."""
    rows = panel.frame.loc[panel.frame["period"] < sample.starts[0]]
    by_unit = rows["randomized"].to_numpy()
    values, _complete = covariate_columns(rows, covariates)
    columns = []
    for name, value in zip(covariates, values.T, strict=True):
        means = rows.assign(value=value).groupby(by_unit)["value"].mean().reindex(sample.units).to_numpy()
        if not np.isfinite(means).all():
            unit = sample.units[int(np.flatnonzero(~np.isfinite(means))[0])]
            raise DataError(f"covariate {name!r} is missing for randomized unit {unit} before training")
        if np.ptp(means) == 0:
            raise DataError(f"covariate {name!r} is the same for every unit, so nothing can differ")
        columns.append(means)
    return np.column_stack(columns or [np.empty((len(sample.units), 0))])


class _Tested:
    """What each unit adds to every tested difference, whichever cohort it is given to.

    A difference is a sum over cohorts of the cohort's mean of a linear function of a unit's outcomes; so
    permuting timing only changes which of the functions, worked out once, a unit is read by.
    """

    def __init__(
        self,
        sample: TimingSample,
        times: list[int],
        estimator: Estimator,
        covariates: NDArray[np.float64],
    ) -> None:
        starts, sizes, periods = sample.starts, sample.sizes, sample.periods
        shares = comparison_shares(starts, sizes, periods, last_only=estimator == "sun-abraham")
        thetas, zeros = zip(
            *(
                contrasts(starts, effect_weights(starts, sizes, periods, "event", time), shares)
                for time in times
            ),
            strict=True,
        )
        level = effect_weights(starts, sizes, periods, "event", -1)
        across = (level - shares * level.sum(axis=0)).sum(axis=1)  # of a covariate, the same in all periods
        read = np.concatenate([thetas, zeros])  # (2 times, cohorts, periods)
        own = np.einsum("up,dgp->ugd", sample.outcomes, read, optimize=True)
        of_covariates = covariates[:, None, :] * across[:, None]
        self._values = np.concatenate([own, of_covariates], axis=2)  # (units, cohorts, differences)
        self._cohort = np.repeat(np.arange(len(sizes)), sizes)
        self._size = sizes[self._cohort][:, None].astype(float)
        self._first = np.r_[0, np.cumsum(sizes)[:-1]]
        self._times, self._beta, self._block = len(times), BETA[estimator], sample.block

    def wald(self, order: NDArray[np.intp] | None = None) -> tuple[float, int]:
        """Give the statistic and its rank with the units in this order."""
        means, covariance = self.moments(order)
        scale = np.sqrt(np.diag(covariance))
        scale[scale == 0] = 1.0
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        kept = values > RANK_TOLERANCE * max(values[-1], np.finfo(float).tiny)
        turned = vectors[:, kept].T @ (means / scale)
        return float(np.sum(turned**2 / values[kept])), int(np.count_nonzero(kept))

    def moments(
        self, order: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the differences and their Neyman covariance."""
        place = np.arange(len(self._cohort)) if order is None else order
        values = self._values[place, self._cohort] / self._size
        sums = np.add.reduceat(values, self._first, axis=0)
        centred = values - sums[self._cohort] / self._size
        total = centred.T @ (centred * (self._size / (self._size - 1)))
        k = self._times
        theta, zero = np.arange(k), np.arange(k, 2 * k)
        if self._beta is None:
            variance = total[zero, zero]
            beta = np.where(variance > 0, total[theta, zero] / np.where(variance > 0, variance, 1), 0.0)
        else:
            beta = np.full(k, self._beta)
        mix = np.zeros((len(total) - k, len(total)))
        mix[theta, theta], mix[theta, zero] = 1.0, -beta
        mix[np.arange(k, len(mix)), np.arange(2 * k, len(total))] = 1.0
        return mix @ sums.sum(axis=0), mix @ total @ mix.T

    def permuted(self, permutations: int, seed: int | None) -> NDArray[np.float64]:
        """Give the statistic (permutations,) with timing re-assigned within blocks."""
        generator = np.random.default_rng(seed)
        members = [np.flatnonzero(self._block == block) for block in np.unique(self._block)]
        order = np.arange(len(self._block))
        found = np.empty(permutations)
        for draw in range(permutations):
            for rows in members:
                order[rows] = generator.permutation(rows)
            found[draw] = self.wald(order)[0]
        return found


def _result(
    outcome: str,
    tested: _Tested,
    labels: list[str],
    times: list[int],
    permutations: int,
    seed: int | None,
) -> PretrendTest:
    import pandas as pd
    from scipy.special import chdtrc

    means, covariance = tested.moments()
    statistic, df = tested.wald()
    if not df:
        raise EstimationError(f"nothing varies before training: {outcome} has no events there")
    p_chi_square = float(chdtrc(df, statistic))
    null = tested.permuted(permutations, seed) if permutations else None
    return PretrendTest(
        outcome=outcome,
        statistic=statistic,
        df=df,
        p_value=p_chi_square if null is None else permutation_p_value(statistic, null),
        p_chi_square=p_chi_square,
        permutations=permutations,
        frame=pd.DataFrame(
            {
                "term": labels,
                "event_time": [*map(float, times), *[float("nan")] * (len(labels) - len(times))],
                "estimate": means,
                "std_error": np.sqrt(np.diag(covariance)),
            }
        ),
    )
