"""The maximum-likelihood log rate ratio of many two-way tables at once, from their margins alone.

The model of a table is counts(row, column) ~ Poisson(a(row) b(column) exp(slope × dose(row, column))). Its
sufficient statistics are the totals of the rows, those of the columns and the total of counts × dose, so
no table is ever filled. Margins are met by scaling rows and columns in turn (Deming & Stephan 1940), the dose
is swept of both margins in turn, and Newton's step is taken from its efficient score: what is left in the
margins then disturbs the slope to second order only, and a step carries the margins along. Each draw
is worked on element by element and stops by itself: its bits depend on no other draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.inference.score_randomization import ratio_of_totals

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ITERATIONS = 500
# Of the slope's step and of every column's relative misfit. The error that is left is of second order.
TOLERANCE = 1e-8
LONGEST_STEP = 1.0
DIVERGED = 30.0
COLLINEAR = 1e-9


@dataclass(frozen=True)
class Margins:
    """What is known of each draw's table, draws last.

    rows : (blocks, rows, draws) totals
    columns : (blocks, columns, draws) totals
    dosed : (draws,) total of counts × dose
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    dosed: NDArray[np.float64]


def ratios_from_margins(
    margins: Margins, dose: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit row effects, column effects within blocks, and one slope in the dose, in every draw.

    Parameters
    ----------
    margins : Margins
    dose : (rows, columns)

    Returns
    -------
    slope, information : (draws,)
        The information of the slope after both margins are swept out, as it was before the last step: its
        relative error is of the order of `TOLERANCE`.

    Raises
    ------
    EstimationError
        A draw without a finite maximum (no event under treatment, or none without it), or one whose
        treatment the margins explain.
    """
    doses = _Doses(dose)
    slope, information = np.empty(len(margins.dosed)), np.empty(len(margins.dosed))
    # From the fit without an effect, which is the product of the margins.
    state = _State(margins, margins.columns, np.zeros_like(margins.columns), np.zeros(len(slope)))
    open_draws = _two_or_more(np.arange(len(slope)))
    state = state.of(open_draws)
    for iteration in range(MAX_ITERATIONS):
        state, step, misfit, efficient, whole = _stepped(state, doses)
        # The first sweep is exact: at the product of the margins projections on rows and columns commute.
        if iteration == 0 and np.any(efficient <= COLLINEAR * whole):
            raise EstimationError("treatment is explained by the fixed effects in some draws")
        if not np.isfinite(state.slope).all() or np.abs(state.slope).max() > DIVERGED:
            break
        going = (np.abs(step) >= TOLERANCE) | (misfit >= TOLERANCE)
        done = open_draws[~going]
        slope[done], information[done] = state.slope[~going], efficient[~going]
        if not going.any():
            return slope, information
        if len(done):
            left = _two_or_more(np.flatnonzero(going))
            open_draws, state = open_draws[left], state.of(left)
    raise EstimationError(
        "the log rate ratio has no finite estimate in some draws (no event under treatment, or none without);"
        ' use statistic="score", which needs none'
    )


def _two_or_more(draws: NDArray[np.intp]) -> NDArray[np.intp]:
    """Work a single draw twice: NumPy sums arrays with one column in another order."""
    return np.repeat(draws, 2) if len(draws) == 1 else draws


@dataclass(frozen=True)
class _State:
    """Margins, the columns' factors b, the columns' part of the swept dose, and the slope."""

    margins: Margins
    factor: NDArray[np.float64]
    column_part: NDArray[np.float64]
    slope: NDArray[np.float64]

    def of(self, draws: NDArray[np.intp]) -> _State:
        m = self.margins
        return _State(
            Margins(m.rows.take(draws, axis=-1), m.columns.take(draws, axis=-1), m.dosed[draws]),
            self.factor.take(draws, axis=-1),
            self.column_part.take(draws, axis=-1),
            self.slope[draws],
        )


class _Doses:
    """Sums over a table's rows or columns, weighted by exp(slope × dose), level by level of the dose."""

    def __init__(self, dose: NDArray[np.float64]) -> None:
        self.levels = np.unique(dose[dose != 0])
        self._members = [(dose == level).astype(float) for level in self.levels]

    def over_columns(self, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Sum values (blocks, columns, draws) over the columns that have each dose."""
        return [np.einsum("sp,bpd->bsd", member, values) for member in self._members]

    def over_rows(self, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Sum values (blocks, rows, draws) over the rows that have each dose."""
        return [np.einsum("sp,bsd->bpd", member, values) for member in self._members]

    def weighted(
        self, values: NDArray[np.float64], by_level: list[NDArray[np.float64]], slope: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Sum of values × exp(slope × dose)."""
        raised = [np.expm1(slope * level) * own for level, own in zip(self.levels, by_level, strict=True)]
        return np.asarray(values.sum(axis=1, keepdims=True) + sum(raised))

    def dosed(
        self, by_level: list[NDArray[np.float64]], slope: NDArray[np.float64], power: int = 1
    ) -> NDArray[np.float64]:
        """Sum of values × dose^power × exp(slope × dose)."""
        return np.asarray(
            sum(
                level**power * np.exp(slope * level) * own
                for level, own in zip(self.levels, by_level, strict=True)
            )
        )


def _stepped(
    state: _State, doses: _Doses
) -> tuple[_State, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scale rows, sweep the dose, step, scale columns.

    Returns the state, and (draws,) step, largest relative misfit of a column before it, information of the
    slope with and without the margins swept out.
    """
    slope, b, totals = state.slope, state.factor, state.margins.columns
    of_b, of_part = doses.over_columns(b), doses.over_columns(b * state.column_part)
    row_sum = doses.weighted(b, of_b, slope)
    a = ratio_of_totals(state.margins.rows, row_sum)
    row_part = ratio_of_totals(
        doses.dosed(of_b, slope) - doses.weighted(b * state.column_part, of_part, slope), row_sum
    )
    of_a, of_row_part = doses.over_rows(a), doses.over_rows(a * row_part)
    column_sum, dosed = doses.weighted(a, of_a, slope), doses.dosed(of_a, slope)
    part = ratio_of_totals(dosed - doses.weighted(a * row_part, of_row_part, slope), column_sum)
    score = state.margins.dosed - (b * dosed + part * (totals - b * column_sum)).sum(axis=(0, 1))
    squares = doses.dosed(of_a, slope, power=2)
    information = (b * (squares - doses.dosed(of_row_part, slope) - part * dosed)).sum(axis=(0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):  # judged by the caller
        step = np.clip(score / information, -LONGEST_STEP, LONGEST_STEP)
    scaling = ratio_of_totals(totals, b * column_sum)
    misfit = np.abs(np.where(totals > 0, scaling - 1, 0.0)).max(axis=(0, 1))
    moved = b * scaling * np.exp(-step * part)
    whole = (b * squares).sum(axis=(0, 1))
    return _State(state.margins, moved, part, slope + step), step, misfit, information, whole
