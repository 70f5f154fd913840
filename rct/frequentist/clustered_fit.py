"""A Poisson fit with the cluster-robust variance that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.collapsed_cells import Collapse, UnitRows, codes_of_units, collapse, scores_of_units
from rct.frequentist.fixed_effects_likelihood import Cells, FixedEffectsFit, fit_fixed_effects
from rct.frequentist.inference.cluster_robust import (
    Correction,
    Variance,
    bell_mccaffrey,
    chosen_correction,
    jackknife_like,
    model_variance,
    parameters_outside_clusters,
    sandwich,
    small_sample_factor,
)
from rct.frequentist.inference.two_way_clusters import intersections, require_many_of_both, two_way_covariance
from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ClusteredFit:
    """A fit of cells, its variance (None where terms are collinear), the correction chosen and the path.

    mended : a two-way variance that was not positive semi-definite
    """

    cells: Cells
    fit: FixedEffectsFit
    variance: Variance | None
    correction: Correction
    path: str
    mended: bool = False


def fit_clustered(
    rows: UnitRows, clusters: NDArray[np.intp] | tuple[NDArray[np.intp], ...], correction: Correction
) -> ClusteredFit:
    """Add up units that are alike, fit, and take the variance.

    Parameters
    ----------
    rows : UnitRows
        Rows with a likelihood only.
    clusters : (rows,) codes 0…G−1, or two of them
    correction : str
        CR2 and CR3 keep clusters apart when units are added up; the other variances take scores row by row.

    Raises
    ------
    EstimationError
        One cluster only.
    """
    if isinstance(clusters, tuple):
        if len(clusters) > 1:
            return _fit_two_way(rows, clusters[0], clusters[1], correction)
        (clusters,) = clusters
    n_clusters = int(clusters.max()) + 1
    chosen = chosen_correction(correction, n_clusters)
    if n_clusters < 2 and chosen != "model":
        raise EstimationError(
            "all rows with a likelihood lie in one cluster, so the variance between clusters does not exist;"
            ' name a finer cluster, or correction="model"'
        )
    by_cell = chosen in ("CR2", "CR3")
    summed = collapse(rows, clusters if by_cell else None)
    fit = fit_fixed_effects(summed.cells)
    path = "collapsed" if summed.patterns < len(summed.alike.first) else "general"
    if fit.collinear:
        return ClusteredFit(summed.cells, fit, None, chosen, path)
    return ClusteredFit(summed.cells, fit, _variance(rows, clusters, chosen, summed, fit), chosen, path)


def _variance(
    rows: UnitRows,
    clusters: NDArray[np.intp],
    correction: Correction,
    summed: Collapse,
    fit: FixedEffectsFit,
) -> Variance:
    from threadpoolctl import threadpool_limits

    n_clusters = int(clusters.max()) + 1
    if correction == "model":
        return model_variance(fit, n_clusters)
    if correction in ("CR2", "CR3"):
        by_cell = bell_mccaffrey if correction == "CR2" else jackknife_like
        # Eigenvalues of many small matrices: a second BLAS thread only gets in the way.
        with threadpool_limits(1, user_api="blas"):
            return by_cell(summed.cells, fit, clusters[summed.example])
    factor = small_sample_factor(
        correction,
        n_clusters=n_clusters,
        n_rows=len(rows.counts),
        n_parameters=_parameters(rows, fit, (clusters,), nested_counted=correction != "CR1N"),
    )
    return sandwich(fit.bread, _scores(rows, summed, fit, clusters), factor, n_clusters - 1)


def _scores(
    rows: UnitRows, summed: Collapse, fit: FixedEffectsFit, clusters: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Give the scores (clusters, terms), by the rows with an event alone where clusters hold whole units."""
    alike = summed.alike
    of_units = codes_of_units(clusters, alike.first) if rows.unit_effects else None
    if of_units is not None:
        events = alike.events(rows.counts)
        totals = sums_by_code(events.unit, events.counts, len(alike.first))
        scores = scores_of_units(events, totals, alike.pattern, summed.cells, fit)
        return np.column_stack([sums_by_code(of_units, own) for own in scores.T])
    residual = rows.counts - summed.share * fit.fitted[summed.cell]
    design = fit.residual_design[summed.cell]
    return np.column_stack([sums_by_code(clusters, column * residual) for column in design.T])


def _fit_two_way(
    rows: UnitRows, first: NDArray[np.intp], second: NDArray[np.intp], correction: Correction
) -> ClusteredFit:
    """Cluster in two ways; "auto" is CR1, and refused where either kind has few clusters."""
    n_clusters = min(int(first.max()), int(second.max())) + 1
    if correction == "auto":
        require_many_of_both(n_clusters)
    chosen = "CR1" if correction == "auto" else chosen_correction(correction, n_clusters)
    if chosen in ("CR2", "CR3"):
        raise EstimationError(
            f"{chosen} is not defined for two kinds of clusters; use CR0, CR1, CR1S or CR1N, or one kind"
        )
    if chosen == "model" or n_clusters < 2:
        return fit_clustered(rows, first if first.max() <= second.max() else second, chosen)
    summed = collapse(rows)
    fit = fit_fixed_effects(summed.cells)
    path = "collapsed" if summed.patterns < len(summed.alike.first) else "general"
    if fit.collinear:
        return ClusteredFit(summed.cells, fit, None, chosen, path)
    factor = small_sample_factor(
        chosen,
        n_clusters=n_clusters,
        n_rows=len(rows.counts),
        n_parameters=_parameters(rows, fit, (first, second), nested_counted=chosen != "CR1N"),
    )
    influences = [
        _scores(rows, summed, fit, codes) @ fit.bread
        for codes in (first, second, intersections(first, second))
    ]
    covariance, mended = two_way_covariance(*influences)
    variance = Variance(factor * covariance, n_clusters, n_clusters - 1)
    return ClusteredFit(summed.cells, fit, variance, chosen, path, mended)


def _parameters(
    rows: UnitRows, fit: FixedEffectsFit, clusterings: tuple[NDArray[np.intp], ...], *, nested_counted: bool
) -> int:
    """Count coefficients: the rank of the design, or fixest's number."""
    if nested_counted:
        return fit.swept.width + (int(rows.unit.max()) + 1 if rows.unit_effects else 1)
    effects = (*((rows.unit,) if rows.unit_effects else ()), *rows.effects)
    return parameters_outside_clusters(rows.n_terms + rows.covariates.shape[1], effects, clusterings)
