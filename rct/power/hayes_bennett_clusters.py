"""Clusters of a parallel or pair-matched trial after Hayes and Bennett, in closed form."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from rct.errors import RctError
from rct.power.solving import check_choice, check_levels, check_not_negative, check_positive, only_unknown

Outcome = Literal["rate", "proportion", "mean"]


@dataclass(frozen=True, kw_only=True)
class HayesBennett:
    """Inputs and answer of `hayes_bennett`; `solved` is "clusters" or "power"."""

    outcome: Outcome
    control: float
    treated: float
    size: float
    cv_between: float
    sd: float
    matched: bool
    small_sample: bool
    clusters: float
    alpha: float
    power: float
    solved: str


def hayes_bennett(
    *,
    control: float,
    treated: float,
    size: float,
    cv_between: float,
    outcome: Outcome = "rate",
    sd: float | None = None,
    matched: bool = False,
    small_sample: bool = True,
    clusters: float | None = None,
    alpha: float = 0.05,
    power: float | None = None,
) -> HayesBennett:
    """Solve for the clusters per arm (or pairs), or the power, of a comparison of cluster summaries.

    c = 1 + (z_{α/2} + z_power)² [w₀ + w₁ + k² (m₀² + m₁²)] / (m₀ − m₁)² (Hayes & Bennett 1999), with w the
    sampling variance of a cluster's summary: m/y for a rate over person-time y, m (1 − m)/n for a
    proportion, sd²/n for a mean. The 1 stands for the t distribution (2 for matched pairs, with k within
    pairs); clusterPower adds it, CRTSize's ``n4incidence`` does not. The far tail is left out.

    Parameters
    ----------
    control, treated : float
        Rates, proportions or means m₀ and m₁.
    size : float
        Person-time (rates, in the rates' unit) or people of one cluster.
    cv_between : float
        k, the coefficient of variation of the true cluster values in each arm, or within matched pairs.
    outcome : {"rate", "proportion", "mean"}
    sd : float, optional
        Within clusters, for a mean.
    matched : bool
        Pairs of clusters.
    small_sample : bool
        Add the 1 (or 2).
    clusters, power : float, optional
        Leave exactly one as None; a solved number of clusters is real.
    alpha : float
        Two-sided.

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, or an input is out of range.
    """
    from scipy.special import ndtr, ndtri

    solved = only_unknown(clusters=clusters, power=power)
    check_levels(alpha, power)
    check_positive(control=control, treated=treated, size=size, clusters=clusters, sd=sd)
    check_choice("outcome", outcome, Outcome)
    check_not_negative(cv_between=cv_between)
    if control == treated:
        raise RctError("equal arms are no effect: no number of clusters gives it power")
    within = _sampling_variance(control, outcome, sd) + _sampling_variance(treated, outcome, sd)
    unit = within / size + cv_between**2 * (control**2 + treated**2)
    extra = (2 if matched else 1) if small_sample else 0
    given = HayesBennett(
        outcome=outcome, control=control, treated=treated, size=size, cv_between=cv_between,
        sd=math.nan if sd is None else sd, matched=matched, small_sample=small_sample,
        clusters=clusters or math.nan, alpha=alpha, power=power or math.nan, solved=solved,
    )  # fmt: skip
    z, gap = -ndtri(alpha / 2), abs(control - treated)
    if solved == "clusters":
        return replace(given, clusters=float(extra + (z + ndtri(given.power)) ** 2 * unit / gap**2))
    if given.clusters <= extra:
        raise RctError(f"this formula needs more than {extra} clusters in each arm")
    return replace(given, power=float(ndtr(gap * math.sqrt((given.clusters - extra) / unit) - z)))


def log_rate_sd(cv_between: float) -> float:
    """Give the sd of the log rate of clusters whose rates are lognormal with this coefficient of variation.

    √log(1 + k²); nearly k for small k. It is the `cluster_sd` of `rct.power.count_design` and of a trial
    file.

    Parameters
    ----------
    cv_between : float

    Raises
    ------
    RctError
        If it is negative.
    """
    check_not_negative(cv_between=cv_between)
    return math.sqrt(math.log1p(cv_between**2))


def _sampling_variance(value: float, outcome: Outcome, sd: float | None) -> float:
    if outcome == "rate":
        return value
    if outcome == "proportion":
        if not 0 < value < 1:
            raise RctError(f"proportions must lie between 0 and 1, not {value}")
        return value * (1 - value)
    if sd is None:
        raise RctError("a mean needs the sd within clusters")
    return sd**2
