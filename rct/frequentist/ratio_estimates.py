"""Log rate ratios of a clustered Poisson fit, dressed: value, uncertainty, estimand, sample, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.estimates import Estimate
from rct.frequentist.clustered_fit import ClusteredFit
from rct.frequentist.estimation_sample import SampleSize
from rct.frequentist.inference.cluster_robust import FEW_CLUSTERS, Correction, Variance
from rct.frequentist.inference.two_way_clusters import MENDED, require_positive
from rct.frequentist.inference.wald import wald
from rct.frequentist.small_count_bias import TOLD_SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the estimates of one call have in common."""

    outcome: str
    reference: str
    cluster: str
    method: str
    left_out: list[str]
    pooled: list[str]
    incomplete: int
    level: float


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One effect of a fit: its labels, and the weights (coefficients,) of the coefficients it is made of.

    bias : what the weighted coefficients are expected to be off by, where few counts lie behind each
    """

    arm: str
    name: str
    estimand: str
    weights: NDArray[np.float64]
    exposure_time: int | None = None
    bias: float | None = None


def ratio_estimate(
    describe: Description, size: SampleSize, fitted: ClusteredFit, effect: Contrast
) -> Estimate:
    """Give one effect with its Wald limits; the fit has no collinear terms."""
    variance = fitted.variance
    assert variance is not None
    contrast = np.r_[effect.weights, np.zeros(len(fitted.fit.coefficients) - len(effect.weights))]
    value = float(contrast @ fitted.fit.coefficients)
    require_positive(float(contrast @ variance.covariance @ contrast), effect.name, mended=fitted.mended)
    std_error, df = variance.std_error(contrast), variance.df(contrast)
    low, high, p_value = wald(value, std_error, df, describe.level)
    return Estimate(
        outcome=describe.outcome,
        term=effect.name,
        arm=effect.arm,
        reference=describe.reference,
        exposure_time=float("nan") if effect.exposure_time is None else float(effect.exposure_time),
        estimand=effect.estimand,
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
        n_units=size.units,
        n_clusters=variance.n_clusters,
        n_events=size.events,
        warning="; ".join([*_warnings(describe, size, fitted, variance), *_biased(effect.bias, std_error)]),
        notes={
            "path": fitted.path,
            "rows": size.rows,
            "dropped_units": size.dropped_units,
            "dropped_single": size.dropped_single,
            "dropped_levels": size.dropped_levels,
            "dropped_terms": ", ".join(describe.left_out),
            "pooled_exposure_times": ", ".join(describe.pooled),
            "incomplete_rows": describe.incomplete,
            **({} if effect.bias is None else {"small_count_bias": effect.bias}),
        },
    )


def method_name(fixed_effects: Sequence[str], covariates: Sequence[str]) -> str:
    """Name a Poisson model, for tables."""
    effects = " and ".join(fixed_effects)
    text = f"Poisson, {effects} effects" if fixed_effects else "Poisson"
    return text + (f", covariates {', '.join(covariates)}" if covariates else "")


def _inference(correction: Correction, variance: Variance, cluster: str) -> str:
    if correction == "model":
        return "model-based, normal"
    reference = "Satterthwaite df" if correction == "CR2" else f"t({variance.n_clusters - 1})"
    return f"cluster-robust {correction}, {reference} ({variance.n_clusters} clusters: {cluster})"


def _biased(bias: float | None, std_error: float) -> list[str]:
    """Tell of a bias that the interval does not cover for."""
    if bias is None or abs(bias) <= TOLD_SHARE * std_error:
        return []
    return [
        f"few events: expected to lie {abs(bias):.2g} too {'low' if bias < 0 else 'high'} on the log scale,"
        f" {abs(bias) / std_error:.0%} of its standard error; pool exposure times or take a smooth curve"
    ]


def _warnings(describe: Description, size: SampleSize, fitted: ClusteredFit, variance: Variance) -> list[str]:
    parts = []
    if variance.n_clusters < FEW_CLUSTERS and fitted.correction != "model":
        parts.append(
            f"only {variance.n_clusters} clusters ({describe.cluster}; fewer than {FEW_CLUSTERS}): robust"
            " standard errors are rough, trust a randomization test before them"
        )
    if fitted.correction == "model" and variance.n_clusters < size.units:
        parts.append("model-based standard errors ignore that units of a cluster move together")
    for count, what in (
        (size.dropped_units, "units without an event"),
        (size.dropped_single, "units seen once"),
        (size.dropped_levels, "periods (or other effects) without an event"),
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
    if fitted.mended:
        parts.append(MENDED)
    return parts
