"""Cluster-robust variances of a Poisson fit with fixed effects: CR0, CR1, CR1S, CR1N, CR2, CR3.

CR2 is the bias-reduced linearization of Bell & McCaffrey (2002) with the degrees of freedom of Satterthwaite
(Pustejovsky & Tipton 2018, eqs. 6 and 11), its symmetric root taken on the response scale: the working
variance of y is Theta = V(mu) = diag(mu). Hat matrix and working model hold all fixed effects, those
concentrated out included. Eigenvalues below 1e-12 of the largest count as zero: an effect nested in a
cluster makes the adjusted residual covariance singular.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from rct.frequentist.asked_options import require_one_of
from rct.frequentist.inference.residual_covariance import ResidualCovariance
from rct.frequentist.integer_codes import nested

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.frequentist.fixed_effects_likelihood import Cells, FixedEffectsFit

Correction = Literal["auto", "CR0", "CR1", "CR1S", "CR1N", "CR2", "CR3", "model"]
FEW_CLUSTERS = 40


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
    members = _members(cells, clusters)
    n_groups, n_columns = fit.group_means.shape
    terms = fit.residual_design.shape[1]
    contributions = np.empty((len(members), terms))
    own = np.empty((len(members), terms, terms))
    loading = np.zeros((len(members), n_columns + n_groups, terms))
    # A = D B^(-1/2) D with D = Theta^(1/2) and B = D (Theta - Theta X M X' Theta) D
    for g, covariance in enumerate(_residual_covariances(cells, fit, members, 1.5)):
        rows = members[g]
        mu = fit.fitted[rows]
        root_mu = np.sqrt(mu)[:, None]
        influence = root_mu * covariance.inverse_root_times(root_mu * (fit.residual_design[rows] @ fit.bread))
        contributions[g] = influence.T @ (cells.counts[rows] - mu)
        weighted = mu[:, None] * influence
        own[g] = influence.T @ weighted
        loading[g, :n_columns] = _swept(cells, fit, rows).T @ weighted
        np.add.at(loading[g, n_columns:], cells.group[rows], weighted)
    inverse = np.zeros((n_columns + n_groups, n_columns + n_groups))
    inverse[:n_columns, :n_columns] = fit.inverse_information
    group_totals = np.bincount(cells.group, fit.fitted, n_groups)
    inverse[range(n_columns, n_columns + n_groups), range(n_columns, n_columns + n_groups)] = 1 / group_totals
    return Variance(contributions.T @ contributions, len(members), np.nan, own, loading, inverse)


def jackknife_like(cells: Cells, fit: FixedEffectsFit, clusters: NDArray[np.intp]) -> Variance:
    """CR3: residuals inflated by the inverse of one minus the whitened hat matrix, with t on G − 1."""
    members = _members(cells, clusters)
    contributions = np.empty((len(members), fit.residual_design.shape[1]))
    for g, covariance in enumerate(_residual_covariances(cells, fit, members, 0.5)):
        rows = members[g]
        root_mu = np.sqrt(fit.fitted[rows])
        residual = (cells.counts[rows] - fit.fitted[rows]) / root_mu
        inflated = root_mu * covariance.inverse_times(residual[:, None])[:, 0]
        contributions[g] = fit.bread @ (fit.residual_design[rows].T @ inflated)
    return Variance(contributions.T @ contributions, len(members), len(members) - 1)


def _residual_covariances(
    cells: Cells, fit: FixedEffectsFit, members: list[NDArray[np.intp]], power: float
) -> Iterator[ResidualCovariance]:
    """Give S (Theta^(-1) - X M X') S of each cluster's rows, S = Theta^power.

    X is every effect and term, M the inverse information.
    """
    totals = np.bincount(cells.group, fit.fitted)
    factor = np.linalg.cholesky(fit.inverse_information)
    for rows in members:
        mu, group = fit.fitted[rows], cells.group[rows]
        stretch = mu**power
        yield ResidualCovariance(
            diagonal=stretch**2 / mu,
            own=stretch / np.sqrt(totals[group]),
            group=group,
            shared=stretch[:, None] * (_swept(cells, fit, rows) @ factor),
        )


def _members(cells: Cells, clusters: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Give the rows of each cluster, those of one group side by side."""
    order = np.lexsort((cells.group, clusters))
    return np.split(order, np.cumsum(np.bincount(clusters))[:-1])


def _swept(cells: Cells, fit: FixedEffectsFit, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    return fit.swept.rows(rows) - fit.group_means[cells.group[rows]]
