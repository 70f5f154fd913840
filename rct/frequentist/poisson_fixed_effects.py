"""Incidence rate ratios by Poisson regression with unit and period effects.

Estimand: the intention-to-treat incidence rate ratio, constant or by time since training began; consistent
for a log-linear mean whatever the distribution of the counts (Wooldridge 1999). With one treatment indicator
and effects that grow or fade, the constant ratio is not their average: the mean over exposure times is
(Kenny et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import ConvergenceError, EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import (
    require_count,
    require_effect,
    require_level,
    require_names,
    require_one_of,
)
from rct.frequentist.clustered_fit import ClusteredFit, fit_clustered
from rct.frequentist.estimation_sample import SampleSize
from rct.frequentist.fixed_effects_likelihood import FixedEffectsFit
from rct.frequentist.inference.cluster_robust import Correction
from rct.frequentist.inference.two_way_clusters import Cluster
from rct.frequentist.linear_trends import Trends, require_finite_trends, with_trends
from rct.frequentist.model_sample import ModelSample, model_sample
from rct.frequentist.panel_layout import fit_layout, panel_layout
from rct.frequentist.random_rate_poisson import random_rate_poisson
from rct.frequentist.ratio_estimates import Contrast, Description, method_name, ratio_estimate
from rct.frequentist.small_count_bias import small_count_bias
from rct.frequentist.treatment_terms import Effect, Term

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.panel import Panel


def poisson(
    panel: Panel,
    outcome: str,
    *,
    fixed_effects: Sequence[str] = ("unit", "period"),
    covariates: Sequence[str] = (),
    cluster: Cluster = None,
    random_effects: Literal["gamma", "normal"] | None = None,
    quadrature: int = 1,
    correction: Correction = "auto",
    trends: Trends | None = None,
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
    cluster : str or (str, str), optional
        Column whose values share an error; the panel's cluster where absent. Two columns, ("unit", "period")
        say: two-way clustering (Cameron, Gelbach & Miller 2011) with CR0, CR1, CR1S or CR1N, factor and t on
        the smaller number of clusters; a variance that is not positive semi-definite is mended and said so,
        and a negative one refused. Below 40 clusters of either kind there is no small-sample form, so one of
        these corrections must be asked for by name.
    random_effects : {None, "gamma", "normal"}
        Random rates of the units in place of unit effects: gamma by the exact marginal likelihood,
        log-normal by quadrature. Standard errors are model-based.
    quadrature : int
        Points of the adaptive Gauss–Hermite rule for normal random effects; 1 is Laplace's approximation.
    trends : {None, "unit", "cluster"}
        A linear trend in time for every unit, or for every cluster of the panel, beside the fixed effects.
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
        units were added up before the fit, else "general". `notes["small_count_bias"]` of exposure-time
        effects: the bias of order 1/events at the fit, not taken off; beyond a quarter of the standard error
        the warning tells of it.

    Raises
    ------
    DataError
        Fractional counts, an unknown column, or a covariate that is no number.
    EstimationError
        The effect does not exist in this design or sample, or its uncertainty does not.
    """
    _check_options(random_effects, quadrature, trends, effect, average, level)
    require_names("fixed_effects", fixed_effects)
    if random_effects is not None:
        if cluster is not None or correction not in ("auto", "model"):
            raise EstimationError(
                "with random effects standard errors are model-based: leave cluster and correction out, or"
                " use fixed effects"
            )
        return random_rate_poisson(
            panel,
            outcome,
            distribution=random_effects,
            quadrature=quadrature,
            fixed_effects=fixed_effects,
            covariates=covariates,
            effect=effect,
            average=average,
            level=level,
        )
    panel.require_counts(outcome, asked_by="a Poisson model")
    settled = None
    if not covariates and trends is None and average is None and isinstance(cluster, str | None):
        settled = _by_layout(panel, outcome, fixed_effects, cluster, correction, effect)
    model, fitted, size, cluster_name = settled or _by_rows(
        model_sample(panel, outcome, fixed_effects, covariates, effect, average), cluster, correction, trends
    )
    terms, beside = model.terms, model.sample.rows.covariates.shape[1] - len(covariates)
    _require_identified(terms, [*covariates, *["treatment beside linear trends"] * beside], fitted.fit)
    describe = Description(
        outcome=outcome,
        reference=panel.control,
        cluster=cluster_name,
        method=method_name(fixed_effects, covariates) + (f", linear trends by {trends}" if trends else ""),
        left_out=[t.name for i, t in enumerate(model.treatment.terms) if i not in model.sample.terms],
        pooled=[f"{time} (as {t.exposure_time})" for t in terms for time in t.also],
        incomplete=model.incomplete,
        level=level,
    )
    # One ratio rests on all events together, exposure times on few each.
    bias = small_count_bias(fitted.cells, fitted.fit) if effect == "exposure-time" else None
    estimates = [
        ratio_estimate(describe, size, fitted, _described(model, term, weights, bias))
        for term, weights in model.contrasts()
    ]
    if effect == "exposure-time" and average is None:
        return Estimates(tuple(estimates))
    return _one_or_several(estimates)


_Fitted = tuple[ModelSample, ClusteredFit, SampleSize, str]


def _by_layout(
    panel: Panel,
    outcome: str,
    fixed_effects: Sequence[str],
    cluster: str | None,
    correction: Correction,
    effect: Effect,
) -> _Fitted | None:
    """Fit by what the panel keeps of its rows, where that is possible."""
    counts = panel.frame[outcome].to_numpy()
    if counts.dtype.kind not in "iuf" or (counts.dtype.kind == "f" and np.isnan(counts.min())):
        return None
    layout = panel_layout(panel, outcome, fixed_effects, effect, cluster or "cluster")
    if layout is None:
        return None
    found = fit_layout(layout, counts, correction)
    return None if found is None else (layout.model, *found, layout.cluster_name)


def _by_rows(model: ModelSample, cluster: Cluster, correction: Correction, trends: Trends | None) -> _Fitted:
    plain = model
    if trends is not None:
        model = replace(model, sample=replace(model.sample, rows=with_trends(model, trends)))
    if correction != "model":
        model.require_treated_clusters(cluster)
    try:
        fitted = fit_clustered(model.sample.rows, model.clusterings(cluster), correction)
    except ConvergenceError:
        if trends is not None:
            require_finite_trends(plain, trends)
        raise
    return model, fitted, model.sample.size, model.cluster_name(cluster)


def _check_options(
    random_effects: object, quadrature: int, trends: object, effect: str, average: object, level: float
) -> None:
    require_one_of("trends", trends, (None, "unit", "cluster"))
    require_count("quadrature", quadrature, 0)
    if trends is not None and random_effects is not None:
        raise EstimationError("trends go with fixed effects: leave random_effects out")
    if quadrature != 1 and random_effects is None:
        raise EstimationError(
            f'quadrature={quadrature} is of random effects: give random_effects="normal" with it'
        )
    require_effect(effect, average)
    require_level(level)


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


def _described(
    model: ModelSample, term: Term, weights: NDArray[np.float64], bias: NDArray[np.float64] | None
) -> Contrast:
    return Contrast(
        arm=term.arm,
        name=model.name(term),
        estimand=model.estimand(term),
        exposure_time=term.exposure_time,
        weights=weights,
        bias=None if bias is None else float(weights @ bias[: len(weights)]),
    )


def _one_or_several(rows: list[Estimate]) -> Estimate | Estimates:
    return rows[0] if len(rows) == 1 else Estimates(tuple(rows))
