"""The totals on which the likelihood of officers with integrated gamma effects depends."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
WIDEST = 64
NAMED = ("marks", "cells")


@dataclass(frozen=True)
class Totals:
    """Sufficient statistics, outcome by outcome along the first axis.

    A *path* is what a unit goes through, period by period: its marks (cluster, block, dose of each arm, time
    since training). A *profile* is a path together with the exposures along it; with equal exposures there
    are as many as there are sequences in each cluster, whatever the number of units. Profiles of one path
    lie side by side in *strips* of equal width, so that the expected counts of a strip are one product of
    its exposures and the rates of its path.

    Attributes
    ----------
    marks
        By name, the marks of the paths, (outcomes, paths, periods).
    cells
        Empty, or of single unit-periods: ``cell_events``, ``cell_zeros`` and ``cell_units`` of each profile
        (its events, its unit-periods without any, all of them), (outcomes, strips, width, periods); the
        distinct counts of a unit-period ``cell_total`` and how many have each, ``cell_times``.
    counts
        Events, (outcomes, paths, periods).
    path
        Path of each strip, (outcomes, strips).
    exposure
        Exposure of one unit of the profile, (outcomes, strips, width, periods); 0 where it was not observed.
    units, events
        Units and all their events, (outcomes, strips, width); 0 where a strip is not full.
    total, total_units
        The distinct numbers of events of a unit, and how many units have each, (outcomes, totals);
        filled up with totals that no unit has.
    constant
        Part of the log-likelihood that no parameter enters, the sum of y log E - log y!, (outcomes,).
    """

    marks: Mapping[str, NDArray]
    cells: Mapping[str, NDArray]
    counts: Floats
    path: Integers
    exposure: Floats
    units: Floats
    events: Floats
    total: Floats
    total_units: Floats
    constant: Floats

    @property
    def tables(self) -> dict[str, NDArray]:
        """All arrays by name."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NAMED}
        return own | dict(self.marks) | dict(self.cells)


def stack_outcomes(each: list[Totals]) -> Totals:
    """Put outcomes beside each other; the shorter ones are filled up with profiles of no unit."""

    def together(field: str) -> NDArray:
        return _stacked([getattr(one, field)[0] for one in each])

    def named(group: str) -> dict[str, NDArray]:
        return {
            name: _stacked([getattr(one, group)[name][0] for one in each]) for name in getattr(each[0], group)
        }

    return Totals(
        **{field.name: named(field.name) if field.name in NAMED else together(field.name)
           for field in fields(Totals)}  # type: ignore[arg-type]
    )  # fmt: skip


def _stacked(arrays: list[NDArray]) -> NDArray:
    shapes = [np.shape(array) for array in arrays]
    stacked = np.zeros((len(arrays), *(max(sizes) for sizes in zip(*shapes, strict=True))), arrays[0].dtype)
    for one, array, shape in zip(stacked[:, None], arrays, shapes, strict=True):
        one[(0, *(slice(size) for size in shape))] = array
    return stacked


def unit_totals(
    rows: "pd.DataFrame", *, periods: Integers, marks: Mapping[str, NDArray], cells: bool = False
) -> Totals:
    """Add up the rows of one outcome.

    Parameters
    ----------
    rows
        One row per unit and period: unit, period, exposure, count.
    periods
        The values, in their order, that the rows' periods may take.
    marks
        By name, one number for each row.
    cells
        Whether to add up single unit-periods too.
    """
    from scipy.special import gammaln

    unit_code, units = rows["unit"].factorize(sort=True)
    at = (unit_code, np.searchsorted(periods, rows["period"].to_numpy()))
    shape = (len(units), len(periods))
    count = rows["count"].to_numpy(float)
    exposure = rows["exposure"].to_numpy(float)
    counts, exposures = _spread(count, at, shape), _spread(exposure, at, shape)
    nearest = _nearest_observed(exposures > 0)
    spread = {name: _spread(values, at, shape)[nearest] for name, values in marks.items()}
    path, first = _distinct(np.hstack(list(spread.values())))
    profile, first_of_profile = _distinct(np.column_stack([path, exposures]))
    path_of_profile = path[first_of_profile]
    strip, place = _strips(path_of_profile)
    width = int(place.max()) + 1
    unit_events = counts.sum(axis=1)
    total, total_units = _histogram(unit_events)

    def in_strips(values: NDArray) -> NDArray:
        table = np.zeros((int(strip.max()) + 1, width, *values.shape[1:]))
        table[strip, place] = values
        return table

    of_cells = _cells(counts, exposures > 0, profile) if cells else {}
    return Totals(
        cells={
            name: in_strips(values)[None] if values.ndim == 2 else values[None]
            for name, values in of_cells.items()
        },
        marks={name: values[None, first] for name, values in spread.items()},
        counts=_sums(counts, path, len(first))[None],
        path=path_of_profile[place == 0][None],
        exposure=in_strips(exposures[first_of_profile])[None],
        units=in_strips(np.bincount(profile).astype(float))[None],
        events=in_strips(np.bincount(profile, weights=unit_events))[None],
        total=total[None],
        total_units=total_units[None],
        constant=np.atleast_1d(count @ np.log(exposure) - gammaln(count + 1).sum()),
    )


def _cells(counts: Floats, observed: NDArray, profile: Integers) -> dict[str, Floats]:
    """Add up unit-periods of the same profile and period."""
    profiles = int(profile.max()) + 1
    value, times = _histogram(counts[observed])
    return {
        "cell_events": _sums(counts, profile, profiles),
        "cell_zeros": _sums((observed & (counts == 0)).astype(float), profile, profiles),
        "cell_units": _sums(observed.astype(float), profile, profiles),
        "cell_total": value,
        "cell_times": times,
    }


def _histogram(events: Floats) -> tuple[Floats, Floats]:
    """Give the distinct values and how often each occurs, filled up so that most panels are of one length."""
    value, times = np.unique(events, return_counts=True)
    empty = 2 ** max(6, int(np.ceil(np.log2(len(value))))) - len(value)
    return np.pad(value, (0, empty)), np.pad(times.astype(float), (0, empty))


def _spread(values: NDArray, at: tuple[Integers, Integers], shape: tuple[int, int]) -> NDArray:
    matrix = np.zeros(shape, dtype=values.dtype)
    matrix[at] = values
    return matrix


def _nearest_observed(observed: NDArray) -> tuple[Integers, Integers]:
    """Give for every unit and period the last observed period, before the first one the first.

    Marks of periods without exposure enter nothing; filled in like this they make no new paths.
    """
    units, periods = observed.shape
    last = np.maximum.accumulate(np.where(observed, np.arange(periods), -1), axis=1)
    column = np.where(last < 0, observed.argmax(axis=1)[:, None], last)
    return np.arange(units)[:, None], column


def _distinct(matrix: NDArray) -> tuple[Integers, Integers]:
    """Number the distinct rows: the number of each row, and the first row of each number."""
    _, first, number = np.unique(matrix, axis=0, return_index=True, return_inverse=True)
    return number.reshape(-1).astype(np.int64), first


def _strips(path: Integers) -> tuple[Integers, Integers]:
    """Cut profiles, sorted by path, into strips of one path each: number of the strip, place in it.

    The width is the power of two that leaves the fewest places empty, each strip costing as much as eight.
    """
    _, first, sizes = np.unique(path, return_index=True, return_counts=True)
    widths = 2 ** np.arange(int(np.log2(WIDEST)) + 1)
    cost = [(-(-sizes // width)).sum() * (width + 8) for width in widths]
    width = widths[int(np.argmin(cost))]
    within = np.arange(len(path)) - np.repeat(first, sizes)
    begun = np.concatenate([[0], np.cumsum(-(-sizes // width))[:-1]])
    return np.repeat(begun, sizes) + within // width, within % width


def _sums(matrix: Floats, group: Integers, groups: int) -> Floats:
    sums = np.zeros((groups, matrix.shape[1]))
    np.add.at(sums, group, matrix)
    return sums
