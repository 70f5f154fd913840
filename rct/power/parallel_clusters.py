"""Power of two arms of whole clusters, in closed form: unequal sizes, changes from a baseline, classes."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import RctError
from rct.power.solving import (
    Answer,
    check_autocorrelations,
    check_choice,
    check_finite,
    check_levels,
    check_not_negative,
    check_positive,
    only_unknown,
    reach,
)
from rct.power.wald_power import Distribution, rejection_probability

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

Weights = Literal["optimal", "size"]
MOST_CLUSTERS = 1e7


@dataclass(frozen=True, kw_only=True)
class ClusterMeans:
    """Inputs and answer of `cluster_means`; `variance` is that of the difference."""

    effect: float
    clusters: float
    power: float
    alpha: float
    cell_size: float
    icc: float
    cv: float
    weights: Weights
    total_variance: float
    baseline: bool
    cac: float
    iac: float
    distribution: Distribution
    far_tail: bool
    variance: float
    solved: str


@dataclass(frozen=True, kw_only=True)
class ClusterProportions:
    """Inputs and answer of `cluster_proportions`; `variance` is that of the difference."""

    control: float
    treated: float
    clusters: float
    power: float
    alpha: float
    cell_size: float
    icc: float
    cv: float
    weights: Weights
    pooled: bool
    distribution: Distribution
    far_tail: bool
    variance: float
    solved: str


@dataclass(frozen=True, kw_only=True)
class OneClusteredArm:
    """Inputs and answer of `one_clustered_arm`; `variance` is that of the difference."""

    effect: float
    clusters: float
    cell_size: float
    controls: float
    cluster_variance: float
    within_variance: float
    control_variance: float
    alpha: float
    power: float
    far_tail: bool
    variance: float
    solved: str


def design_effect(
    cell_size: "ArrayLike", *, icc: float, cv: float = 0.0, weights: Weights = "optimal"
) -> float:
    """Give the factor by which clustering inflates the variance of an arm's mean.

    "size", people weighted equally: Σ mⱼ (1 + (mⱼ − 1) ρ) / Σ mⱼ, which is 1 + ((cv² + 1) m − 1) ρ with the
    cv of divisor k (Eldridge, Ashby & Kerry 2006). "optimal", clusters weighted by inverse variance:
    Σ mⱼ / Σ [mⱼ / (1 + (mⱼ − 1) ρ)], or from a mean and a cv approximately
    (1 + (m − 1) ρ) / (1 − cv² λ (1 − λ)), λ = m ρ / (1 + (m − 1) ρ) (van Breukelen, Candel & Berger 2007).

    Parameters
    ----------
    cell_size : float or one per cluster
        Mean cluster size, or the sizes themselves.
    icc : float
    cv : float
        Coefficient of variation of the sizes, where `cell_size` is their mean.
    weights : {"optimal", "size"}

    Raises
    ------
    RctError
        If a size is not positive, icc lies outside [0, 1), or both sizes and a cv are given.
    """
    check_choice("weights", weights, Weights)
    check_not_negative(cv=cv)
    sizes = np.array(cell_size, dtype=float)
    if not (sizes > 0).all() or not 0 <= icc < 1:
        raise RctError("sizes must be positive, and icc in [0, 1)")
    if sizes.ndim and cv:
        raise RctError("give the sizes of the clusters, or their mean and cv, not both")
    inflation = 1 + (sizes - 1) * icc
    if sizes.ndim and weights == "optimal":
        return float(sizes.sum() / (sizes / inflation).sum())
    if sizes.ndim:
        return float((sizes * inflation).sum() / sizes.sum())
    if weights == "size":
        return float(1 + ((cv**2 + 1) * sizes - 1) * icc)
    share = sizes * icc / inflation
    loss = 1 - cv**2 * share * (1 - share)
    if loss <= 0:
        raise RctError(f"the approximation for optimal weights fails at a cv of {cv:g}: give the sizes")
    return float(inflation / loss)


def cluster_means(
    *,
    effect: float | None = None,
    clusters: float | None = None,
    power: float | None = None,
    alpha: float = 0.05,
    cell_size: float,
    icc: float,
    cv: float = 0.0,
    weights: Weights = "optimal",
    total_variance: float = 1.0,
    baseline: bool = False,
    cac: float = 1.0,
    iac: float = 0.0,
    distribution: Distribution = "noncentral-t",
    far_tail: bool = True,
) -> ClusterMeans:
    """Solve for the power, the difference or the clusters per arm of a parallel trial of means.

    Two-sided t test of cluster means on 2 (k − 1) df, variance 2 D σ² / (k m), D the `design_effect` (Donner
    & Klar 2000; clusterPower's ``cpa.normal``, which leaves the far tail out). With `baseline`, the
    difference of mean changes from one period to the next: variance 4 σ² (1 + (m − 1) ρ)(1 − r)/(k m), r =
    (m ρ c + (1 − ρ) a)/(1 + (m − 1) ρ) (Teerenstra et al. 2012); `cluster_design` uses the baseline as a
    covariate and is more precise. "shifted-t" without the far tail gives the iterated t quantiles of CRTSize,
    converged.

    Parameters
    ----------
    effect, clusters, power : float, optional
        Leave exactly one as None; `clusters` are per arm, solved a real number.
    alpha : float
        Two-sided.
    cell_size : float
        People per cluster (and period), on average.
    icc, cac, iac : float
        As in `cluster_design`.
    cv : float
        Of the cluster sizes; not with `baseline`.
    weights : {"optimal", "size"}
    total_variance : float
    baseline : bool
    distribution : {"normal", "noncentral-t", "shifted-t"}
    far_tail : bool

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an input is out of range, or no answer exists.
    """
    solved = only_unknown(effect=effect, clusters=clusters, power=power)
    _check(clusters, alpha, power, cell_size, icc)
    check_positive(total_variance=total_variance)
    check_finite(effect=effect)
    check_autocorrelations(cac=cac, iac=iac)
    if baseline and cv:
        raise RctError("the change from a baseline has no formula for unequal sizes: use cluster_design")
    inflation = design_effect(cell_size, icc=icc, cv=cv, weights=weights)
    unit = 2 * total_variance * inflation / cell_size
    if baseline:
        kept = (cell_size * icc * cac + (1 - icc) * iac) / (1 + (cell_size - 1) * icc)
        unit *= 2 * (1 - kept)
    given = ClusterMeans(
        effect=math.nan if effect is None else effect, clusters=clusters or math.nan, power=power or math.nan,
        alpha=alpha, cell_size=cell_size, icc=icc, cv=cv, weights=weights, total_variance=total_variance,
        baseline=baseline, cac=cac, iac=iac, distribution=distribution, far_tail=far_tail, variance=math.nan,
        solved=solved,
    )  # fmt: skip

    def power_of(x: ClusterMeans) -> float:
        return _power(x.effect, unit, x)

    if solved == "power":
        answer: ClusterMeans | None = replace(given, power=power_of(given))
    elif solved == "clusters":
        answer = _more_clusters(lambda k: replace(given, clusters=k), power_of, given.power, given.effect)
    else:
        unit_se = math.sqrt(unit / given.clusters)
        answer = reach(
            lambda s: replace(given, effect=s * unit_se), power_of, given.power, low=1e-3, high=1e4
        )
    if answer is None:
        raise RctError(f"no {solved} reaches power {power:g}")
    return replace(answer, variance=unit / answer.clusters)


def cluster_proportions(
    *,
    control: float,
    treated: float,
    clusters: float | None = None,
    power: float | None = None,
    alpha: float = 0.05,
    cell_size: float,
    icc: float,
    cv: float = 0.0,
    weights: Weights = "size",
    pooled: bool = False,
    distribution: Distribution = "noncentral-t",
    far_tail: bool = True,
) -> ClusterProportions:
    """Solve for the power or the clusters per arm of a parallel trial of proportions.

    Two-sided test of the difference with variance (p₁ q₁ + p₀ q₀) D / (k m), or 2 p̄ q̄ D / (k m) where
    `pooled`, the same under null and alternative; D the `design_effect` (Donner & Klar 2000; clusterPower's
    ``cpa.binary``, which leaves the far tail out); t on 2 (k − 1) df.

    Parameters
    ----------
    control, treated : float
        Proportions.
    clusters, power : float, optional
        Leave exactly one as None; `clusters` are per arm, solved a real number.
    alpha, cell_size, icc, cv, weights, distribution, far_tail
        As in `cluster_means`.
    pooled : bool

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an input is out of range, or no answer exists.
    """
    solved = only_unknown(clusters=clusters, power=power)
    _check(clusters, alpha, power, cell_size, icc)
    if not (0 < control < 1 and 0 < treated < 1):
        raise RctError("proportions must lie between 0 and 1")
    mean = (control + treated) / 2
    binomial = 2 * mean * (1 - mean) if pooled else control * (1 - control) + treated * (1 - treated)
    unit = binomial * design_effect(cell_size, icc=icc, cv=cv, weights=weights) / cell_size
    given = ClusterProportions(
        control=control, treated=treated, clusters=clusters or math.nan, power=power or math.nan, alpha=alpha,
        cell_size=cell_size, icc=icc, cv=cv, weights=weights, pooled=pooled, distribution=distribution,
        far_tail=far_tail, variance=math.nan, solved=solved,
    )  # fmt: skip

    def power_of(x: ClusterProportions) -> float:
        return _power(treated - control, unit, x)

    if solved == "power":
        answer: ClusterProportions | None = replace(given, power=power_of(given))
    else:
        gap = treated - control
        answer = _more_clusters(lambda k: replace(given, clusters=k), power_of, given.power, gap)
    if answer is None:
        raise RctError(f"no number of clusters reaches power {power:g}")
    return replace(answer, variance=unit / answer.clusters)


def one_clustered_arm(
    *,
    effect: float | None = None,
    clusters: float | None = None,
    cell_size: float,
    controls: float,
    cluster_variance: float,
    within_variance: float,
    control_variance: float | None = None,
    alpha: float = 0.05,
    power: float | None = None,
    far_tail: bool = True,
) -> OneClusteredArm:
    """Solve for the power, the difference or the classes of a trial whose trained arm alone is grouped.

    Officers are randomized, and the trained ones share classes or trainers: variance
    (m v_c + v_w)/(k m) + v₀/n₀, normal (Moerbeek & Wong 2008; clusterPower's ``cpa.irgtt.normal``, which
    leaves the far tail out).

    Parameters
    ----------
    effect, clusters, power : float, optional
        Leave exactly one as None; `clusters`, the classes, solved a real number.
    cell_size : float
        Officers in a class.
    controls : float
        Officers in the control arm.
    cluster_variance, within_variance, control_variance : float
        Between classes, within classes, and of a control officer (the sum of the two where None).
    alpha : float
        Two-sided.
    far_tail : bool

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an input is out of range, or no answer exists.
    """
    solved = only_unknown(effect=effect, clusters=clusters, power=power)
    check_levels(alpha, power)
    if control_variance is None:
        control_variance = cluster_variance + within_variance
    check_positive(
        clusters=clusters, cell_size=cell_size, controls=controls, within_variance=within_variance,
        control_variance=control_variance,
    )  # fmt: skip
    check_finite(effect=effect)
    check_not_negative(cluster_variance=cluster_variance)
    unit, floor = cluster_variance + within_variance / cell_size, control_variance / controls
    given = OneClusteredArm(
        effect=math.nan if effect is None else effect, clusters=clusters or math.nan, cell_size=cell_size,
        controls=controls, cluster_variance=cluster_variance, within_variance=within_variance,
        control_variance=control_variance, alpha=alpha, power=power or math.nan, far_tail=far_tail,
        variance=math.nan, solved=solved,
    )  # fmt: skip

    def power_of(x: OneClusteredArm) -> float:
        se = math.sqrt(unit / x.clusters + floor)
        return rejection_probability(x.effect / se, alpha=alpha, far_tail=far_tail)

    if solved == "power":
        answer: OneClusteredArm | None = replace(given, power=power_of(given))
    elif solved == "clusters":
        answer = reach(lambda k: replace(given, clusters=k), power_of, given.power, 1e-3, MOST_CLUSTERS)
    else:
        se = math.sqrt(unit / given.clusters + floor)
        answer = reach(lambda s: replace(given, effect=s * se), power_of, given.power, 1e-3, 1e4)
    if answer is None:
        raise RctError(
            f"no number of classes reaches power {power:g} with {controls:g} controls; add controls"
        )
    return replace(answer, variance=unit / answer.clusters + floor)


def _check(clusters: float | None, alpha: float, power: float | None, cell_size: float, icc: float) -> None:
    check_levels(alpha, power)
    check_positive(clusters=clusters, cell_size=cell_size)
    if clusters is not None and clusters <= 1:
        raise RctError("two arms need more than one cluster each: nothing else tells chance from effect")
    if not 0 <= icc < 1:
        raise RctError(f"icc must lie between 0 and 1 (1 excluded), not {icc}")


def _power(effect: float, unit: float, x: ClusterMeans | ClusterProportions) -> float:
    return rejection_probability(
        effect / math.sqrt(unit / x.clusters), alpha=x.alpha, far_tail=x.far_tail,
        distribution=x.distribution, df=2 * (x.clusters - 1),
    )  # fmt: skip


def _more_clusters(
    at: "Callable[[float], Answer]", power_of: "Callable[[Answer], float]", wanted: float, effect: float
) -> "Answer | None":
    if effect == 0:
        raise RctError("no difference is no effect: no number of clusters gives it power")
    return reach(at, power_of, wanted, low=1.001, high=MOST_CLUSTERS)
