"""The constant-effect Poisson fit on an array of totals, units that are clusters of their own.

What `poisson` does with a panel, for simulated trials of many units, where it is wanted thousands of times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.clustered_fit import fit_clustered
from rct.frequentist.collapsed_cells import UnitRows
from rct.frequentist.estimation_sample import likelihood_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fit_totals(
    counts: NDArray[np.float64],
    dose: NDArray[np.float64],
    blocks: NDArray[np.int64],
    *,
    unit_effects: bool = True,
) -> tuple[float, float, float]:
    """Fit unit effects (where asked), period effects within blocks, and one treatment coefficient.

    Parameters
    ----------
    counts, dose : (units, periods)
    blocks : (units,) codes

    Returns
    -------
    (float, float, float)
        Log rate ratio, its standard error clustered on units with the default correction, its degrees of
        freedom; all NaN where there is no estimate.
    """
    units, periods = counts.shape
    unit, period = np.divmod(np.arange(units * periods), periods)
    treated = dose.ravel()
    rows = UnitRows(
        counts=counts.ravel().astype(float),
        exposure=np.ones(units * periods),
        unit=unit,
        effects=(blocks[unit] * periods + period,),
        term=np.where(treated > 0, 0, -1),
        dose=treated,
        n_terms=1,
        covariates=np.empty((units * periods, 0)),
        unit_effects=unit_effects,
    )
    try:
        sample = likelihood_rows(rows)
        fitted = fit_clustered(sample.rows, sample.rows.unit, "auto")
    except EstimationError:
        return np.nan, np.nan, np.nan
    if fitted.variance is None or sample.terms != (0,):
        return np.nan, np.nan, np.nan
    contrast = np.ones(1)
    estimate = float(fitted.fit.coefficients[0])
    return estimate, fitted.variance.std_error(contrast), fitted.variance.df(contrast)
