"""Units with the same treatment, exposure and covariates enter the likelihood only through their sum.

With an effect for every unit, a unit's effect is estimated by a ratio of totals; units whose relative
expected counts are the same function of the parameters can then be added up before the fit, and the
maximum-likelihood estimate is the same (the multinomial counts of such units add up to a multinomial count).
Without unit effects the same holds for units of equal exposure. Single rows are needed only for the sums of
scores by cluster behind a robust variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.frequentist.fixed_effects_likelihood import Cells
from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class UnitRows:
    """Rows of measured units, sorted by unit.

    counts, exposure : (rows,)
    unit : (rows,) codes
    effects : codes (rows,) of the further fixed effects
    term, dose : (rows,) the treatment term that the row belongs to (−1: none) and its dose
    n_terms : number of treatment terms
    covariates : (rows, covariates)
    unit_effects : whether each unit has an effect (else one intercept for all)
    """

    counts: NDArray[np.float64]
    exposure: NDArray[np.float64]
    unit: NDArray[np.intp]
    effects: tuple[NDArray[np.intp], ...]
    term: NDArray[np.intp]
    dose: NDArray[np.float64]
    n_terms: int
    covariates: NDArray[np.float64]
    unit_effects: bool


@dataclass(frozen=True)
class Collapse:
    """Cells, and the way back to the rows.

    cells : sums over the units of one pattern
    cell : (rows,) the cell of each row
    example : (cells,) one row of each cell
    share : (rows,) the part of the cell's expected count that is the row's
    patterns : number of different patterns
    """

    cells: Cells
    cell: NDArray[np.intp]
    example: NDArray[np.intp]
    share: NDArray[np.float64]
    patterns: int


def collapse(rows: UnitRows, kept_apart: NDArray[np.intp] | None = None) -> Collapse:
    """Add up units that share effects' levels, treatment, covariates and relative exposure in every row.

    Parameters
    ----------
    rows : UnitRows
    kept_apart : (rows,) codes, optional
        Units that differ in these are not added up (clusters whose cells must stay their own).
    """
    first = np.flatnonzero(np.diff(rows.unit, prepend=-1))
    length = np.diff(first, append=len(rows.unit))
    unit = np.repeat(np.arange(len(first)), length)
    position = np.arange(len(unit)) - first[unit]
    relative = rows.exposure / rows.exposure[first][unit] if rows.unit_effects else rows.exposure
    codes = [*rows.effects, rows.term + 1, *(() if kept_apart is None else (kept_apart,))]
    codes += [np.unique(x, return_inverse=True)[1] for x in _varying(rows.dose, *rows.covariates.T, relative)]
    pattern = _patterns(codes, unit, position, length)[unit]
    cell, example = _cells(pattern, position)
    n_patterns, n_cells = int(pattern.max()) + 1, len(example)
    if rows.unit_effects:
        exposure, group = relative[example], pattern[example]
        share = sums_by_code(unit, rows.counts)[unit] / sums_by_code(pattern, rows.counts)[pattern]
    else:
        exposure, group = sums_by_code(cell, rows.exposure, n_cells), np.zeros(n_cells, dtype=np.intp)
        share = rows.exposure / exposure[cell]
    cells = Cells(
        counts=sums_by_code(cell, rows.counts, n_cells),
        exposure=exposure,
        group=group,
        effects=tuple(codes[example] for codes in rows.effects),
        design=_design(rows, example),
    )
    return Collapse(cells, cell, example, share, n_patterns)


def _varying(*facts: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [fact for fact in facts if np.any(fact != fact[0])]


def _patterns(
    codes: list[NDArray[np.intp]],
    unit: NDArray[np.intp],
    position: NDArray[np.intp],
    length: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Number the units by the whole path of their codes."""
    code = np.zeros(len(unit), dtype=np.int64)
    for own in codes:
        levels = int(own.max()) + 1
        if (code.max() + 1) * levels > 2**62:
            code = np.unique(code, return_inverse=True)[1]
        code = code * levels + own
    path = np.full((len(length), int(length.max())), -1, dtype=np.int64)
    path[unit, position] = code
    whole = path.view(np.dtype((np.void, path.itemsize * path.shape[1]))).ravel()
    return np.unique(whole, return_inverse=True)[1]


def _cells(
    pattern: NDArray[np.intp], position: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    width = int(position.max()) + 1
    place = pattern * width + position
    present = np.bincount(place) > 0
    cell = (np.cumsum(present) - 1)[place]
    example = np.empty(int(present.sum()), dtype=np.intp)
    example[cell] = np.arange(len(cell))
    return cell, example


def _design(rows: UnitRows, example: NDArray[np.intp]) -> NDArray[np.float64]:
    design = np.zeros((len(example), rows.n_terms))
    term = rows.term[example]
    treated = np.flatnonzero(term >= 0)
    design[treated, term[treated]] = rows.dose[example][treated]
    return np.hstack([design, rows.covariates[example]])
