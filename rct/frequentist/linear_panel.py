"""Differences in rates by linear regression with fixed effects of unit and period.

Estimand: the intention-to-treat difference in events per unit of exposure, constant over time. With staggered
treatment and effects that differ by time or cohort it is a weighted mean in which weights can be negative
(Goodman-Bacon 2021): `staggered` has none of that. The fit is linearmodels' `PanelOLS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import require_level, require_names
from rct.frequentist.inference.cluster_robust import FEW_CLUSTERS
from rct.frequentist.inference.two_way_clusters import MENDED, Cluster, cluster_columns
from rct.frequentist.inference.wald import wald
from rct.frequentist.linear_leverage import unit_rows
from rct.frequentist.panel_columns import centred_covariates, cluster_names, column_codes
from rct.frequentist.panel_least_squares import (
    MOST_EFFECTS,
    LinearCorrection,
    LinearFit,
    LinearRows,
    fit_least_squares,
)
from rct.frequentist.treated_clusters import require_several_comparisons, require_treated_clusters
from rct.frequentist.treatment_terms import TreatmentTerms, treatment_terms

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel


def linear(
    panel: Panel,
    outcome: str,
    *,
    fixed_effects: Sequence[str] = ("unit", "period"),
    covariates: Sequence[str] = (),
    cluster: Cluster = None,
    correction: LinearCorrection = "auto",
    level: float = 0.95,
) -> Estimate | Estimates:
    """Estimate the difference in rates with fixed effects, least squares and clustered standard errors.

    Parameters
    ----------
    panel : Panel
    outcome : str
        Divided by its exposure; rows are weighted by their exposure.
    fixed_effects : sequence of str
        At most two of "unit", "period", "block:period" or other columns of the panel.
    covariates : sequence of str
        Numeric columns that enter linearly.
    cluster : str or (str, str), optional
        Column whose values share an error; the panel's cluster where absent. Two columns: two-way clustering
        (Cameron, Gelbach & Miller 2011), t on the smaller number of clusters.
    correction : str
        "auto": CR2 below 40 clusters, else "debiased"; with two clusterings below 40 one must be named. Of N
        rows, G clusters, K coefficients of which E are effects. Factors on the clustered variance: "debiased"
        N/(N−K), linearmodels' default; "none" N/(N−E), its debiased=False; "group-debiased" the first times
        G/(G−1)·(N−1)/N; "CR0" 1; "CR1" G/(G−1); "CR1S" G/(G−1)·(N−1)/(N−K); "CR1N" the same without the
        effects nested in clusters, fixest's convention. "CR2": Bell & McCaffrey with Satterthwaite's degrees
        of freedom; "CR3": near the jackknife; both on sums over units of a cluster that share design and
        exposure.
    level : float

    Returns
    -------
    Estimate or Estimates
        One Estimate for one arm, else Estimates; scale "difference", limits from t on G − 1, with CR2 on
        Satterthwaite's degrees of freedom.

    Raises
    ------
    DataError
        An unknown column, or a covariate that is no number.
    EstimationError
        Treatment or a covariate is explained by the effects, or there is no variance to estimate.
    """
    require_names("fixed_effects", fixed_effects)
    if len(fixed_effects) > MOST_EFFECTS:
        raise EstimationError(
            f"linear takes at most two fixed effects, not {', '.join(fixed_effects)}; join two of them"
            ' ("block:period"), or use poisson, which takes any number'
        )
    sample = linear_sample(panel, outcome, covariates, cluster, level)
    rows = sample.rows
    exposure = rows["exposure"].to_numpy(dtype=float)
    data = LinearRows(
        unit=column_codes(rows, "unit"),
        period=rows["period"].to_numpy(),
        response=rows["count"].to_numpy(dtype=float) / exposure,
        weight=exposure,
        design=sample.design,
        names=sample.names,
        effects={name: column_codes(rows, name) for name in fixed_effects},
    )
    require_linear_comparisons(data, len(sample.treatment.terms), sample.clusterings, cluster)
    fit = fit_least_squares(data, sample.clusterings, correction)
    effects = f", {' and '.join(fixed_effects)} effects" if fixed_effects else ""
    method = f"linear{effects}{with_covariates(covariates)}"
    about = DifferenceDescription(panel, outcome, "constant effect", method, cluster, level)
    return differences(about, sample, fit)


@dataclass(frozen=True)
class LinearSample:
    """Rows of an outcome and what is regressed on.

    rows : usable rows, complete in the covariates
    design : (rows, terms) doses first, then covariates; names beside it
    clusterings : codes (rows,) of one or two clusterings
    """

    rows: pd.DataFrame
    treatment: TreatmentTerms
    design: NDArray[np.float64]
    names: list[str]
    clusterings: tuple[NDArray[np.intp], ...]


def linear_sample(
    panel: Panel, outcome: str, covariates: Sequence[str], cluster: Cluster, level: float
) -> LinearSample:
    """Read the panel for a linear model of rates.

    Raises
    ------
    EstimationError
        No event, no treatment, a covariate that never varies, or clusters that hold no comparison.
    """
    require_level(level)
    rows = panel.rows(outcome)
    values, complete = centred_covariates(rows, covariates)
    rows, values = rows.loc[complete].reset_index(drop=True), values[complete]
    if not rows["count"].any():
        raise EstimationError("there is no event in any row, so no rate to compare")
    treatment = treatment_terms(rows, "constant")
    for name, column in zip(covariates, values.T, strict=True):
        if np.ptp(column) == 0:
            raise EstimationError(f"covariate {name} is the same in every row, so it explains nothing")
    by = cluster_columns(cluster)
    clusterings = tuple(column_codes(rows, name) for name in by)
    for name, clusters in zip(by, clusterings, strict=True):
        require_treated_clusters([t.name for t in treatment.terms], treatment.term, clusters, name)
    indicators = treatment.term[:, None] == np.arange(len(treatment.terms))
    design = np.column_stack([indicators * treatment.dose[:, None], values])
    names = [*(term.name for term in treatment.terms), *covariates]
    return LinearSample(rows, treatment, design, names, clusterings)


def require_linear_comparisons(
    rows: LinearRows, n_terms: int, clusterings: tuple[NDArray[np.intp], ...], cluster: Cluster
) -> None:
    """Refuse a difference that one cluster alone shows; the first `n_terms` columns are treatment.

    Raises
    ------
    EstimationError
    """
    beside = unit_rows(rows.weight, rows.weight, rows.design[:, n_terms:], rows.unit, rows.effects)
    for name, clusters in zip(cluster_columns(cluster), clusterings, strict=True):
        require_several_comparisons(beside, rows.names[:n_terms], rows.design[:, :n_terms], clusters, name)


@dataclass(frozen=True)
class DifferenceDescription:
    """What the estimates of one call have in common; `effect` says which difference is estimated."""

    panel: Panel
    outcome: str
    effect: str
    method: str
    cluster: Cluster
    level: float


def differences(about: DifferenceDescription, sample: LinearSample, fit: LinearFit) -> Estimate | Estimates:
    """Give the difference in rates of each arm."""
    result = [_difference(about, sample, fit, number) for number in range(len(sample.treatment.terms))]
    return result[0] if len(result) == 1 else Estimates(tuple(result))


def with_covariates(covariates: Sequence[str]) -> str:
    """Name the covariates at the end of a method's name."""
    return f", covariates {', '.join(covariates)}" if covariates else ""


def _difference(about: DifferenceDescription, sample: LinearSample, fit: LinearFit, number: int) -> Estimate:
    rows, dose, df = sample.rows, sample.treatment.dose, float(fit.df[number])
    value, std_error = float(fit.coefficients[number]), float(fit.std_errors[number])
    low, high, p_value = wald(value, std_error, df, about.level)
    untreated = rows.loc[rows["treated"] == 0, ["count", "exposure"]].sum()
    per_dose = " per unit of dose" if np.any((dose > 0) & (dose != 1)) else ""
    reference = "Satterthwaite df" if fit.correction == "CR2" else f"t({fit.n_clusters - 1})"
    return Estimate(
        outcome=about.outcome,
        term=sample.names[number],
        arm=sample.names[number],
        reference=about.panel.control,
        estimand=f"ITT difference in rates{per_dose}, {about.effect}",
        method=about.method,
        inference=f"cluster-robust ({fit.correction}), {reference}"
        f" ({fit.n_clusters} clusters: {cluster_names(rows, about.cluster)})",
        scale="difference",
        level=about.level,
        estimate=value,
        std_error=std_error,
        df=df,
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        baseline=float(untreated["count"] / untreated["exposure"]),
        n_units=int(rows["unit"].nunique()),
        n_clusters=fit.n_clusters,
        n_events=float(rows["count"].sum()),
        warning=_warning(fit),
        notes={"rows": len(rows)},
    )


def _warning(fit: LinearFit) -> str:
    warnings = [MENDED] if fit.mended else []
    if fit.n_clusters < FEW_CLUSTERS:
        fault = "rough" if fit.correction in ("CR2", "CR3") else "too small"
        warnings.append(
            f"only {fit.n_clusters} clusters (fewer than {FEW_CLUSTERS}): clustered standard errors are"
            f" {fault}, trust a randomization test before them"
        )
    return "; ".join(warnings)
