"""Variance and power of any clusters × periods design for a proportion, in closed form."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import RctError
from rct.power.linearized_gls import as_given, gls_variance, observed_clusters, per_cell, read_design
from rct.power.solving import check_choice, check_levels
from rct.power.wald_power import Distribution, rejection_probability

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Link = Literal["identity", "log", "logit"]


@dataclass(frozen=True, kw_only=True, eq=False)
class BinaryDesign:
    """Inputs and answer of `binary_design`.

    Attributes
    ----------
    effect : float
        On the scale of the link.
    variance : float
        Of the effect's estimator.
    """

    design: "NDArray[np.float64]"
    p_start: float
    p_end_control: float
    p_end_treated: float
    cell_size: "float | NDArray[np.float64]"
    within: float
    between: float
    person: float
    link: Link
    alpha: float
    distribution: Distribution
    df: float
    effect: float
    variance: float
    power: float


def binary_design(
    design: "ArrayLike",
    *,
    p_start: float,
    p_end_control: float,
    p_end_treated: float,
    cell_size: "ArrayLike",
    within: float,
    between: float,
    person: float | None = None,
    link: Link = "logit",
    alpha: float = 0.05,
    distribution: Distribution = "normal",
    df: float | None = None,
) -> BinaryDesign:
    """Give the power of a clusters × periods design for a proportion, by a marginal model.

    Generalized estimating equations with the correlation correctly specified (Li, Turner & Preisser 2018;
    Zhou et al. 2020, swdpwr's ``model = "marginal"``): Var = 1 / Σ D' V⁻¹ D with a category per period and
    the effect times the dose, binomial variances at the means. The means run linearly, on the scale of
    the link, from `p_start` to `p_end_control`, plus dose × (g(p_end_treated) − g(p_end_control)). Two-sided
    test, both tails. Periods are always in the model; swdpwr drops them where start and end are equal.

    Parameters
    ----------
    design : array, clusters × periods
        Dose of each cell, 0 to 1; None or NaN: not observed.
    p_start, p_end_control, p_end_treated : float
        Proportions: without training in the first and the last period, with training in the last.
    cell_size : float, or one per cluster, or clusters × periods
    within, between : float
        Correlation of two people of a cluster within a period, and between periods (Li's α₀, α₁).
    person : float, optional
        Correlation of one person's outcomes in two periods (Li's α₂); None: other people every period.
    link : {"identity", "log", "logit"}
    alpha : float
        Two-sided.
    distribution, df
        As in `rct.power.cluster_design`.

    Raises
    ------
    RctError
        If a proportion leaves (0, 1), a correlation [0, 1), or the design says nothing about the effect.
    """
    doses = read_design(design)
    check_levels(alpha, None)
    check_choice("link", link, Link)
    same = between if person is None else person
    if not (0 <= within < 1 and 0 <= between < 1 and 0 <= same <= 1):
        raise RctError("within and between must lie in [0, 1), and person in [0, 1]")
    if not all(0 < p < 1 for p in (p_start, p_end_control, p_end_treated)):
        raise RctError("p_start, p_end_control and p_end_treated must lie between 0 and 1")
    start, control, treated = (_link(p, link) for p in (p_start, p_end_control, p_end_treated))
    predictor = np.linspace(start, control, doses.shape[1]) + np.nan_to_num(doses) * (treated - control)
    means, slopes = _mean(predictor, link)
    if not ((means > 0) & (means < 1)).all():
        raise RctError("these proportions and this link lead to a mean outside (0, 1) in some period")
    size = per_cell(cell_size, doses, "cell_size")
    persons = np.sqrt(size[:, :, np.newaxis] * size[:, np.newaxis, :])
    one = np.eye(doses.shape[1], dtype=bool)
    correlation = between + (same - between) / persons
    correlation = np.where(one, within + (1 - within) / persons, correlation)
    sd = np.sqrt(means * (1 - means))
    covariance = correlation * sd[:, :, np.newaxis] * sd[:, np.newaxis, :]
    variance = gls_variance(doses, covariance, slopes=slopes)
    clusters = observed_clusters(doses)
    df = float(clusters - 2 if df is None else df)
    effect = treated - control
    return BinaryDesign(
        design=doses, p_start=p_start, p_end_control=p_end_control, p_end_treated=p_end_treated,
        cell_size=as_given(cell_size),
        within=within, between=between, person=same, link=link, alpha=alpha, distribution=distribution,
        df=df, effect=effect, variance=variance,
        power=rejection_probability(
            effect / math.sqrt(variance), alpha=alpha, distribution=distribution, df=df
        ),
    )  # fmt: skip


def _link(p: float, link: Link) -> float:
    return {"identity": p, "log": math.log(p), "logit": math.log(p / (1 - p))}[link]


def _mean(
    predictor: "NDArray[np.float64]", link: Link
) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    if link == "identity":
        return predictor, np.ones_like(predictor)
    if link == "log":
        return np.exp(predictor), np.exp(predictor)
    mean = 1 / (1 + np.exp(-predictor))
    return mean, mean * (1 - mean)
