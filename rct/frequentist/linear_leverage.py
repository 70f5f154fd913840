"""CR2 and CR3 of a linear model with fixed effects, by the very formulas of the Poisson model.

With a rate as response and exposure w as weight, w × rate is a count whose working variance is w: the
estimating equations and the hat matrix are those of a Poisson fit whose expected counts are w (Bell &
McCaffrey 2002; Pustejovsky & Tipton 2018, eqs. 6 and 11, the symmetric root taken on the scale of counts).
The scale of the working variance cancels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.frequentist.collapsed_cells import UnitRows, collapse
from rct.frequentist.fixed_effects_likelihood import less_explained, weighted_projection
from rct.frequentist.inference.cluster_robust import Variance, bell_mccaffrey, jackknife_like
from rct.frequentist.integer_codes import dense_codes, sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray


def unit_rows(
    counts: NDArray[np.float64],
    weight: NDArray[np.float64],
    design: NDArray[np.float64],
    unit: NDArray[np.intp],
    effects: Mapping[str, NDArray[np.intp]],
) -> UnitRows:
    """Give rows with the weight as exposure and the design as covariates."""
    return UnitRows(
        counts=counts,
        exposure=weight,
        unit=dense_codes(unit),
        effects=tuple(dense_codes(codes) for name, codes in effects.items() if name != "unit"),
        term=np.full(len(counts), -1),
        dose=np.zeros(len(counts)),
        n_terms=0,
        covariates=design,
        unit_effects="unit" in effects,
    )


def leverage_variance(
    response: NDArray[np.float64],
    weight: NDArray[np.float64],
    design: NDArray[np.float64],
    unit: NDArray[np.intp],
    effects: Mapping[str, NDArray[np.intp]],
    clusters: NDArray[np.intp],
    correction: Literal["CR2", "CR3"],
) -> Variance:
    """Give the variance of the terms, units of a cluster that share design and weights added up.

    Parameters
    ----------
    response, weight : (rows,), sorted by unit
    design : (rows, terms), none of them explained by the effects or the others
    unit, clusters : (rows,) codes
    effects : codes (rows,) of the fixed effects by name
    """
    from threadpoolctl import threadpool_limits

    rows = unit_rows(response * weight, weight, design, unit, effects)
    summed = collapse(rows, clusters)
    total = sums_by_code(summed.cell, weight)
    cells = replace(summed.cells, counts=total, exposure=total)
    fit = weighted_projection(cells)
    rate = summed.cells.counts / total
    residual = less_explained(rate, cells.group, fit)
    by_cell = bell_mccaffrey if correction == "CR2" else jackknife_like
    # Eigenvalues of many small matrices: a second BLAS thread only gets in the way.
    with threadpool_limits(1, user_api="blas"):
        return by_cell(replace(cells, counts=total * (1 + residual)), fit, clusters[summed.example])
