"""The studentized efficient estimate of randomized timing under every re-randomization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.random_timing_variance import TimingFit, fit_timing
from rct.frequentist.timing_contrasts import comparison_shares, contrasts, effect_weights
from rct.frequentist.timing_sample import timing_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.inference.redrawn_assignments import Redrawn
    from rct.panel import Panel


def redrawn_timing(panel: Panel, outcome: str, redrawn: Redrawn) -> tuple[TimingFit, NDArray[np.float64]]:
    """Give the fit of the assignment that was made, and estimate over standard error (draws,) of the others.

    The standard error is the conservative one, which is positive in every draw also where cohorts are small.

    Raises
    ------
    EstimationError
        Units treated from the first period on, or a draw with a cohort of one unit.
    """
    sample = timing_sample(panel, outcome, redrawn.arm, None)
    if sorted(sample.units) != redrawn.units or np.any(redrawn.dose[:, 0] > 0):
        raise EstimationError(
            'statistic="staggered" needs every randomized unit untreated at first; a draw treats one from the'
            " first period on"
        )
    unit = np.searchsorted(np.array(redrawn.units), np.array(sample.units))
    treated = redrawn.dose > 0
    first = np.where(treated.any(axis=1), treated.argmax(axis=1) + 1, sample.periods + 1)

    def fit(drawn: NDArray[np.integer]) -> TimingFit:
        starts = first[drawn[unit]]
        order = np.argsort(starts, kind="stable")
        distinct, sizes = np.unique(starts, return_counts=True)
        if sizes.min() < 2 or len(distinct) < 2:
            raise EstimationError(
                'a draw has a cohort of one randomized unit, which has no variance; use statistic="score"'
            )
        weights = effect_weights(distinct, sizes, sample.periods, "simple")
        shares = comparison_shares(distinct, sizes, sample.periods, last_only=False)
        theta, zero = contrasts(distinct, weights, shares)
        return fit_timing(np.take(sample.outcomes, order, axis=0), sizes, distinct, theta, zero, None)

    fits = [fit(drawn) for drawn in redrawn.draws]
    return fit(redrawn.observed), np.array([own.estimate / own.std_error_neyman for own in fits])
