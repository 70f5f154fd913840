"""Cluster-robust variances of a Poisson fit with fixed effects: CR0, CR1, CR1S, CR1N, CR2, CR3.

CR2 is the bias-reduced linearization of Bell & McCaffrey (2002) with the degrees of freedom of Satterthwaite
(Pustejovsky & Tipton 2018, eqs. 6 and 11), its symmetric root taken on the response scale: the working
variance of y is Theta = V(mu) = diag(mu). Hat matrix and working model hold all fixed effects, those
concentrated out included. Eigenvalues below 1e-12 of the largest count as zero: an effect nested in a
cluster makes the adjusted residual covariance singular.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from rct.frequentist.asked_options import require_one_of
from rct.frequentist.integer_codes import nested

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.fixed_effects_likelihood import Cells, FixedEffectsFit

Correction = Literal["auto", "CR0", "CR1", "CR1S", "CR1N", "CR2", "CR3", "model"]
FEW_CLUSTERS = 40
EIGENVALUE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Variance:
    """Covariance of the terms, and what the degrees of freedom of a contrast need.

    covariance : (terms, terms)
    n_clusters : clusters with a likelihood
    degrees : fixed degrees of freedom (infinite for normal limits), NaN where Satterthwaite's are used
    own : (clusters, terms, terms) S'Theta S of each cluster, S the influence of its counts on the terms
    loading : (clusters, columns, terms) the same against the columns of the working model
    inverse_information : (columns, columns) of the working model
    """

    covariance: NDArray[np.float64]
    n_clusters: int
    degrees: float
    own: NDArray[np.float64] | None = None
    loading: NDArray[np.float64] | None = None
    inverse_information: NDArray[np.float64] | None = None

    def std_error(self, contrast: NDArray[np.float64]) -> float:
        """Give the standard error of a linear combination of the terms."""
        return float(np.sqrt(contrast @ self.covariance @ contrast))

    def df(self, contrast: NDArray[np.float64]) -> float:
        """Give the degrees of freedom for a linear combination of the terms.

        Satterthwaite: twice the squared mean over the variance of the variance estimator under the working
        model, (tr P)^2 / tr(P P) with P the working covariance of the clusters' contributions.
        """
        if self.own is None or self.loading is None or self.inverse_information is None:
            return self.degrees
        loading = self.loading @ contrast
        covariance = -loading @ self.inverse_information @ loading.T
        covariance[np.diag_indices_from(covariance)] += (self.own @ contrast) @ contrast
        return float(np.trace(covariance) ** 2 / np.sum(covariance**2))


def chosen_correction(correction: Correction, n_clusters: int) -> Correction:
    """Resolve "auto": CR2 below 40 clusters, else CR1.

    Raises
    ------
    EstimationError
        A correction that is none.
    """
    require_one_of("correction", correction, get_args(Correction))
    if correction != "auto":
        return correction
    return "CR2" if n_clusters < FEW_CLUSTERS else "CR1"


def small_sample_factor(correction: Correction, *, n_clusters: int, n_rows: int, n_parameters: int) -> float:
    """Give the factor on CR0.

    Parameters
    ----------
    n_rows : rows with a likelihood
    n_parameters : coefficients counted by CR1S (all) or CR1N (fixest's convention)
    """
    if correction == "CR0":
        return 1.0
    factor = n_clusters / (n_clusters - 1)
    if correction in ("CR1S", "CR1N"):
        factor *= (n_rows - 1) / (n_rows - n_parameters)
    return factor


def parameters_outside_clusters(
    n_columns: int, effects: Iterable[NDArray[np.intp]], clusterings: Sequence[NDArray[np.intp]]
) -> int:
    """Count coefficients as fixest does for CR1N: effects nested in the clusters are left out.

    fixest takes one redundant level for each further set of effects, however many there are.

    Parameters
    ----------
    n_columns : terms and covariates
    effects, clusterings : codes 0…, all over the same rows
    """
    counted = n_columns + 1
    for codes in effects:
        counted += 0 if any(nested(codes, clusters) for clusters in clusterings) else int(codes.max())
    return counted


def model_variance(fit: FixedEffectsFit, n_clusters: int) -> Variance:
    """Inverse information; valid where counts are Poisson given the effects."""
    return Variance(fit.bread, n_clusters, np.inf)


def sandwich(
    bread: NDArray[np.float64], scores: NDArray[np.float64], factor: float, degrees: float
) -> Variance:
    """Liang & Zeger's sandwich from the scores (clusters, terms), times a small-sample factor."""
    influence = scores @ bread
    return Variance(factor * influence.T @ influence, len(scores), degrees)


def bell_mccaffrey(cells: Cells, fit: FixedEffectsFit, clusters: NDArray[np.intp]) -> Variance:
    """CR2 with what its Satterthwaite degrees of freedom need.

    Parameters
    ----------
    cells, fit : counts and their maximum-likelihood fit
    clusters : (cells,) codes 0…G−1
    """
    members = _members(clusters)
    n_groups, n_columns = fit.group_means.shape
    terms = fit.residual_design.shape[1]
    contributions = np.empty((len(members), terms))
    own = np.empty((len(members), terms, terms))
    loading = np.zeros((len(members), n_columns + n_groups, terms))
    for g, rows in enumerate(members):
        mu, swept = fit.fitted[rows], _swept(cells, fit, rows)
        root = _response_scale_root(mu, _hat_core(cells, fit, rows, swept))
        influence = root @ fit.residual_design[rows] @ fit.bread
        contributions[g] = influence.T @ (cells.counts[rows] - mu)
        weighted = mu[:, None] * influence
        own[g] = influence.T @ weighted
        loading[g, :n_columns] = swept.T @ weighted
        np.add.at(loading[g, n_columns:], cells.group[rows], weighted)
    inverse = np.zeros((n_columns + n_groups, n_columns + n_groups))
    inverse[:n_columns, :n_columns] = fit.inverse_information
    group_totals = np.bincount(cells.group, fit.fitted, n_groups)
    inverse[range(n_columns, n_columns + n_groups), range(n_columns, n_columns + n_groups)] = 1 / group_totals
    return Variance(contributions.T @ contributions, len(members), np.nan, own, loading, inverse)


def jackknife_like(cells: Cells, fit: FixedEffectsFit, clusters: NDArray[np.intp]) -> Variance:
    """CR3: residuals inflated by the inverse of one minus the whitened hat matrix, with t on G − 1."""
    members = _members(clusters)
    contributions = np.empty((len(members), fit.residual_design.shape[1]))
    for g, rows in enumerate(members):
        root_mu = np.sqrt(fit.fitted[rows])
        hat = root_mu[:, None] * _hat_core(cells, fit, rows, _swept(cells, fit, rows)) * root_mu
        inverse = root_mu[:, None] * _symmetric_power(np.eye(len(rows)) - hat, -1.0) / root_mu
        residual = inverse @ (cells.counts[rows] - fit.fitted[rows])
        contributions[g] = fit.bread @ (fit.residual_design[rows].T @ residual)
    return Variance(contributions.T @ contributions, len(members), len(members) - 1)


def _members(clusters: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    order = np.argsort(clusters, kind="stable")
    return np.split(order, np.cumsum(np.bincount(clusters))[:-1])


def _swept(cells: Cells, fit: FixedEffectsFit, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    return fit.swept.rows(rows) - fit.group_means[cells.group[rows]]


def _hat_core(
    cells: Cells, fit: FixedEffectsFit, rows: NDArray[np.intp], swept: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give X M X' of one cluster's rows, X every effect and term and M the inverse information."""
    core = swept @ fit.inverse_information @ swept.T
    group = cells.group[rows]
    totals = np.bincount(cells.group, fit.fitted)[group]
    return core + (group[:, None] == group) / totals


def _response_scale_root(mu: NDArray[np.float64], core: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give A = D B^(-1/2) D with D = Theta^(1/2) and B = D (Theta - Theta X M X' Theta) D."""
    stretched = mu**1.5
    residual = np.diag(mu**2) - stretched[:, None] * core * stretched
    root_mu = np.sqrt(mu)
    return root_mu[:, None] * _symmetric_power(residual, -0.5) * root_mu


def _symmetric_power(matrix: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Take a power; eigenvalues that are zero but for rounding stay zero (Moore–Penrose)."""
    values, vectors = np.linalg.eigh(matrix)
    positive = values > EIGENVALUE_TOLERANCE * max(values[-1], np.finfo(float).tiny)
    return (vectors[:, positive] * values[positive] ** power) @ vectors[:, positive].T
