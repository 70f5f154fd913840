"""Which rows carry a likelihood: units, periods and terms without an event tell nothing about an effect.

The estimate of such a unit's or period's rate is zero whatever the other parameters are, so its rows drop out
of the likelihood exactly; a unit that is seen once is fitted exactly by its own effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.collapsed_cells import UnitRows
from rct.frequentist.integer_codes import dense_codes, sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """The rows that enter, and what was left out.

    rows : UnitRows with codes renumbered
    kept : (rows before,) bool
    terms : numbers of the treatment terms that are left
    dropped_units, dropped_levels : units, and levels of the further effects, without an event
    dropped_single : units seen in one row only
    """

    rows: UnitRows
    kept: NDArray[np.bool_]
    terms: tuple[int, ...]
    dropped_units: int
    dropped_levels: int
    dropped_single: int

    @property
    def size(self) -> SampleSize:
        """Numbers of units, rows and events."""
        return SampleSize(
            _levels(self.rows.unit),
            len(self.rows.counts),
            float(self.rows.counts.sum()),
            self.dropped_units,
            self.dropped_single,
            self.dropped_levels,
        )


@dataclass(frozen=True)
class SampleSize:
    """How much entered a fit, and how much carried no information."""

    units: int
    rows: int
    events: float
    dropped_units: int
    dropped_single: int
    dropped_levels: int


def likelihood_rows(rows: UnitRows) -> Sample:
    """Drop, until nothing changes, what has no event or is fitted exactly.

    Raises
    ------
    EstimationError
        No event at all, or none that is left.
    """
    if not rows.counts.sum() > 0:
        raise EstimationError("there is no event in any row, so no rate to compare")
    kept = np.ones(len(rows.counts), dtype=bool)
    single: set[int] = set()
    factors = (*((rows.unit,) if rows.unit_effects else ()), *rows.effects)
    while True:
        # Rows of a level without events hold zeros only, so leaving them out changes no other level's total.
        counts = rows.counts * kept
        for codes in factors:
            kept &= (sums_by_code(codes, counts) > 0)[codes]
        events = sums_by_code(rows.term + 1, counts, rows.n_terms + 1)[1:]
        kept &= np.r_[True, events > 0][rows.term + 1]
        if not kept.any():
            if single:
                raise EstimationError(
                    "no row carries information: each unit that is left is seen in one period only, and its"
                    ' own effect explains its count; leave "unit" out of fixed_effects, or choose an outcome'
                    " with more events"
                )
            raise EstimationError(
                "no row carries information: no event is left once units and periods without one are out"
            )
        alone = np.flatnonzero(np.bincount(rows.unit[kept]) == 1) if rows.unit_effects else ()
        if not len(alone):
            return _sample(rows, kept, events, single)
        single.update(np.asarray(alone).tolist())
        kept &= ~np.isin(rows.unit, alone)


def _sample(rows: UnitRows, kept: NDArray[np.bool_], events: NDArray[np.float64], single: set[int]) -> Sample:
    terms = np.flatnonzero(events > 0)
    renumbered = np.full(rows.n_terms + 1, -1, dtype=np.intp)
    renumbered[terms] = np.arange(len(terms))
    reduced = replace(
        rows,
        counts=rows.counts[kept],
        exposure=rows.exposure[kept],
        unit=dense_codes(rows.unit[kept]),
        effects=tuple(dense_codes(codes[kept]) for codes in rows.effects),
        term=renumbered[rows.term[kept]],
        dose=rows.dose[kept],
        n_terms=len(terms),
        covariates=rows.covariates[kept],
    )
    lost = [_levels(codes) - _levels(codes[kept]) for codes in rows.effects]
    units = _levels(rows.unit) - _levels(rows.unit[kept])
    return Sample(reduced, kept, tuple(terms.tolist()), units - len(single), sum(lost), len(single))


def _levels(codes: NDArray[np.intp]) -> int:
    return int(np.count_nonzero(np.bincount(codes)))
