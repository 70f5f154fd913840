"""Generalized estimating equations for counts: rate ratios averaged over clusters (Liang & Zeger 1986).

Estimand: the intention-to-treat incidence rate ratio, constant over time, consistent whatever the working
correlation. The sandwich variance is too small in few clusters: Kauermann & Carroll (2001) and Mancl &
DeRouen (2001) divide each cluster's residuals by (I − H)^½ and by I − H, H the cluster's part of the hat
matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from rct.errors import ConvergenceError, EstimationError
from rct.frequentist.asked_options import require_one_of
from rct.frequentist.inference.cluster_robust import FEW_CLUSTERS
from rct.frequentist.pooled_rates import Inference, pooled_rates, rate_estimates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.estimates import Estimate, Estimates
    from rct.frequentist.pooled_rates import PooledRates
    from rct.panel import Panel

Correlation = Literal["independence", "exchangeable", "ar1"]
GeeCorrection = Literal["auto", "kauermann-carroll", "mancl-derouen"]
POWERS = {"kauermann-carroll": 0.5, "mancl-derouen": 1.0}
TOLERANCE = 1e-9
LEVERAGE_ONE = 1 - 1e-9


def gee(
    panel: Panel,
    outcome: str,
    *,
    fixed_effects: Sequence[str] = ("period",),
    covariates: Sequence[str] = (),
    correlation: Correlation = "independence",
    correction: GeeCorrection | None = "auto",
    level: float = 0.95,
) -> Estimate | Estimates:
    """Estimate the log incidence rate ratio of treatment by generalized estimating equations.

    Parameters
    ----------
    panel : Panel
        Its clusters are those of the equations: the randomized units unless another column was named.
    outcome : str
        A count.
    fixed_effects : sequence of str
        "period", "block:period" or other columns of the panel; not "unit".
    covariates : sequence of str
        Numeric columns that enter linearly.
    correlation : {"independence", "exchangeable", "ar1"}
        Working correlation of the rows of a cluster. "ar1": α to the power of the periods between, α by least
        squares over all pairs of rows (as geepack); one row for each cluster and period.
    correction : {"auto", None, "kauermann-carroll", "mancl-derouen"}
        Small-sample correction of the sandwich. "auto": Kauermann–Carroll below 40 clusters, else none.
    level : float

    Returns
    -------
    Estimate or Estimates
        One Estimate for one arm, else Estimates; log scale, limits from t on clusters − 1. `notes` hold the
        working correlation.

    Raises
    ------
    DataError
        Fractional counts, an unknown column, or a covariate that is no number.
    EstimationError
        The effect does not exist in this design or sample, or one cluster alone is treated.
    ConvergenceError
        The equations have no solution that the iterations reach.
    """
    require_one_of("correlation", correlation, get_args(Correlation))
    require_one_of("correction", correction, (None, *get_args(GeeCorrection)))
    pooled = pooled_rates(
        panel,
        outcome,
        model="GEE Poisson",
        fixed_effects=fixed_effects,
        covariates=covariates,
        level=level,
    )
    clusters = pooled.sample.clusters("cluster")
    if not clusters.any():
        raise EstimationError(
            "all rows lie in one cluster, so the variance between clusters does not exist; name a finer"
            " cluster when the panel is made (cluster=…), or use a randomization test"
        )
    pooled.sample.require_treated_clusters(None)
    n_clusters = int(clusters.max()) + 1
    few = n_clusters < FEW_CLUSTERS
    chosen = ("kauermann-carroll" if few else None) if correction == "auto" else correction
    model, found = _solve(pooled, clusters, correlation)
    covariance = np.asarray(found.cov_robust)
    if chosen is not None:
        covariance = _corrected(model, POWERS[chosen])
    name = pooled.sample.cluster_name(None)
    inference = Inference(
        covariance=covariance,
        name=f"GEE sandwich, {chosen or 'uncorrected'}, t({n_clusters - 1}) ({n_clusters} clusters: {name})",
        n_clusters=n_clusters,
        df=float(n_clusters - 1),
        warning=f"only {n_clusters} clusters ({name}; fewer than {FEW_CLUSTERS}): robust standard errors are"
        " rough, trust a randomization test before them"
        if few
        else "",
    )
    working = model.cov_struct.dep_params
    notes = {"correlation": correlation, "alpha": float("nan") if working is None else float(working)}
    return rate_estimates(pooled, np.asarray(found.params), inference, notes)


def _solve(pooled: PooledRates, clusters: NDArray[np.intp], correlation: Correlation) -> tuple[Any, Any]:
    import warnings

    from statsmodels.genmod import cov_struct, families
    from statsmodels.genmod.generalized_estimating_equations import GEE

    from rct.frequentist.lag_correlation import LagCorrelation

    period = pooled.sample.rows["period"].to_numpy()[pooled.sample.sample.kept]
    order = np.lexsort((pooled.unit, period, clusters))
    structure = {
        "independence": cov_struct.Independence,
        "exchangeable": cov_struct.Exchangeable,
        "ar1": LagCorrelation,
    }[correlation]()
    if correlation == "ar1":
        _require_one_row_a_period(clusters[order], period[order])
    design = pooled.design[pooled.pattern]
    model = GEE(
        pooled.counts[order],
        design[order],
        groups=clusters[order],
        time=period[order].astype(float),
        family=families.Poisson(),
        cov_struct=structure,
        exposure=pooled.exposure[order],
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Failures are told below, by one error.
        warnings.simplefilter("ignore")
        found = model.fit(maxiter=200, ctol=TOLERANCE)
    if not found.converged or not np.isfinite(found.params).all():
        raise ConvergenceError(
            "the estimating equations have no finite solution: some combination of terms predicts that no"
            " event happens (separation), or the working correlation is out of range. Pool arms or periods"
            ' with few events, or use correlation="independence"'
        )
    return model, found


def _require_one_row_a_period(clusters: NDArray[np.intp], period: NDArray[np.intp]) -> None:
    if np.any((np.diff(clusters) == 0) & (np.diff(period) == 0)):
        raise EstimationError(
            'correlation="ar1" is of one row for each cluster and period, and here clusters hold several'
            ' units: use "exchangeable" or "independence", or make the panel of cluster totals'
        )


def _corrected(model: Any, power: float) -> NDArray[np.float64]:
    """Give the sandwich with each cluster's residuals divided by (I − H) to a power.

    With B = LL' the inverse information, M the cluster's information and U its score, the cluster's part
    B D'V⁻¹(I − H)⁻ᵖ r is L(I − L'ML)⁻ᵖ L'U: a power of a matrix of coefficients, not of rows. A direction
    that the cluster alone determines (eigenvalue one) has residual zero and adds nothing.
    """
    means = model.cached_means
    pieces = []
    for index, (counts, exog) in enumerate(zip(model.endog_li, model.exog_li, strict=True)):
        mean = means[index][0]
        derivative = exog * mean[:, None]
        solved = model.cov_struct.covariance_matrix_solve(
            mean, index, np.sqrt(mean), (derivative, counts - mean)
        )
        pieces.append((derivative.T @ solved[0], derivative.T @ solved[1]))
    root = np.linalg.cholesky(np.linalg.inv(sum(information for information, _ in pieces)))
    covariance = np.zeros_like(root)
    for information, score in pieces:
        values, vectors = np.linalg.eigh(root.T @ information @ root)
        own = values < LEVERAGE_ONE
        inflated = vectors[:, own] * (1 - values[own]) ** -power @ (vectors[:, own].T @ (root.T @ score))
        part = root @ inflated
        covariance += np.outer(part, part)
    return covariance
