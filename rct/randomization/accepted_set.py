"""What follows from the allocations that a restriction accepts: their number, probabilities, smallest p."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rct.randomization.random_draws import Draws


def number_of_distinct(accepted: Draws) -> int:
    """Count the distinct allocations."""
    return len(np.unique(accepted, axis=0))


def assignment_shares(accepted: Draws, sequences: int) -> npt.NDArray[np.float64]:
    """Give each unit's probability of each sequence: (units, sequences)."""
    return np.stack([(accepted == sequence).mean(axis=0) for sequence in range(sequences)], axis=1)


def compatible(
    accepted: Draws, given: npt.NDArray[np.integer], compared: Sequence[int]
) -> npt.NDArray[np.intp]:
    """Number the accepted rows in which the units outside the compared sequences stand as they were given."""
    inside = np.isin(given, compared)
    same = (accepted[:, ~inside] == given[~inside]).all(axis=1)
    return np.flatnonzero(same & np.isin(accepted[:, inside], compared).all(axis=1))


def smallest_share(accepted: Draws, compared: Sequence[int]) -> float:
    """Give the smallest two-sided p-value: the share of the rarest allocation.

    With two compared sequences whose exchange leads from every accepted allocation to an accepted one, an
    allocation and its mirror image are equally extreme, and count together.
    """
    rows, times = np.unique(accepted, axis=0, return_counts=True)
    if len(compared) == 2:
        mirrored = rows.copy()
        mirrored[rows == compared[0]], mirrored[rows == compared[1]] = compared[1], compared[0]
        order = np.lexsort(mirrored.T[::-1])
        if np.array_equal(mirrored[order], rows):
            images = np.empty_like(times)
            images[order] = times
            times = times + images
    return float(min(1.0, times.min() / len(accepted)))
