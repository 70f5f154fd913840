"""The assignments that could have been: sequences, the one that was given, and re-randomizations of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import factorial, prod
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel
    from rct.randomization import Allocation


MOST_ORDERS = 1_000_000


@dataclass(frozen=True)
class Redrawn:
    """Re-randomizations of one treatment arm against control.

    arm : the treatment arm
    units : randomized units, in byte order
    dose : (sequences, periods), NaN in transition
    arms : (sequences,) names
    observed : (units,) sequence that each unit was given
    draws : (draws, units) sequences
    probabilities : (units, sequences) under the mechanism; None where only the draws are known
    exact : the draws are the whole space
    smallest_p : smallest p-value that the mechanism can give; NaN where unknown
    """

    arm: str
    units: list[str]
    dose: NDArray[np.float64]
    arms: NDArray[np.str_]
    observed: NDArray[np.intp]
    draws: NDArray[np.integer]
    probabilities: NDArray[np.float64] | None
    exact: bool
    smallest_p: float

    @cached_property
    def hash(self) -> str:
        """Hash of what is re-drawn: equal where two tests share their draws."""
        digest = hashlib.sha256("\0".join(self.units).encode())
        for table, kind in ((self.dose, "<f8"), (self.observed, "<i4"), (self.draws, "<i4")):
            digest.update(np.ascontiguousarray(table, dtype=kind).tobytes())
        return digest.hexdigest()

    @cached_property
    def by_unit(self) -> NDArray[np.integer]:
        """The draws with each unit's column in one piece, for quick look-ups."""
        return np.asfortranarray(self.draws)

    @cached_property
    def frequencies(self) -> NDArray[np.float64]:
        """Probability of each sequence (units, sequences), or its share of the draws where unknown."""
        if self.probabilities is not None:
            return self.probabilities
        n_sequences = len(self.dose)
        counts = [np.bincount(column, minlength=n_sequences) for column in self.by_unit.T]
        return np.array(counts) / len(self.draws)


def redraw_allocation(
    panel: Panel, allocation: Allocation, draws: int | Literal["exact"], seed: int | None
) -> list[Redrawn]:
    """Re-draw with the allocation's own mechanism: one entry for each treatment arm.

    With several treatment arms each is tested with the other arms' units left out: given which units those
    are and how many of each block follow each sequence, every order within a block is equally likely; under a
    restriction, every accepted allocation that leaves those units as they are.

    Raises
    ------
    EstimationError
        The panel's assignment differs from the allocation's.
    """
    frame = allocation.frame
    dose = _dose_table(allocation.sequences, panel.periods)
    observed = frame["sequence"].to_numpy(dtype=np.intp)
    _require_same_assignment(panel, frame["unit"].tolist(), dose[observed])
    arms = _arms(allocation, len(dose))
    treatments = [name for name in dict.fromkeys(arms.tolist()) if name != allocation.control]
    if len(treatments) == 1:
        return [
            Redrawn(
                treatments[0], frame["unit"].tolist(), dose, arms, observed,
                allocation.draws(draws, seed=None if draws == "exact" else seed),
                allocation.probabilities.to_numpy(dtype=float), draws == "exact", allocation.smallest_p,
            )
        ]  # fmt: skip
    return [_pairwise(allocation, arm, arms, dose, draws, seed) for arm in treatments]


def redraw_array(panel: Panel, starts: NDArray[np.integer], *, exact: bool) -> Redrawn:
    """Take re-randomizations from an array of first treated periods.

    Parameters
    ----------
    starts : (draws, units)
        Columns in the order of `panel.randomized_units`; 0 = never. With one period: 0 or 1.
    exact : bool
        The array is the whole space, the panel's own assignment included.

    Raises
    ------
    EstimationError
        Wrong shape, several arms or doses, transition periods, or (exact) an own assignment that is missing.
    """
    units = panel.randomized_units
    array = np.asarray(starts)
    if array.ndim != 2 or array.shape[1] != len(units) or not len(array):
        raise EstimationError(
            f"an array of draws has shape (draws, {len(units)} randomized units), not {array.shape}"
        )
    if not panel.treatments:
        raise EstimationError(
            "no row of the panel is treated, so there is no effect to test; check `starts` or `treated` and"
            " the last period of the data"
        )
    if not np.isin(panel.frame["treated"].dropna().unique(), (0.0, 1.0)).all() or len(panel.treatments) != 1:
        raise EstimationError(
            "an array of first treated periods describes one arm of dose 1; pass an Allocation"
        )
    first = panel.frame.drop_duplicates("randomized").set_index("randomized").loc[units]
    own = first["starts"].to_numpy(dtype=np.int64)
    values = np.unique(np.r_[0, _numbers_of_periods(array, panel.periods), own])
    code = np.zeros(panel.periods + 1, dtype=np.int16)
    code[values] = np.arange(len(values))
    period = np.arange(1, panel.periods + 1)
    dose = ((values[:, None] > 0) & (period >= values[:, None])).astype(float)
    crossing = (values[:, None] > 0) & (period < values[:, None])
    dose[crossing & (period >= values[:, None] - int(panel.meta.get("transition", 0)))] = np.nan
    observed, draws = code[own].astype(np.intp), code[array]
    _require_same_assignment(panel, units, dose[observed])
    if exact and not (draws == observed).all(axis=1).any():
        raise EstimationError(
            'draws="exact" means the whole space, but the panel\'s own assignment is not in the array'
        )
    arms = np.where(values > 0, panel.treatments[0], panel.control)
    return Redrawn(panel.treatments[0], units, dose, arms, observed, draws, None, exact, float("nan"))


def _numbers_of_periods(starts: NDArray[np.integer], periods: int) -> NDArray[np.intp]:
    if starts.dtype.kind not in "iu" or starts.min() < 0 or starts.max() > periods:
        raise EstimationError(
            f"allocation: first treated periods are whole numbers from 1 to {periods}, or 0 for never"
        )
    return np.flatnonzero(np.bincount(starts.ravel(), minlength=periods + 1))


def _dose_table(sequences: pd.DataFrame, periods: int) -> NDArray[np.float64]:
    table = sequences.pivot(index="sequence", columns="period", values="dose").sort_index()
    if table.shape[1] < periods:
        raise EstimationError(f"the panel has {periods} periods, the allocation only {table.shape[1]}")
    return table.to_numpy(dtype=float)[:, :periods]


def _arms(allocation: Allocation, n_sequences: int) -> NDArray[np.str_]:
    dosed = allocation.sequences.loc[allocation.sequences["dose"] > 0]
    own = dosed.drop_duplicates("sequence").set_index("sequence")["arm"]
    return np.array([own.get(s, allocation.control) for s in range(n_sequences)])


def _require_same_assignment(panel: Panel, units: list[str], dose: NDArray[np.float64]) -> None:
    """Compare every row's dose with the one its randomized unit was to have."""
    if units != panel.randomized_units:
        differing = sorted(set(units) ^ set(panel.randomized_units))[:10]
        raise EstimationError(
            "panel and allocation do not have the same randomized units; in one of them only: "
            f"{', '.join(differing)}"
        )
    unit = np.searchsorted(np.array(units), panel.frame["randomized"].to_numpy(dtype=str))
    expected = dose[unit, panel.frame["period"].to_numpy() - 1]
    given = panel.frame["treated"].to_numpy(dtype=float)
    wrong = ~((given == expected) | (np.isnan(given) & np.isnan(expected)))
    if wrong.any():
        row = panel.frame.iloc[int(np.flatnonzero(wrong)[0])]
        raise EstimationError(
            f"the panel's assignment differs from the allocation's in {int(wrong.sum())} rows (first: unit"
            f" {row['unit']} of {row['randomized']}, period {row['period']}: dose {row['treated']:g});"
            " a test with another assignment's draws means nothing"
        )


def _pairwise(
    allocation: Allocation,
    arm: str,
    arms: NDArray[np.str_],
    dose: NDArray[np.float64],
    draws: int | Literal["exact"],
    seed: int | None,
) -> Redrawn:
    from rct.randomization.accepted_set import assignment_shares, compatible

    frame = allocation.frame
    kept = np.isin(arms[frame["sequence"]], (arm, allocation.control))
    observed = frame["sequence"].to_numpy(dtype=np.intp)[kept]
    block = frame["block"].to_numpy(dtype=str)[kept]
    units = frame["unit"][kept].tolist()
    exact = draws == "exact"
    if allocation.accepted is not None:
        compared = np.flatnonzero(np.isin(arms, (arm, allocation.control)))
        given = frame["sequence"].to_numpy()
        rows = allocation.accepted[compatible(allocation.accepted, given, compared.tolist())][:, kept]
        chosen = slice(None) if exact else np.random.default_rng(seed).integers(len(rows), size=int(draws))
        shares = assignment_shares(rows, len(dose))
        return Redrawn(arm, units, dose, arms, observed, rows[chosen], shares, exact, allocation.smallest_p)
    redrawn = _every_order(observed, block) if exact else _some_orders(observed, block, int(draws), seed)
    probabilities = np.zeros((len(observed), len(dose)))
    for name in np.unique(block):
        members = np.flatnonzero(block == name)
        probabilities[members] = np.bincount(observed[members], minlength=len(dose)) / len(members)
    return Redrawn(arm, units, dose, arms, observed, redrawn, probabilities, exact, allocation.smallest_p)


def _some_orders(
    observed: NDArray[np.intp], block: NDArray[np.str_], draws: int, seed: int | None
) -> NDArray[np.integer]:
    generator = np.random.default_rng(seed)
    redrawn = np.tile(observed, (draws, 1))
    for name in np.unique(block):
        members = np.flatnonzero(block == name)
        redrawn[:, members] = generator.permuted(redrawn[:, members], axis=1)
    return redrawn


def _every_order(observed: NDArray[np.intp], block: NDArray[np.str_]) -> NDArray[np.integer]:
    """Give every distinct order of the sequences within blocks, once."""
    members = [np.flatnonzero(block == name) for name in np.unique(block)]
    counts = [np.bincount(observed[own]) for own in members]
    space = prod(factorial(int(c.sum())) // prod(factorial(int(n)) for n in c) for c in counts)
    if space > MOST_ORDERS:
        raise EstimationError(
            f'draws="exact": this comparison has {space:,} distinct orders; give a number of draws'
        )
    redrawn = np.tile(observed, (space, 1))
    repeat = 1
    for own in members:
        orders = _distinct_orders(np.sort(observed[own]))
        redrawn[:, own] = np.tile(np.repeat(orders, repeat, axis=0), (space // (len(orders) * repeat), 1))
        repeat *= len(orders)
    return redrawn


def _distinct_orders(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give the distinct orders of sorted values (orders, values): choose the places of each value in turn."""
    if len(values) == 0 or values[0] == values[-1]:
        return values[None]
    first = values == values[0]
    rest = _distinct_orders(values[~first])
    parts = []
    for places in combinations(range(len(values)), int(first.sum())):
        order = np.full((len(rest), len(values)), values[0])
        order[:, np.setdiff1d(np.arange(len(values)), places)] = rest
        parts.append(order)
    return np.concatenate(parts)
