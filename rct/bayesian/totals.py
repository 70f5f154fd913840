"""The totals on which the likelihood of officers with integrated gamma effects depends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Totals:
    """Sufficient statistics, outcome by outcome along the first axis.

    A *path* is what a unit goes through, period by period: its cluster, its arm, its dose. A *profile* is
    a path together with the exposures along it; with equal exposures there are as many as there are
    sequences in each cluster, whatever the number of units.

    Attributes
    ----------
    counts
        Events, (outcomes, paths, periods).
    doses
        Dose of each treatment arm, (arms, outcomes, paths, periods).
    clusters
        Index of the cluster, (outcomes, paths, periods).
    path
        Path of each profile, (outcomes, profiles).
    exposure
        Exposure of one unit of the profile, (outcomes, profiles, periods); 0 where it was not observed.
    units, events
        Units and all their events, (outcomes, profiles).
    total, total_units
        The distinct numbers of events of a unit, and how many units have each, (outcomes, totals).
    constant
        Part of the log-likelihood that no parameter enters, the sum of y log E - log y!, (outcomes,).
    """

    counts: Floats
    doses: Floats
    clusters: Integers
    path: Integers
    exposure: Floats
    units: Floats
    events: Floats
    total: Floats
    total_units: Floats
    constant: Floats

    @property
    def one_profile_a_path(self) -> bool:
        """Whether profiles and paths are the same, in the same order, as with equal exposures."""
        paths = self.counts.shape[1]
        return self.path.shape[1] == paths and bool((self.path == np.arange(paths)).all())


def stack_outcomes(each: list[Totals]) -> Totals:
    """Put outcomes beside each other; the shorter ones are filled up with profiles of no unit."""
    return Totals(
        counts=_padded([one.counts[0] for one in each]),
        doses=np.stack([_padded([one.doses[arm, 0] for one in each]) for arm in range(len(each[0].doses))]),
        clusters=_padded([one.clusters[0] for one in each]),
        path=_padded([one.path[0] for one in each]),
        exposure=_padded([one.exposure[0] for one in each]),
        units=_padded([one.units[0] for one in each]),
        events=_padded([one.events[0] for one in each]),
        total=_padded([one.total[0] for one in each]),
        total_units=_padded([one.total_units[0] for one in each]),
        constant=np.concatenate([one.constant for one in each]),
    )


def _padded(arrays: list[NDArray]) -> NDArray:
    length = max(len(array) for array in arrays)
    return np.stack([np.pad(a, [(0, length - len(a)), *[(0, 0)] * (a.ndim - 1)]) for a in arrays])


def unit_totals(rows: "pd.DataFrame", *, periods: Integers, arms: list[str], clusters: list[str]) -> Totals:
    """Add up the rows of one outcome.

    Parameters
    ----------
    rows
        One row per unit and period: unit, period, cluster, arm, treated (the dose), exposure, count.
    periods, arms, clusters
        The values, in the order of the model's dimensions, that the rows may take; arms without control.
    """
    from scipy.special import gammaln

    unit_code, units = rows["unit"].factorize(sort=True)
    at = (unit_code, np.searchsorted(periods, rows["period"].to_numpy()))
    shape = (len(units), len(periods))
    count = rows["count"].to_numpy(float)
    exposure = rows["exposure"].to_numpy(float)
    treated = rows["treated"].to_numpy(float)
    position = {arm: index for index, arm in enumerate(arms)}
    arm = rows["arm"].map(position).fillna(-1).to_numpy(int)
    cluster = rows["cluster"].map({name: index for index, name in enumerate(clusters)}).to_numpy(int)

    counts = _spread(count, at, shape)
    exposures = _spread(exposure, at, shape)
    doses = np.stack([_spread(np.where(arm == a, treated, 0.0), at, shape) for a in range(len(arms))])
    path, first = _distinct(np.hstack([*doses, _spread(cluster.astype(float), at, shape)]))
    profile, first_of_profile = _distinct(np.column_stack([path, exposures]))
    unit_events = counts.sum(axis=1)
    total, total_units = np.unique(unit_events, return_counts=True)
    return Totals(
        counts=_sums(counts, path, len(first))[None],
        doses=doses[:, None, first],
        clusters=_spread(cluster, at, shape)[None, first].astype(np.int64),
        path=path[None, first_of_profile],
        exposure=exposures[None, first_of_profile],
        units=np.bincount(profile).astype(float)[None],
        events=np.bincount(profile, weights=unit_events).astype(float)[None],
        total=total[None],
        total_units=total_units.astype(float)[None],
        constant=np.atleast_1d(count @ np.log(exposure) - gammaln(count + 1).sum()),
    )


def _spread(values: NDArray, at: tuple[Integers, Integers], shape: tuple[int, int]) -> Floats:
    matrix = np.zeros(shape)
    matrix[at] = values
    return matrix


def _distinct(matrix: Floats) -> tuple[Integers, Integers]:
    """Number the distinct rows: the number of each row, and the first row of each number."""
    _, first, number = np.unique(matrix, axis=0, return_index=True, return_inverse=True)
    return number.reshape(-1).astype(np.int64), first


def _sums(matrix: Floats, group: Integers, groups: int) -> Floats:
    sums = np.zeros((groups, matrix.shape[1]))
    np.add.at(sums, group, matrix)
    return sums
