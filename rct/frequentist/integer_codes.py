"""Levels of a factor as integer codes: renumbering, and sums by level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def dense_codes(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Renumber codes 0…n−1 in their own order."""
    present = np.bincount(codes) > 0
    return np.asarray((np.cumsum(present) - 1)[codes])


def sums_by_code(codes: NDArray[np.integer], values: NDArray, size: int = 0) -> NDArray[np.float64]:
    """Sum values (rows,) by code: (at least `size`,)."""
    return np.bincount(codes, values, size).astype(np.float64, copy=False)


def nested(codes: NDArray[np.intp], clusters: NDArray[np.intp]) -> bool:
    """Whether every level lies in one cluster."""
    if codes.max() < clusters.max():
        return False  # there are more clusters than levels
    cluster_of_level = np.zeros(int(codes.max()) + 1, dtype=np.intp)
    cluster_of_level[codes] = clusters
    return bool(np.all(cluster_of_level[codes] == clusters))
