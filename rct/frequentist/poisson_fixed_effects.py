"""Incidence rate ratios by Poisson regression with unit and period effects.

Estimand: the intention-to-treat incidence rate ratio, constant or by time since training began; consistent
for a log-linear mean whatever the distribution of the counts (Wooldridge 1999). With one treatment indicator
and effects that grow or fade, the constant ratio is not their average: the mean over exposure times is
(Kenny et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.clustered_fit import ClusteredFit, fit_clustered
from rct.frequentist.collapsed_cells import UnitRows
from rct.frequentist.estimation_sample import Sample, likelihood_rows
from rct.frequentist.fixed_effects_likelihood import FixedEffectsFit
from rct.frequentist.inference.cluster_robust import FEW_CLUSTERS, Correction, Variance
from rct.frequentist.inference.wald import wald
from rct.frequentist.integer_codes import dense_codes
from rct.frequentist.panel_columns import column_codes, covariate_columns
from rct.frequentist.treatment_terms import (
    Effect,
    Term,
    TreatmentTerms,
    pool_without_events,
    treatment_terms,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel


def poisson(
    panel: Panel,
    outcome: str,
    *,
    fixed_effects: Sequence[str] = ("unit", "period"),
    covariates: Sequence[str] = (),
    cluster: str | None = None,
    random_effects: Literal["gamma", "normal"] | None = None,
    quadrature: int = 1,
    correction: Correction = "auto",
    trends: str | None = None,
    effect: Effect = "constant",
    average: tuple[int, int] | None = None,
    level: float = 0.95,
) -> Estimate | Estimates:
    """Estimate the log incidence rate ratio of treatment with fixed effects of unit and period.

    Parameters
    ----------
    panel : Panel
    outcome : str
        A count; fractions are refused unless the panel declares them (quasi-likelihood then).
    fixed_effects : sequence of str
        "unit", "period", "block:period", or other columns of the panel, covariates included.
    covariates : sequence of str
        Numeric columns that enter linearly.
    cluster : str, optional
        Column whose values share an error; the panel's cluster where absent.
    random_effects, quadrature, trends
        Not available yet: anything but the default is refused.
    correction : str
        Small-sample correction of the cluster-robust variance. "auto": CR2 below 40 clusters, else CR1.
        CR1: G/(G−1). CR1S: times (N−1)/(N−K), every coefficient counted in K, N the rows with a likelihood.
        CR1N: the same without the effects nested in clusters (fixest's convention). CR2: Bell & McCaffrey
        with Satterthwaite's degrees of freedom. CR3: near the jackknife. "model": inverse information, normal
        limits. All but CR2 and "model" use t on G−1. Where units of a cluster share treatment and exposure,
        CR2 and CR3 work on the sums over them.
    effect : {"constant", "exposure-time"}
        One ratio for each arm, or one for each arm and period since training began (1 = first treated
        period).
    average : (int, int), optional
        With exposure-time effects: the mean of the coefficients of these exposure times, first and last. One
        without any event shares the coefficient of the nearest shorter one with events, and is named in
        the warning.
    level : float
        Confidence level.

    Returns
    -------
    Estimate or Estimates
        One Estimate for one effect, else Estimates; on the log scale. `notes["path"]` is "collapsed" where
        units were added up before the fit, else "general".

    Raises
    ------
    DataError
        Fractional counts, an unknown column, or a covariate that is no number.
    EstimationError
        The effect does not exist in this design or sample, or its uncertainty does not.
    """
    _check_options(random_effects, quadrature, trends, effect, average, level)
    panel.require_counts(outcome, asked_by="a Poisson model")
    rows = panel.rows(outcome)
    covariate_values, complete = covariate_columns(rows, covariates)
    if not complete.all():
        rows, covariate_values = rows.loc[complete].reset_index(drop=True), covariate_values[complete]
    treatment = treatment_terms(rows, effect)
    if average is not None:
        treatment = pool_without_events(treatment, rows["count"].to_numpy(dtype=float), average)
    sample = likelihood_rows(_unit_rows(rows, treatment, fixed_effects, covariate_values))
    _require_events(treatment, sample, average)
    clusters = _clusters(rows, cluster or "cluster", sample)
    fitted = fit_clustered(sample.rows, clusters, correction)
    terms = [treatment.terms[i] for i in sample.terms]
    _require_identified(terms, list(covariates), fitted.fit)
    describe = _Description(
        outcome=outcome,
        reference=panel.control,
        cluster=_cluster_name(rows, cluster),
        method=_method(fixed_effects, covariates),
        per_dose=bool(np.any((treatment.dose > 0) & (treatment.dose != 1))),
        left_out=[t.name for i, t in enumerate(treatment.terms) if i not in sample.terms],
        pooled=[f"{time} (as {t.exposure_time})" for t in terms for time in t.also],
        incomplete=int(np.count_nonzero(~complete)),
        level=level,
    )
    dress = partial(_estimate, describe, sample, fitted)
    if average is not None:
        means = [_mean_over_exposure(terms, arm, average) for arm in dict.fromkeys(t.arm for t in terms)]
        return _one_or_several([dress(term, contrast, average) for term, contrast in means])
    single = [dress(term, contrast) for term, contrast in zip(terms, np.eye(len(terms)), strict=True)]
    return Estimates(tuple(single)) if effect == "exposure-time" else _one_or_several(single)


def _check_options(
    random_effects: object, quadrature: int, trends: object, effect: str, average: object, level: float
) -> None:
    for name, value, default in (
        ("random_effects", random_effects, None),
        ("quadrature", quadrature, 1),
        ("trends", trends, None),
    ):
        if value != default:
            raise EstimationError(
                f"poisson({name}={value!r}) is not built yet; leave {name} out and use fixed effects"
            )
    if effect not in ("constant", "exposure-time"):
        raise EstimationError(f'effect must be "constant" or "exposure-time", not {effect!r}')
    if average is not None and effect != "exposure-time":
        raise EstimationError(
            'average is a mean over exposure times: give effect="exposure-time" with it, or leave it out'
        )
    if not 0 < level < 1:
        raise EstimationError(f"level must lie between 0 and 1, not {level}")


def _unit_rows(
    rows: pd.DataFrame,
    treatment: TreatmentTerms,
    fixed_effects: Sequence[str],
    covariates: NDArray[np.float64],
) -> UnitRows:
    others = [name for name in fixed_effects if name != "unit"]
    return UnitRows(
        counts=rows["count"].to_numpy(dtype=float),
        exposure=rows["exposure"].to_numpy(dtype=float),
        unit=column_codes(rows, "unit"),
        effects=tuple(column_codes(rows, name) for name in others),
        term=treatment.term,
        dose=treatment.dose,
        n_terms=len(treatment.terms),
        covariates=covariates,
        unit_effects="unit" in fixed_effects,
    )


def _clusters(rows: pd.DataFrame, name: str, sample: Sample) -> NDArray[np.intp]:
    return sample.rows.unit if name == "unit" else dense_codes(column_codes(rows, name)[sample.kept])


def _require_events(treatment: TreatmentTerms, sample: Sample, average: tuple[int, int] | None) -> None:
    lost = [term for i, term in enumerate(treatment.terms) if i not in sample.terms]
    if not lost:
        return
    needed = [t for t in lost if t.exposure_time is None or _within(t, average)]
    if needed:
        raise EstimationError(
            f"no event carries information on {', '.join(t.name for t in needed)}: its log rate ratio has no"
            " finite estimate. Choose an outcome with more events, or average over exposure times that"
            " have some; a randomization test needs none."
        )


def _within(term: Term, average: tuple[int, int] | None) -> bool:
    return (
        average is not None
        and term.exposure_time is not None
        and average[0] <= term.exposure_time <= average[1]
    )


def _require_identified(terms: list[Term], covariates: list[str], fit: FixedEffectsFit) -> None:
    if not fit.collinear:
        return
    names = [*(t.name for t in terms), *covariates]
    lost = ", ".join(names[i] for i in fit.collinear)
    raise EstimationError(
        f"{lost}: explained by the fixed effects, so not identified. If everyone crosses in the same period,"
        " period effects and treatment are one; if nobody is untreated late in the trial, the last exposure"
        " times are too. Leave out the effects or the covariate at fault."
    )


def _one_or_several(rows: list[Estimate]) -> Estimate | Estimates:
    return rows[0] if len(rows) == 1 else Estimates(tuple(rows))


def _mean_over_exposure(
    terms: list[Term], arm: str, average: tuple[int, int]
) -> tuple[Term, NDArray[np.float64]]:
    first, last = average
    own = [t for t in terms if t.arm == arm]
    reached = sorted(time for t in own for time in (t.exposure_time, *t.also) if time is not None)
    if first < 1 or last < first or not set(range(first, last + 1)) <= set(reached):
        raise EstimationError(
            f"average=({first}, {last}): the exposure times of {arm} with data are"
            f" {', '.join(map(str, reached))}; give a first and a last one of these"
        )
    weights = [1 + len(t.also) if t.arm == arm and _within(t, average) else 0 for t in terms]
    return Term(arm), np.array(weights) / (last - first + 1)


@dataclass(frozen=True, kw_only=True)
class _Description:
    """What the estimates of one call have in common."""

    outcome: str
    reference: str
    cluster: str
    method: str
    per_dose: bool
    left_out: list[str]
    pooled: list[str]
    incomplete: int
    level: float


def _estimate(
    describe: _Description,
    sample: Sample,
    fitted: ClusteredFit,
    term: Term,
    contrast: NDArray[np.float64],
    average: tuple[int, int] | None = None,
) -> Estimate:
    variance = fitted.variance
    assert variance is not None  # collinear fits were refused
    contrast = np.r_[contrast, np.zeros(len(fitted.fit.coefficients) - len(contrast))]
    value, std_error, df = (
        float(contrast @ fitted.fit.coefficients),
        variance.std_error(contrast),
        variance.df(contrast),
    )
    low, high, p_value = wald(value, std_error, df, describe.level)
    return Estimate(
        outcome=describe.outcome,
        term=term.name if average is None else f"{term.arm}, mean over exposure times {_span(average)}",
        arm=term.arm,
        reference=describe.reference,
        exposure_time=float("nan") if term.exposure_time is None else float(term.exposure_time),
        estimand=_estimand(term, average, describe.per_dose),
        method=describe.method,
        inference=_inference(fitted.correction, variance, describe.cluster),
        scale="log",
        level=describe.level,
        estimate=value,
        std_error=std_error,
        df=df if np.isfinite(df) else float("nan"),
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        n_units=int(sample.rows.unit.max()) + 1,
        n_clusters=variance.n_clusters,
        n_events=float(sample.rows.counts.sum()),
        warning=_warning(describe, sample, fitted, variance),
        notes={
            "path": fitted.path,
            "rows": len(sample.rows.counts),
            "dropped_units": sample.dropped_units,
            "dropped_single": sample.dropped_single,
            "dropped_levels": sample.dropped_levels,
            "dropped_terms": ", ".join(describe.left_out),
            "pooled_exposure_times": ", ".join(describe.pooled),
            "incomplete_rows": describe.incomplete,
        },
    )


def _span(average: tuple[int, int]) -> str:
    return f"{average[0]}–{average[1]}"


def _estimand(term: Term, average: tuple[int, int] | None, per_dose: bool) -> str:
    ratio = "ITT incidence rate ratio" + (" per unit of dose" if per_dose else "")
    if average is not None:
        return f"{ratio}, mean over exposure times {_span(average)}"
    return f"{ratio}, " + (
        "constant effect" if term.exposure_time is None else f"exposure time {term.exposure_time}"
    )


def _cluster_name(rows: pd.DataFrame, cluster: str | None) -> str:
    if cluster not in (None, "cluster"):
        return str(cluster)
    return "randomized units" if rows["cluster"].equals(rows["randomized"]) else "cluster"


def _method(fixed_effects: Sequence[str], covariates: Sequence[str]) -> str:
    effects = " and ".join(fixed_effects)
    text = f"Poisson, {effects} effects" if fixed_effects else "Poisson"
    return text + (f", covariates {', '.join(covariates)}" if covariates else "")


def _inference(correction: Correction, variance: Variance, cluster: str) -> str:
    if correction == "model":
        return "model-based, normal"
    reference = "Satterthwaite df" if correction == "CR2" else f"t({variance.n_clusters - 1})"
    return f"cluster-robust {correction}, {reference} ({variance.n_clusters} clusters: {cluster})"


def _warning(describe: _Description, sample: Sample, fitted: ClusteredFit, variance: Variance) -> str:
    parts = []
    if variance.n_clusters < FEW_CLUSTERS and fitted.correction != "model":
        parts.append(
            f"only {variance.n_clusters} clusters ({describe.cluster}; fewer than {FEW_CLUSTERS}): robust"
            " standard errors are rough, trust a randomization test before them"
        )
    if fitted.correction == "model" and variance.n_clusters < sample.rows.unit.max() + 1:
        parts.append("model-based standard errors ignore that units of a cluster move together")
    for count, what in (
        (sample.dropped_units, "units without an event"),
        (sample.dropped_single, "units seen once"),
        (sample.dropped_levels, "periods (or other effects) without an event"),
    ):
        if count:
            parts.append(f"{count} {what} carry no information and were left out")
    if describe.left_out:
        parts.append(f"no event in {', '.join(describe.left_out)}: no finite estimate, left out")
    if describe.pooled:
        parts.append(
            f"no event at exposure time {', '.join(describe.pooled)}: without a finite estimate of their own"
            " they share a neighbour's, so the mean over exposure times is rough"
        )
    if describe.incomplete:
        parts.append(f"{describe.incomplete} rows with a missing covariate were left out")
    return "; ".join(parts)
