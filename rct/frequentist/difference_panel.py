"""Differences in rates from changes between successive periods.

Estimand: the intention-to-treat difference in events per unit of exposure. First differences rest on the
change from the last untreated to the first treated period alone: they need no strict exogeneity of the whole
past and future, and they say nothing of what comes later (Wooldridge 2010, section 10.6). Rates of one unit
in successive periods share an error, so standard errors are clustered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.inference.two_way_clusters import Cluster
from rct.frequentist.integer_codes import dense_codes
from rct.frequentist.linear_panel import (
    DifferenceDescription,
    differences,
    linear_sample,
    require_linear_comparisons,
    with_covariates,
)
from rct.frequentist.panel_columns import column_codes
from rct.frequentist.panel_least_squares import LinearCorrection, LinearRows, fit_least_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.estimates import Estimate, Estimates
    from rct.panel import Panel


def first_differences(
    panel: Panel,
    outcome: str,
    *,
    covariates: Sequence[str] = (),
    cluster: Cluster = None,
    correction: LinearCorrection = "auto",
    level: float = 0.95,
) -> Estimate | Estimates:
    """Estimate the difference in rates from the changes of each unit between successive periods.

    Parameters
    ----------
    panel : Panel
    outcome : str
        Divided by its exposure; a change is weighted by 1 / (1/exposure before + 1/exposure after). The
        changes of each period have a mean of their own (period effects).
    covariates : sequence of str
        Numeric columns that vary in time; their changes enter linearly.
    cluster : str or (str, str), optional
        Column whose values share an error; the panel's cluster where absent. Two columns: two-way clustering.
    correction : str
        Small-sample correction of the clustered variance, as in `linear`.
    level : float

    Returns
    -------
    Estimate or Estimates
        One Estimate for one arm, else Estimates; scale "difference", limits as in `linear`.

    Raises
    ------
    DataError
        An unknown column, or a covariate that is no number.
    EstimationError
        Treatment never changes between two periods that both are observed, or as in `linear`.
    """
    sample = linear_sample(panel, outcome, covariates, cluster, level)
    rows = sample.rows
    unit, period = column_codes(rows, "unit"), rows["period"].to_numpy(dtype=np.intp)
    after = np.flatnonzero((np.diff(unit) == 0) & (np.diff(period) == 1)) + 1
    design = _changes(sample.design, after)
    _require_changes(design, sample.names, len(sample.treatment.terms))
    exposure = rows["exposure"].to_numpy(dtype=float)
    data = LinearRows(
        unit=unit[after],
        period=period[after],
        response=_changes(rows["count"].to_numpy(dtype=float) / exposure, after),
        weight=1 / (1 / exposure[after] + 1 / exposure[after - 1]),
        design=design,
        names=sample.names,
        effects={"period": dense_codes(period[after])},
    )
    clusterings = tuple(dense_codes(codes[after]) for codes in sample.clusterings)
    require_linear_comparisons(data, len(sample.treatment.terms), clusterings, cluster)
    fit = fit_least_squares(data, clusterings, correction)
    method = f"linear, first differences, period effects{with_covariates(covariates)}"
    about = DifferenceDescription(
        panel, outcome, "by the change when treatment starts", method, cluster, level
    )
    return differences(about, sample, fit)


def _changes(values: NDArray[np.float64], after: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.asarray(values[after] - values[after - 1])


def _require_changes(design: NDArray[np.float64], names: list[str], n_terms: int) -> None:
    for number, name in enumerate(names):
        if design[:, number].any():
            continue
        if number < n_terms:
            raise EstimationError(
                f"{name}: treatment never changes between two successive periods that both are observed (a"
                " transition hides the change), so first differences know nothing of it; use linear, or"
                " difference_in_means where treatment never changes at all"
            )
        raise EstimationError(f"covariate {name} never changes within a unit, so its changes explain nothing")
