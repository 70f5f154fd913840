"""Variance and power of any clusters × periods design, in closed form."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.errors import RctError
from rct.power.linearized_gls import as_given, gls_variance, per_cell, read_design
from rct.power.solving import (
    check_autocorrelations,
    check_finite,
    check_levels,
    check_positive,
    fewest_copies,
    only_unknown,
    reach,
    smallest_copies,
    whole,
    with_cluster_df,
)
from rct.power.wald_power import Distribution, rejection_probability

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LARGEST_CELL = 1e9


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterDesign:
    """Inputs and answer of `cluster_design`.

    Attributes
    ----------
    variance : float
        Of the treatment effect's estimator.
    solved : str
        The quantity that was asked for: "effect", "power", "cell_size" or "copies".
    """

    design: "NDArray[np.float64]"
    effect: float
    power: float
    alpha: float
    cell_size: "float | NDArray[np.float64]"
    icc: float
    cac: float
    iac: float
    decay: bool
    individual_decay: bool
    average: tuple[int, int] | None
    total_variance: float
    copies: int
    distribution: Distribution
    df: float
    far_tail: bool
    variance: float
    solved: str


def cluster_variance(
    design: "ArrayLike",
    *,
    cell_size: "ArrayLike",
    icc: float,
    cac: float = 1.0,
    iac: float = 0.0,
    decay: bool = False,
    total_variance: float = 1.0,
    individual_decay: bool = False,
    average: tuple[int, int] | None = None,
) -> float:
    """Give the variance of the treatment effect in a clusters × periods design.

    Generalized least squares with a category per period, one effect times the dose, and a known covariance
    of a cluster's cell means (Hussey & Hughes 2007; Hooper et al. 2016; Kasza et al. 2019 for decay):
    variance σ² [ρ + (1 − ρ) / m], and between periods s and t σ² [ρ c + (1 − ρ) a / m], where σ² is the
    total variance of one person's outcome, ρ the icc, m the cell size, c the cac (``decay``: cac to the
    power of the lag s − t, in columns, unobserved ones counted) and a the iac. So a parallel trial, one with
    a baseline, a crossover, a stepped wedge with transition periods or a staircase are one formula.

    Ours is the convention of Hooper et al.: the iac is the share of the *individual* variance (1 − ρ) σ²
    that stays with the same person; Li, Turner & Preisser's α₂ is ρ c + (1 − ρ) a. `total_variance` is the
    total (as in swdpwr), not the residual variance (as in swCRTdesign and SteppedPower).

    Parameters
    ----------
    design : array, clusters × periods
        Dose of each cell, 0 to 1; None or NaN: not observed.
    cell_size : float, or one per cluster, or clusters × periods
        People per cluster and period; unequal sizes and any coefficient of variation enter here.
    icc : float
        Correlation of two people of one cluster in one period, 0 ≤ icc < 1.
    cac : float
        Cluster autocorrelation: between-period over within-period correlation. 1: Hussey & Hughes;
        below 1: nested exchangeable.
    iac : float
        Individual autocorrelation: 0, other people in every period; above 0, a closed cohort.
    decay : bool
        Let the cluster's correlation decay with the lag, at the rate cac.
    total_variance : float
    individual_decay : bool
        Let the person's correlation decay at the rate cac as well (with iac = 1 Li's proportional decay).
    average : (int, int), optional
        First and last exposure time (1 = the first treated period) whose mean effect is estimated, by a model
        with an effect for every exposure time (Kenny et al. 2022); None: one constant effect.

    Raises
    ------
    RctError
        If an argument is out of range or the design says nothing about the effect.
    """
    doses = read_design(design)
    _check_correlations(icc=icc, cac=cac, iac=iac)
    check_positive(total_variance=total_variance)
    size = per_cell(cell_size, doses, "cell_size")
    people = 1 / np.sqrt(size)
    lag = np.abs(np.subtract.outer(np.arange(doses.shape[1]), np.arange(doses.shape[1])))
    between = np.where(lag == 0, 1.0, cac**lag if decay else cac)
    same = np.where(lag == 0, 1.0, iac * cac**lag if individual_decay else iac)
    individual = people[:, :, np.newaxis] * people[:, np.newaxis, :]
    covariance = total_variance * (icc * between + (1 - icc) * same * individual)
    return gls_variance(doses, covariance, average=average)


def cluster_design(
    design: "ArrayLike",
    *,
    effect: float | None = None,
    power: float | None = None,
    alpha: float = 0.05,
    cell_size: "ArrayLike | None" = None,
    icc: float,
    cac: float = 1.0,
    iac: float = 0.0,
    decay: bool = False,
    total_variance: float = 1.0,
    individual_decay: bool = False,
    average: tuple[int, int] | None = None,
    copies: int | None = 1,
    distribution: Distribution = "normal",
    df: float | None = None,
    far_tail: bool = True,
) -> ClusterDesign:
    """Solve for the power, the effect, the cell size or the copies of a clusters × periods design.

    Two-sided Wald test of the effect with the variance of `cluster_variance`, both tails counted (as swPwr
    and SteppedPower). With few clusters the normal is optimistic: a 9 × 10 wedge that it gives .588 has
    .469 with the noncentral t on clusters − 2, which is exact for cluster means in two arms and within .01
    of a CR2 test of simulated wedges, and .432 with the shifted t of SteppedPower.

    Parameters
    ----------
    design, icc, cac, iac, decay, total_variance, individual_decay, average
        As in `cluster_variance`.
    effect : float, optional
        Difference at dose 1. Leave exactly one of `effect`, `power`, `cell_size`, `copies` as None; a solved
        effect is positive, a solved cell size a real number (round it up).
    power : float, optional
    alpha : float
        Two-sided.
    cell_size : float or array, optional
        As in `cluster_variance`; solved, it is the same for all cells.
    copies : int, optional
        Clusters for each row of the design; solved, the smallest that has the power.
    distribution : {"normal", "noncentral-t", "shifted-t"}
        See `rct.power.rejection_probability`.
    df : float, optional
        Of the t; clusters (observed ones, times `copies`) − 2 where None.
    far_tail : bool
        Count significant results on the wrong side as well.

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an argument is out of range, or no answer exists: with
        cac below 1 the variance has a floor that no cell size passes.
    """
    solved = only_unknown(effect=effect, power=power, cell_size=cell_size, copies=copies)
    check_finite(effect=effect)
    check_levels(alpha, power)
    correlations = {"icc": icc, "cac": cac, "iac": iac, "decay": decay}
    variance_of = _Variance(read_design(design), correlations, individual_decay, average, total_variance)
    given = ClusterDesign(
        design=variance_of.design, effect=math.nan if effect is None else effect, power=power or math.nan,
        alpha=alpha, cell_size=as_given(cell_size), icc=icc, cac=cac, iac=iac, decay=decay,
        individual_decay=individual_decay, average=average, total_variance=total_variance,
        copies=whole(copies), distribution=distribution, df=math.nan if df is None else df,
        far_tail=far_tail, variance=math.nan, solved=solved,
    )  # fmt: skip
    if solved == "cell_size":
        return _solve_cell_size(with_cluster_df(given), variance_of)
    given = replace(given, variance=variance_of(given.cell_size) / given.copies)
    if solved == "copies":
        return _solve_copies(given)
    given = with_cluster_df(given)
    if solved == "power":
        return replace(given, power=_power(given))
    found = reach(
        lambda effect: replace(given, effect=effect), _power, given.power,
        low=1e-3 * math.sqrt(given.variance), high=1e4 * math.sqrt(given.variance),
    )  # fmt: skip
    if found is None:
        raise RctError(f"no effect reaches power {given.power:g} with {given.df:g} degrees of freedom")
    return found


@dataclass(frozen=True)
class _Variance:
    """The design's variance as a function of its cell size alone."""

    design: "NDArray[np.float64]"
    correlations: dict[str, Any]
    individual_decay: bool
    average: tuple[int, int] | None
    total_variance: float

    def __call__(self, cell_size: "ArrayLike") -> float:
        return cluster_variance(
            self.design, cell_size=cell_size, total_variance=self.total_variance,
            individual_decay=self.individual_decay, average=self.average, **self.correlations,
        )  # fmt: skip


def _check_correlations(*, icc: float, cac: float, iac: float) -> None:
    if not 0 <= icc < 1:
        raise RctError(f"icc must lie between 0 and 1 (1 excluded), not {icc}")
    check_autocorrelations(cac=cac, iac=iac)


def _power(x: ClusterDesign) -> float:
    return rejection_probability(
        x.effect / math.sqrt(x.variance), alpha=x.alpha, far_tail=x.far_tail, distribution=x.distribution,
        df=x.df,
    )  # fmt: skip


def _solve_cell_size(given: ClusterDesign, variance_of: _Variance) -> ClusterDesign:

    def at(size: float) -> ClusterDesign:
        return replace(given, cell_size=size, variance=variance_of(size) / given.copies)

    found = None if given.effect == 0 else reach(at, _power, given.power, low=1e-3, high=LARGEST_CELL)
    if found is None:
        raise RctError(
            f"no cell size reaches power {given.power:g}: with cells of any size it stays below "
            f"{math.ceil(1e4 * _power(at(LARGEST_CELL))) / 1e4:g}; add clusters or periods"
        )
    return found


def _solve_copies(given: ClusterDesign) -> ClusterDesign:
    if given.effect == 0:
        raise RctError("an effect of 0 is no effect: no number of clusters gives it power")

    def at(copies: int) -> ClusterDesign:
        return with_cluster_df(replace(given, copies=copies, variance=given.variance / copies))

    return smallest_copies(at, _power, given.power, fewest_copies(given))
