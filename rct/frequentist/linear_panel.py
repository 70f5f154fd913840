"""Differences in rates by linear regression with fixed effects of unit and period.

Estimand: the intention-to-treat difference in events per unit of exposure, constant over time. With staggered
treatment and effects that differ by time or cohort it is a weighted mean in which weights can be negative
(Goodman-Bacon 2021): `staggered` has none of that. The fit is linearmodels' `PanelOLS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.inference.cluster_robust import FEW_CLUSTERS, small_sample_factor
from rct.frequentist.inference.wald import wald
from rct.frequentist.panel_columns import column_codes, covariate_columns
from rct.frequentist.treatment_terms import TreatmentTerms, treatment_terms

if TYPE_CHECKING:
    import pandas as pd
    from linearmodels.panel.results import PanelEffectsResults
    from numpy.typing import NDArray

    from rct.panel import Panel

LinearCorrection = Literal["debiased", "none", "group-debiased", "CR1N"]
MOST_EFFECTS = 2


def linear(
    panel: Panel,
    outcome: str,
    *,
    fixed_effects: Sequence[str] = ("unit", "period"),
    covariates: Sequence[str] = (),
    cluster: str | None = None,
    correction: LinearCorrection = "debiased",
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
    cluster : str, optional
        Column whose values share an error; the panel's cluster where absent.
    correction : {"debiased", "none", "group-debiased", "CR1N"}
        Factor on the clustered variance, N rows, G clusters, K coefficients of which E are effects:
        N/(N−K) (linearmodels' default), N/(N−E) (its debiased=False), the first times G/(G−1)·(N−1)/N (its
        group_debias), or G/(G−1)·(N−1)/(N−K) without the effects nested in clusters (fixest's convention).
    level : float

    Returns
    -------
    Estimate or Estimates
        One Estimate for one arm, else Estimates; scale "difference", limits from t on G − 1.

    Raises
    ------
    DataError
        An unknown column, or a covariate that is no number.
    EstimationError
        Treatment or a covariate is explained by the effects, or there is no variance to estimate.
    """
    if not 0 < level < 1:
        raise EstimationError(f"level must lie between 0 and 1, not {level}")
    if len(fixed_effects) > MOST_EFFECTS:
        raise EstimationError(
            f"linear takes at most two fixed effects, not {', '.join(fixed_effects)}; join two of them"
            ' ("block:period"), or use poisson, which takes any number'
        )
    rows = panel.rows(outcome)
    values, complete = covariate_columns(rows, covariates)
    rows, values = rows.loc[complete].reset_index(drop=True), values[complete]
    if not rows["count"].any():
        raise EstimationError("there is no event in any row, so no rate to compare")
    treatment = treatment_terms(rows, "constant")
    for name, column in zip(covariates, values.T, strict=True):
        if np.ptp(column) == 0:
            raise EstimationError(f"covariate {name} is the same in every row, so it explains nothing")
    names = [term.name for term in treatment.terms]
    design = np.column_stack([_indicators(treatment), values])
    clusters = column_codes(rows, cluster or "cluster")
    _require_treated_clusters(treatment, names, clusters)
    fit = _fit(rows, design, [*names, *covariates], fixed_effects, clusters, correction)
    about = _Description(
        outcome=outcome,
        reference=panel.control,
        estimand=_estimand(treatment.dose),
        method=_method(fixed_effects, covariates),
        inference=f"cluster-robust ({correction}), t({fit.n_clusters - 1})"
        f" ({fit.n_clusters} clusters: {_cluster_name(rows, cluster)})",
        level=level,
    )
    result = [_estimate(about, rows, fit, number, name) for number, name in enumerate(names)]
    return result[0] if len(result) == 1 else Estimates(tuple(result))


def _require_treated_clusters(
    treatment: TreatmentTerms, names: list[str], clusters: NDArray[np.intp]
) -> None:
    if clusters.max() == 0:
        raise EstimationError(
            "all rows lie in one cluster, so the variance between clusters does not exist; name a finer"
            " cluster"
        )
    for number, name in enumerate(names):
        if len(np.unique(clusters[treatment.term == number])) < 2:
            raise EstimationError(
                f"one cluster alone is treated ({name}), so the variance between treated clusters does not"
                " exist; name a finer cluster, or use a randomization test"
            )


def _indicators(treatment: TreatmentTerms) -> NDArray[np.float64]:
    indicators = treatment.term[:, None] == np.arange(len(treatment.terms))
    return indicators * treatment.dose[:, None]


@dataclass(frozen=True)
class _LinearFit:
    """Coefficients and clustered standard errors, terms first."""

    coefficients: NDArray[np.float64]
    std_errors: NDArray[np.float64]
    n_clusters: int


def _fit(
    rows: pd.DataFrame,
    design: NDArray[np.float64],
    names: list[str],
    fixed_effects: Sequence[str],
    clusters: NDArray[np.intp],
    correction: LinearCorrection,
) -> _LinearFit:
    n_clusters = int(np.count_nonzero(np.bincount(clusters)))
    found = _panel_ols(rows, design, fixed_effects, clusters, correction)
    left = () if found is None else found.params.index
    lost = [name for i, name in enumerate(names) if i not in left]
    if found is None or lost:
        raise EstimationError(
            f"{', '.join(lost)}: explained by the fixed effects, so not identified. If everyone crosses in"
            " the same period, period effects and treatment are one; a covariate or dose that never varies"
            " within units is explained by them. Leave out the effects or the covariate at fault."
        )
    factor = 1.0
    if correction == "CR1N":
        factor = small_sample_factor(
            "CR1N",
            n_clusters=n_clusters,
            n_rows=len(rows),
            n_parameters=_parameters(rows, len(names), fixed_effects, clusters),
        )
    std_errors = found.std_errors.to_numpy()[: len(names)] * np.sqrt(factor)
    if not np.all(std_errors > 0):
        raise EstimationError(
            "the residuals of every cluster add up to nothing, so there is no variance: too few clusters"
            " differ in treatment for these effects"
        )
    return _LinearFit(found.params.to_numpy(), std_errors, n_clusters)


def _panel_ols(
    rows: pd.DataFrame,
    design: NDArray[np.float64],
    fixed_effects: Sequence[str],
    clusters: NDArray[np.intp],
    correction: LinearCorrection,
) -> PanelEffectsResults | None:
    """Fit, the columns of the design named by their numbers; those that the effects explain drop out.

    None where they explain all of them.
    """
    import warnings

    import pandas as pd
    from linearmodels.panel import PanelOLS
    from linearmodels.panel.utility import AbsorbingEffectWarning

    # Numbers in place of names: linearmodels sorts and compares its index again and again.
    index = pd.MultiIndex.from_arrays([column_codes(rows, "unit"), rows["period"]])
    exposure = rows["exposure"].to_numpy(dtype=float)
    constant = [] if fixed_effects else [np.ones(len(rows))]
    others = [column_codes(rows, name) for name in fixed_effects if name not in ("unit", "period")]
    model = PanelOLS(
        pd.DataFrame({"rate": rows["count"].to_numpy(dtype=float) / exposure}, index=index),
        pd.DataFrame(np.column_stack([design, *constant]), index=index),
        weights=pd.DataFrame({"weight": exposure}, index=index) if np.ptp(exposure) > 0 else None,
        entity_effects="unit" in fixed_effects,
        time_effects="period" in fixed_effects,
        other_effects=pd.DataFrame(np.column_stack(others), index=index) if others else None,
        drop_absorbed=True,
    )
    with warnings.catch_warnings():
        # What is explained by the effects is told by name in the error of `_fit`.
        warnings.simplefilter("ignore", AbsorbingEffectWarning)
        try:
            return model.fit(
                low_memory=True if len(fixed_effects) == MOST_EFFECTS else None,
                cov_type="clustered",
                clusters=pd.DataFrame({"cluster": clusters}, index=index),
                group_debias=correction == "group-debiased",
                debiased=correction in ("debiased", "group-debiased"),
                auto_df=False,
                count_effects=correction != "CR1N",
            )
        except ValueError as error:
            if "absorbed" not in str(error):
                raise
            return None


def _parameters(
    rows: pd.DataFrame, terms: int, fixed_effects: Sequence[str], clusters: NDArray[np.intp]
) -> int:
    """Count coefficients as fixest does: an effect nested in the clusters is not counted."""
    counted = terms + 1
    for codes in (column_codes(rows, name) for name in fixed_effects):
        cluster_of_level = np.zeros(int(codes.max()) + 1, dtype=np.intp)
        cluster_of_level[codes] = clusters
        counted += 0 if np.all(cluster_of_level[codes] == clusters) else int(codes.max())
    return counted


@dataclass(frozen=True, kw_only=True)
class _Description:
    """What the estimates of one call have in common."""

    outcome: str
    reference: str
    estimand: str
    method: str
    inference: str
    level: float


def _estimand(dose: NDArray[np.float64]) -> str:
    per_dose = " per unit of dose" if np.any((dose > 0) & (dose != 1)) else ""
    return f"ITT difference in rates{per_dose}, constant effect"


def _method(fixed_effects: Sequence[str], covariates: Sequence[str]) -> str:
    effects = f", {' and '.join(fixed_effects)} effects" if fixed_effects else ""
    return "linear" + effects + (f", covariates {', '.join(covariates)}" if covariates else "")


def _cluster_name(rows: pd.DataFrame, cluster: str | None) -> str:
    if cluster not in (None, "cluster"):
        return str(cluster)
    return "randomized units" if rows["cluster"].equals(rows["randomized"]) else "cluster"


def _estimate(about: _Description, rows: pd.DataFrame, fit: _LinearFit, number: int, name: str) -> Estimate:
    value, std_error, df = float(fit.coefficients[number]), float(fit.std_errors[number]), fit.n_clusters - 1
    low, high, p_value = wald(value, std_error, df, about.level)
    untreated = rows.loc[rows["treated"] == 0, ["count", "exposure"]].sum()
    few = (
        f"only {fit.n_clusters} clusters (fewer than {FEW_CLUSTERS}): clustered standard errors are too"
        " small, trust a randomization test before them"
    )
    return Estimate(
        outcome=about.outcome,
        term=name,
        arm=name,
        reference=about.reference,
        estimand=about.estimand,
        method=about.method,
        inference=about.inference,
        scale="difference",
        level=about.level,
        estimate=value,
        std_error=std_error,
        df=float(df),
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        baseline=float(untreated["count"] / untreated["exposure"]),
        n_units=int(rows["unit"].nunique()),
        n_clusters=fit.n_clusters,
        n_events=float(rows["count"].sum()),
        warning=few if fit.n_clusters < FEW_CLUSTERS else "",
        notes={"rows": len(rows)},
    )
