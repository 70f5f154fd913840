"""The Poisson likelihood with fixed effects, one set of which is concentrated out.

Given the other parameters, the estimate of a unit's effect is the ratio of the unit's count to its fitted
count, so the likelihood that remains is multinomial within units (Hausman, Hall & Griliches 1984, eq. 2.6)
and Newton's method runs on the remaining columns alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import ConvergenceError
from rct.frequentist.effect_columns import EffectColumns
from rct.frequentist.integer_codes import dense_codes, sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP_TOLERANCE = 1e-12
MAX_ITERATIONS = 100
COLLINEAR = 1e-9
RANK_TOLERANCE = 1e-11
DIVERGED = 30.0


@dataclass(frozen=True)
class Cells:
    """Counts by cell and the effects that explain them.

    counts, exposure : (cells,)
    group : (cells,) codes of the effect that is concentrated out
    effects : codes (cells,) of each further fixed effect
    design : (cells, terms) treatment columns and covariates
    """

    counts: NDArray[np.float64]
    exposure: NDArray[np.float64]
    group: NDArray[np.intp]
    effects: tuple[NDArray[np.intp], ...]
    design: NDArray[np.float64]


@dataclass(frozen=True)
class FixedEffectsFit:
    """Maximum-likelihood fit of `Cells`.

    coefficients : (terms,)
    fitted : (cells,) expected counts
    residual_design : (cells, terms) the design after a weighted regression on all fixed effects
    bread : (terms, terms) inverse information of the terms
    swept : design, effects first and terms last, before the group means are taken off
    group_means : (groups, columns) weighted means of `swept` within groups
    inverse_information : (columns, columns) of all swept columns
    collinear : indices of terms that the fixed effects and earlier terms explain; nothing else is then fitted
    """

    coefficients: NDArray[np.float64]
    fitted: NDArray[np.float64]
    residual_design: NDArray[np.float64]
    bread: NDArray[np.float64]
    swept: EffectColumns
    group_means: NDArray[np.float64]
    inverse_information: NDArray[np.float64]
    collinear: tuple[int, ...]


def fit_fixed_effects(cells: Cells) -> FixedEffectsFit:
    """Fit a Poisson model by Newton's method on the concentrated likelihood.

    Parameters
    ----------
    cells : Cells
        Every group and every level of an effect must have a positive count (else its effect is minus
        infinity and it carries no information).

    Returns
    -------
    FixedEffectsFit
        `collinear` is not empty where terms are not identified; the other fields are then empty.

    Raises
    ------
    ConvergenceError
        The likelihood has no finite maximum (separation beyond empty groups and levels).
    """
    columns = _effect_columns(cells)
    totals = sums_by_code(cells.group, cells.counts)
    fitted = _expected(cells, totals, np.zeros(len(cells.counts)))
    collinear = _collinear(cells, columns, totals, fitted)
    if collinear:
        empty = np.empty((0, 0))
        return FixedEffectsFit(np.empty(0), fitted, empty, empty, columns, empty, empty, collinear)
    coefficients, fitted = _newton(cells, columns, totals)
    information, sums = _information(cells, columns, totals, fitted)
    return _finish(cells, columns, coefficients, fitted, information, sums / totals[:, None])


def without(cells: Cells, left_out: NDArray[np.bool_]) -> Cells:
    """Give the cells that are left, groups and levels numbered anew."""
    kept = ~left_out
    return Cells(
        cells.counts[kept],
        cells.exposure[kept],
        dense_codes(cells.group[kept]),
        tuple(dense_codes(codes[kept]) for codes in cells.effects),
        cells.design[kept],
    )


def collinear_terms(cells: Cells) -> tuple[int, ...]:
    """Give the numbers of the terms that the fixed effects and earlier terms explain."""
    totals = sums_by_code(cells.group, cells.counts)
    fitted = _expected(cells, totals, np.zeros(len(cells.counts)))
    return _collinear(cells, _effect_columns(cells), totals, fitted)


def weighted_projection(cells: Cells) -> FixedEffectsFit:
    """Regress the terms on the effects, the counts as weights, as in a fit whose expected counts they are.

    Exposure is the same as the counts. The coefficients are zero: the fit is of the design alone.
    """
    columns, totals = _effect_columns(cells), sums_by_code(cells.group, cells.counts)
    information, sums = _information(cells, columns, totals, cells.counts)
    return _finish(cells, columns, np.zeros(columns.width), cells.counts, information, sums / totals[:, None])


def log_likelihood(counts: NDArray[np.float64], fitted: NDArray[np.float64]) -> float:
    """Sum of count × log(expected count): the likelihood where expected counts add up to what was seen."""
    seen = counts > 0
    with np.errstate(divide="ignore"):
        return float(counts[seen] @ np.log(fitted[seen]))


def less_explained(
    column: NDArray[np.float64], group: NDArray[np.intp], fit: FixedEffectsFit
) -> NDArray[np.float64]:
    """Give the residual (cells,) of a column after a regression on all columns of a fit, by fitted counts."""
    weighted = np.bincount(group, fit.fitted * column) / np.bincount(group, fit.fitted)
    within = column - weighted[group]
    slopes = fit.inverse_information @ fit.swept.totals(fit.fitted * within)
    return np.asarray(within - fit.swept.times(slopes) + (fit.group_means @ slopes)[group])


def _finish(
    cells: Cells,
    columns: EffectColumns,
    coefficients: NDArray[np.float64],
    fitted: NDArray[np.float64],
    information: NDArray[np.float64],
    means: NDArray[np.float64],
) -> FixedEffectsFit:
    effects, terms = slice(None, columns.n_levels), slice(columns.n_levels, None)
    direction = np.eye(columns.width)[:, terms]
    if columns.n_levels:
        direction[effects] = -np.linalg.solve(information[effects, effects], information[effects, terms])
    residual = columns.times(direction) - (means @ direction)[cells.group]
    inverse: NDArray[np.float64] = np.linalg.inv(information).astype(np.float64)
    return FixedEffectsFit(
        coefficients=coefficients[terms],
        fitted=fitted,
        residual_design=residual,
        bread=inverse[terms, terms],
        swept=columns,
        group_means=means,
        inverse_information=inverse,
        collinear=(),
    )


def _newton(
    cells: Cells, columns: EffectColumns, totals: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    coefficients = np.zeros(columns.width)
    fitted = _expected(cells, totals, columns.times(coefficients))
    likelihood = log_likelihood(cells.counts, fitted)
    previous = np.inf
    for _ in range(MAX_ITERATIONS):
        information, _sums = _information(cells, columns, totals, fitted)
        step = np.linalg.solve(information, columns.totals(cells.counts - fitted))
        size = float(np.max(np.abs(step), initial=0.0))
        for _halving in range(30):
            trial = _expected(cells, totals, columns.times(coefficients + step))
            reached = log_likelihood(cells.counts, trial)
            if reached >= likelihood - 1e-9 * abs(likelihood):
                break
            step = step / 2
        coefficients, fitted, likelihood = coefficients + step, trial, reached
        if np.max(np.abs(coefficients[columns.n_levels :]), initial=0.0) > DIVERGED:
            break
        # Rounding sets a floor under the step where effects are large: stop when it no longer shrinks.
        if size < STEP_TOLERANCE or (size < 1e-9 and size >= previous / 2):
            return coefficients, fitted
        previous = size
    raise ConvergenceError(
        "the Poisson likelihood has no finite maximum: some combination of terms predicts that no event"
        " happens (separation). Pool exposure times or arms with few events, or drop the covariate at fault."
    )


def _expected(cells: Cells, totals: NDArray[np.float64], linear: NDArray[np.float64]) -> NDArray[np.float64]:
    weight = cells.exposure * np.exp(linear - linear.max(initial=-np.inf))
    return np.asarray(weight * (totals / sums_by_code(cells.group, weight))[cells.group])


def _information(
    cells: Cells, columns: EffectColumns, totals: NDArray[np.float64], fitted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sums = columns.totals_by_group(cells.group, len(totals), fitted)
    return columns.cross_products(fitted) - sums.T @ (sums / totals[:, None]), sums


def _effect_columns(cells: Cells) -> EffectColumns:
    """Indicators of the effects' levels, without those that groups and earlier levels already explain."""
    before = np.cumsum([0, *(int(codes.max(initial=-1)) + 1 for codes in cells.effects)])
    levels = tuple(codes + offset for codes, offset in zip(cells.effects, before, strict=False))
    every = EffectColumns(levels, int(before[-1]), np.empty((len(cells.counts), 0)))
    totals = sums_by_code(cells.group, cells.counts)
    flat = cells.exposure * (totals / sums_by_code(cells.group, cells.exposure))[cells.group]
    information, _ = _information(cells, every, totals, flat)
    return every.only(_independent(information, every.totals(flat)), cells.design)


def _independent(information: NDArray[np.float64], unswept: NDArray[np.float64]) -> NDArray[np.intp]:
    """Choose columns that span all: what is left of each is judged by its size before the sweep."""
    if not len(unswept):
        return np.empty(0, dtype=np.intp)
    from scipy.linalg.lapack import dpstrf

    scale = np.sqrt(unswept)
    scaled = information / np.outer(scale, scale)
    # LAPACK accepts its first pivot whatever the tolerance.
    if np.max(np.diag(scaled), initial=0.0) <= RANK_TOLERANCE:
        return np.empty(0, dtype=np.intp)
    _factor, pivots, rank, _info = dpstrf(scaled, tol=RANK_TOLERANCE)
    return np.sort(pivots[:rank] - 1)


def _collinear(
    cells: Cells, columns: EffectColumns, totals: NDArray[np.float64], fitted: NDArray[np.float64]
) -> tuple[int, ...]:
    size = (columns.numeric**2).T @ fitted
    return _collinear_terms(_information(cells, columns, totals, fitted)[0], size, columns.n_levels)


def _collinear_terms(
    information: NDArray[np.float64], size: NDArray[np.float64], n_effects: int
) -> tuple[int, ...]:
    """Terms of which the fixed effects and the terms before them leave nothing but rounding."""
    kept = list(range(n_effects))
    collinear = []
    for column in range(n_effects, len(information)):
        own, cross = information[column, column], information[kept, column]
        left = own - cross @ np.linalg.solve(information[np.ix_(kept, kept)], cross) if kept else own
        if left <= COLLINEAR * size[column - n_effects]:
            collinear.append(column - n_effects)
        else:
            kept.append(column)
    return tuple(collinear)
