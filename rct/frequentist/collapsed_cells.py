"""Units with the same treatment, exposure and covariates enter the likelihood only through their sum.

With an effect for every unit, a unit's effect is estimated by a ratio of totals; units whose relative
expected counts are the same function of the parameters can then be added up before the fit, and the
maximum-likelihood estimate is the same (the multinomial counts of such units add up to a multinomial count).
Without unit effects the same holds for units of equal exposure. Single rows are needed only for the sums of
scores by cluster behind a robust variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from rct.frequentist.fixed_effects_likelihood import Cells, FixedEffectsFit
from rct.frequentist.integer_codes import sums_by_code
from rct.row_runs import run_starts

if TYPE_CHECKING:
    from numpy.typing import NDArray


HASH_MULTIPLIER = 6364136223846793005
LARGEST_CODE = 2**62


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
    term: NDArray[np.integer]
    dose: NDArray[np.float64]
    n_terms: int
    covariates: NDArray[np.float64]
    unit_effects: bool


@dataclass(frozen=True)
class AlikeUnits:
    """Which units are alike in every row.

    first : (units,) their first rows
    pattern : (units,) codes
    start : (patterns,) the number of each pattern's first cell
    example : (cells,) one row of each cell, pattern by pattern
    group : (cells,) the pattern of each cell
    """

    first: NDArray[np.intp]
    pattern: NDArray[np.intp]
    start: NDArray[np.intp]
    example: NDArray[np.intp]
    group: NDArray[np.intp]

    @cached_property
    def every_unit(self) -> NDArray[np.intp]:
        """The unit of each row."""
        length = np.diff(self.start, append=len(self.example))
        return np.repeat(np.arange(len(self.first)), length[self.pattern])

    @cached_property
    def every_cell(self) -> NDArray[np.intp]:
        """The cell of each row."""
        return self.cell(np.arange(len(self.every_unit)), self.every_unit)

    def cell(self, rows: NDArray[np.intp], unit: NDArray[np.intp]) -> NDArray[np.intp]:
        """Give the cells of some rows of these units."""
        return (self.start[self.pattern] - self.first)[unit] + rows

    def events(self, counts: NDArray) -> Events:
        """Find the rows that have an event."""
        at = np.flatnonzero(counts != 0)
        of_unit = np.diff(np.searchsorted(at, self.first), append=len(at))
        unit = np.repeat(np.arange(len(self.first)), of_unit)
        return Events(counts[at].astype(np.float64, copy=False), unit, self.cell(at, unit))


@dataclass(frozen=True)
class Events:
    """The rows that have an event: their counts, units and cells."""

    counts: NDArray[np.float64]
    unit: NDArray[np.intp]
    cell: NDArray[np.intp]


@dataclass(frozen=True)
class Collapse:
    """Cells, and the way back to the rows.

    cells : sums over the units of one pattern
    alike : the units and their patterns
    rows : what was added up
    """

    cells: Cells
    alike: AlikeUnits
    rows: UnitRows

    @property
    def example(self) -> NDArray[np.intp]:
        """One row of each cell: (cells,)."""
        return self.alike.example

    @property
    def patterns(self) -> int:
        """Number of different patterns."""
        return len(self.alike.start)

    @property
    def cell(self) -> NDArray[np.intp]:
        """The cell of each row."""
        return self.alike.every_cell

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """The part of the cell's expected count that is the row's: (rows,)."""
        if not self.rows.unit_effects:
            return np.asarray(self.rows.exposure / sums_by_code(self.cell, self.rows.exposure)[self.cell])
        of_unit, pattern = sums_by_code(self.alike.every_unit, self.rows.counts), self.alike.pattern
        return (of_unit / sums_by_code(pattern, of_unit)[pattern])[self.alike.every_unit]


def collapse(rows: UnitRows, kept_apart: NDArray[np.intp] | None = None) -> Collapse:
    """Add up units that share effects' levels, treatment, covariates and relative exposure in every row.

    Parameters
    ----------
    rows : UnitRows
    kept_apart : (rows,) codes, optional
        Units that differ in these are not added up (clusters whose cells must stay their own).
    """
    first = run_starts(rows.unit)
    relative = relative_exposure(rows.exposure, first) if rows.unit_effects else rows.exposure
    codes = [*rows.effects, rows.term, *(() if kept_apart is None else (kept_apart,))]
    alike = alike_units(first, codes, [*differing(rows.dose, rows.term), *rows.covariates.T, relative])
    example, events = alike.example, alike.events(rows.counts)
    if rows.unit_effects:
        exposure, group = relative[example], alike.group
    else:
        exposure, group = sums_by_code(alike.every_cell, rows.exposure), np.zeros(len(example), dtype=np.intp)
    cells = Cells(
        counts=sums_by_code(events.cell, events.counts, len(example)),
        exposure=exposure,
        group=group,
        effects=tuple(codes[example] for codes in rows.effects),
        design=treatment_design(
            rows.term[example], rows.dose[example], rows.n_terms, rows.covariates[example]
        ),
    )
    return Collapse(cells, alike, rows)


def scores_of_units(
    events: Events,
    of_unit: NDArray[np.float64],
    pattern: NDArray[np.intp],
    cells: Cells,
    fit: FixedEffectsFit,
) -> NDArray[np.float64]:
    """Give each unit's score (units, terms) where units have effects, by the rows with an event alone.

    A unit's expected counts are its total times the pattern's expected shares.

    Parameters
    ----------
    events : Events
    of_unit, pattern : (units,) totals, and the groups of `cells`
    """
    expected = sums_by_code(cells.group, fit.fitted)
    return np.column_stack(
        [
            sums_by_code(events.unit, column[events.cell] * events.counts, len(of_unit))
            - of_unit * (sums_by_code(cells.group, column * fit.fitted) / expected)[pattern]
            for column in fit.residual_design.T
        ]
    )


def codes_of_units(codes: NDArray[np.intp], first: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """Give the units' codes, from those of the rows; None where one unit has several."""
    changes = run_starts(codes)
    begins = np.zeros(len(codes), dtype=bool)
    begins[first] = True
    return codes[first] if begins[changes].all() else None


def relative_exposure(exposure: NDArray[np.float64], first: NDArray[np.intp]) -> NDArray[np.float64]:
    """Divide by the exposure of the unit's first row."""
    if exposure.min() == exposure.max():
        return np.broadcast_to(1.0, len(exposure))
    return exposure / np.repeat(exposure[first], np.diff(first, append=len(exposure)))


def differing(dose: NDArray[np.float64], term: NDArray[np.integer]) -> list[NDArray[np.float64]]:
    """Give the doses where they tell more than the terms do."""
    one_dose = np.count_nonzero(dose == dose.max()) == np.count_nonzero(term >= 0)
    return [] if one_dose else [dose]


def treatment_design(
    term: NDArray[np.integer], dose: NDArray[np.float64], n_terms: int, covariates: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Columns (rows, terms and covariates) of the dose in the row's own term."""
    design = np.zeros((len(term), n_terms))
    treated = np.flatnonzero(term >= 0)
    design[treated, term[treated]] = dose[treated]
    return np.hstack([design, covariates])


def alike_units(
    first: NDArray[np.intp], codes: list[NDArray[np.integer]], facts: list[NDArray[np.float64]]
) -> AlikeUnits:
    """Find the units whose codes and facts agree row by row.

    Parameters
    ----------
    first : (units,) first rows
    codes : (rows,) each, from −1 or 0 on
    facts : (rows,) each
    """
    import pandas as pd

    # What was broadcast from one number (strides of 0) is seen to be constant without a look at every row.
    varying = [fact for fact in facts if fact.strides != (0,) and fact.min() < fact.max()]
    code = _joint_code([*codes, *(pd.factorize(fact)[0] for fact in varying)])
    pattern, examples = _equal_rows(_paths(first, code))
    length = np.diff(first, append=len(codes[0]))[examples]
    start = np.cumsum(length) - length
    group = np.repeat(np.arange(len(examples)), length)
    example = np.arange(len(group)) - start[group] + first[examples][group]
    return AlikeUnits(first, pattern, start, example, group)


def _joint_code(codes: list[NDArray[np.integer]]) -> NDArray[np.integer]:
    """Number the combinations of codes (rows,), none of them 0, in the smallest type that holds them."""
    import pandas as pd

    levels = [int(own.max()) + 2 for own in codes]
    smallest = np.min_scalar_type(min(2 * prod(levels), LARGEST_CODE))
    code = np.ones(len(codes[0]), dtype=smallest if smallest.itemsize < 8 else np.int64)
    reached = 2
    for own, more in zip(codes, levels, strict=True):
        if reached * more > LARGEST_CODE:
            code = pd.factorize(code)[0].astype(np.int64) + 1
            reached = int(code.max()) + 1
        code *= more
        code += own.astype(code.dtype)  # −1 wraps around, and so does what follows
        code += code.dtype.type(1)  # for codes begin at −1
        reached *= more
    return code


def _paths(first: NDArray[np.intp], code: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Lay out the code by unit and row, 0 where a unit has no more rows, and read it as whole words."""
    length = np.diff(first, append=len(code))
    width = -(-int(length.max()) // 8) * 8
    path = np.zeros((len(first), width), dtype=code.dtype)
    if np.all(length == length[0]):
        path[:, : length[0]] = code.reshape(len(first), -1)
    else:
        unit = np.repeat(np.arange(len(first)), length)
        path[unit, np.arange(len(code)) - first[unit]] = code
    return path.view(np.uint64)


def _equal_rows(path: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number the rows so that equal ones share a number; give the first row of each number."""
    import pandas as pd

    # Rows of one hash are compared; only where one stands for different rows are all of them sorted.
    multipliers = np.cumprod(np.full(path.shape[1], HASH_MULTIPLIER, dtype=np.uint64))
    pattern, hashes = pd.factorize(path @ multipliers)
    example = np.empty(len(hashes), dtype=np.intp)
    example[pattern[::-1]] = np.arange(len(path))[::-1]
    if not np.array_equal(path, path[example[pattern]]):
        _, example, pattern = np.unique(path, axis=0, return_index=True, return_inverse=True)
    return pattern.astype(np.intp, copy=False), example
