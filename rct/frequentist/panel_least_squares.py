"""Least squares with fixed effects and clustered standard errors, by linearmodels' `PanelOLS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.asked_options import require_one_of
from rct.frequentist.inference.cluster_robust import (
    FEW_CLUSTERS,
    Correction,
    parameters_outside_clusters,
    small_sample_factor,
)
from rct.frequentist.inference.two_way_clusters import (
    require_many_of_both,
    require_positive,
    without_negative,
)
from rct.frequentist.linear_leverage import leverage_variance

if TYPE_CHECKING:
    from linearmodels.panel.results import PanelEffectsResults
    from numpy.typing import NDArray

LinearCorrection = Literal[
    "auto", "debiased", "none", "group-debiased", "CR0", "CR1", "CR1S", "CR1N", "CR2", "CR3"
]
FACTORS: tuple[Correction, ...] = ("CR0", "CR1", "CR1S", "CR1N")
MOST_EFFECTS = 2


@dataclass(frozen=True)
class LinearRows:
    """What is regressed on what.

    unit, period : (rows,) codes
    response, weight : (rows,)
    design : (rows, terms), their names beside it
    effects : codes (rows,) of the fixed effects by name
    """

    unit: NDArray[np.intp]
    period: NDArray[np.intp]
    response: NDArray[np.float64]
    weight: NDArray[np.float64]
    design: NDArray[np.float64]
    names: list[str]
    effects: Mapping[str, NDArray[np.intp]]


@dataclass(frozen=True)
class LinearFit:
    """Coefficients, clustered standard errors and degrees of freedom (terms,), and the correction chosen.

    n_clusters : the smaller number of two clusterings
    mended : a two-way variance that was not positive semi-definite
    """

    coefficients: NDArray[np.float64]
    std_errors: NDArray[np.float64]
    df: NDArray[np.float64]
    correction: LinearCorrection
    n_clusters: int
    mended: bool


def fit_least_squares(
    rows: LinearRows, clusterings: tuple[NDArray[np.intp], ...], correction: LinearCorrection
) -> LinearFit:
    """Fit, and take the variance clustered in one way or two.

    Raises
    ------
    EstimationError
        A term that the effects explain, or no variance between clusters.
    """
    n_clusters = min(int(np.count_nonzero(np.bincount(codes))) for codes in clusterings)
    chosen = _chosen(correction, n_clusters, len(clusterings))
    found = _panel_ols(rows, clusterings, chosen)
    left = () if found is None else found.params.index
    lost = [name for i, name in enumerate(rows.names) if i not in left]
    if found is None or lost:
        raise EstimationError(
            f"{', '.join(lost)}: explained by the fixed effects, so not identified. If everyone crosses in"
            " the same period, period effects and treatment are one; a covariate or dose that never varies"
            " within units is explained by them. Leave out the effects or the covariate at fault."
        )
    covariance, degrees, mended = _covariance(rows, clusterings, chosen, n_clusters, found)
    variances = np.diag(covariance)[: len(rows.names)]
    for name, variance in zip(rows.names, variances, strict=True):
        require_positive(float(variance), name, mended=mended)
    return LinearFit(found.params.to_numpy(), np.sqrt(variances), degrees, chosen, n_clusters, mended)


def _chosen(correction: LinearCorrection, n_clusters: int, clusterings: int) -> LinearCorrection:
    """Resolve "auto": CR2 below 40 clusters, else linearmodels' default; CR2 has no two-way version."""
    require_one_of("correction", correction, get_args(LinearCorrection))
    if clusterings > 1 and correction in ("CR2", "CR3"):
        raise EstimationError(
            f"{correction} is not defined for two kinds of clusters; use CR0, CR1, CR1S or CR1N, or one kind"
        )
    if correction != "auto":
        return correction
    if clusterings > 1:
        require_many_of_both(n_clusters)
    return "CR2" if n_clusters < FEW_CLUSTERS and clusterings == 1 else "debiased"


def _covariance(
    rows: LinearRows,
    clusterings: tuple[NDArray[np.intp], ...],
    correction: LinearCorrection,
    n_clusters: int,
    found: PanelEffectsResults,
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Give covariance, degrees of freedom of each term, and whether the covariance was mended."""
    degrees = np.full(len(rows.names), n_clusters - 1.0)
    if correction in ("CR2", "CR3"):
        variance = leverage_variance(
            rows.response, rows.weight, rows.design, rows.unit, rows.effects, clusterings[0], correction
        )
        degrees = np.array([variance.df(contrast) for contrast in np.eye(len(rows.names))])
        return variance.covariance, degrees, False
    covariance, mended = found.cov.to_numpy(), False
    if correction in FACTORS:
        outside = clusterings if correction == "CR1N" else ()
        covariance = covariance * small_sample_factor(
            correction,
            n_clusters=n_clusters,
            n_rows=len(rows.response),
            n_parameters=parameters_outside_clusters(len(rows.names), rows.effects.values(), outside),
        )
    if len(clusterings) > 1:
        covariance, mended = without_negative(covariance)
    return covariance, degrees, mended


def _panel_ols(
    rows: LinearRows, clusterings: tuple[NDArray[np.intp], ...], correction: LinearCorrection
) -> PanelEffectsResults | None:
    """Fit, the columns of the design named by their numbers; those that the effects explain drop out.

    None where they explain all of them.
    """
    import warnings

    import pandas as pd
    from linearmodels.panel import PanelOLS
    from linearmodels.panel.utility import AbsorbingEffectWarning

    index = pd.MultiIndex.from_arrays([rows.unit, rows.period])
    constant = [] if rows.effects else [np.ones(len(rows.response))]
    others = [codes for name, codes in rows.effects.items() if name not in ("unit", "period")]
    weighted = np.ptp(rows.weight) > 0
    _require_independent(rows)
    model = PanelOLS(
        pd.DataFrame({"rate": rows.response}, index=index),
        pd.DataFrame(np.column_stack([rows.design, *constant]), index=index),
        weights=pd.DataFrame({"weight": rows.weight}, index=index) if weighted else None,
        entity_effects="unit" in rows.effects,
        time_effects="period" in rows.effects,
        other_effects=pd.DataFrame(np.column_stack(others), index=index) if others else None,
        drop_absorbed=True,
    )
    with warnings.catch_warnings():
        # What is explained by the effects is told by name in the error of `fit_least_squares`.
        warnings.simplefilter("ignore", AbsorbingEffectWarning)
        try:
            return model.fit(
                low_memory=True if len(rows.effects) == MOST_EFFECTS else None,
                cov_type="clustered",
                clusters=pd.DataFrame(np.column_stack(clusterings), index=index),
                group_debias=correction == "group-debiased",
                debiased=correction in ("debiased", "group-debiased"),
                auto_df=False,
                count_effects=correction not in FACTORS,
            )
        except ValueError as error:
            if "absorbed" not in str(error):
                raise
            return None


def _require_independent(rows: LinearRows) -> None:
    """Refuse terms that those before them explain, by name; linearmodels refuses them without one."""
    columns = np.column_stack([np.ones(len(rows.response)), rows.design])
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0), np.finfo(float).tiny)
    if np.linalg.matrix_rank(columns) == columns.shape[1]:
        return
    ranks = [int(np.linalg.matrix_rank(columns[:, : k + 1])) for k in range(columns.shape[1])]
    lost = [name for k, name in enumerate(rows.names) if ranks[k + 1] == ranks[k]]
    raise EstimationError(
        f"{', '.join(lost)}: explained by treatment and the other covariates, or the same in every row, so"
        " not identified; leave it out"
    )
