"""Variance for errors shared in two ways, by unit and by period say (Cameron, Gelbach & Miller 2011).

V = V_first + V_second − V_both, each a sandwich of scores added up by one clustering, by the other, and by
their intersections (their eq. 2.9), with one small-sample factor and degrees of freedom from the smaller
number of clusters (the convention of fixest and pyfixest). The difference need not be positive
semi-definite: negative eigenvalues are then set to zero (their section 2.3).

It has no small-sample form here. Of 500 null wedges of 24 months with autocorrelated division effects, CR1 by
division and month with that t rejected 6.6, 9.0 and 7.4 % at 9, 20 and 30 divisions (and was negative in 3, 2
and none), CR2 by division alone 3.8, 7.2 and 4.2 %: so below 40 clusters it has to be asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.inference.cluster_robust import FEW_CLUSTERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

Cluster = str | Sequence[str] | None
NEGATIVE = -1e-10
MENDED = "the two-way variance had a negative direction, which was set to zero: it is rough"


def cluster_columns(cluster: Cluster) -> tuple[str, ...]:
    """Give the one or two columns to cluster by; the panel's cluster where none is named.

    Raises
    ------
    EstimationError
        No column, more than two, or the same one twice.
    """
    if cluster is None:
        return ("cluster",)
    columns = (cluster,) if isinstance(cluster, str) else tuple(cluster)
    if not 1 <= len(columns) <= 2 or len(set(columns)) < len(columns):
        raise EstimationError(f"cluster takes one column or two different ones, not {list(columns)}")
    return columns


def intersections(first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number the pairs of clusters (rows,) that occur, 0…G−1."""
    pair = first.astype(np.int64) * (int(second.max()) + 1) + second
    return np.asarray(np.unique(pair, return_inverse=True)[1])


def require_many_of_both(n_clusters: int) -> None:
    """Refuse, unless it was asked for by name, a sandwich that has no small-sample form.

    Raises
    ------
    EstimationError
        The smaller number of clusters is below 40.
    """
    if n_clusters < FEW_CLUSTERS:
        raise EstimationError(
            f"two-way clustering with {n_clusters} clusters in one direction (fewer than {FEW_CLUSTERS}) has"
            " no small-sample correction, and no standard error is taken from it unasked. Cluster by the"
            " randomized units alone (cluster=None), use a randomization test or wild_bootstrap; or name"
            ' correction="CR1" to have the sandwich all the same'
        )


def require_positive(variance: float, name: str, *, mended: bool) -> None:
    """Refuse a variance that is zero, a two-way one that was negative among them.

    Raises
    ------
    EstimationError
    """
    if variance > 0:
        return
    if mended:
        raise EstimationError(
            f"{name}: the two-way variance is negative (rows move less together within the clusters of either"
            " kind than alone), so it means nothing; cluster one way, by the randomized units"
        )
    raise EstimationError(
        f"{name}: the residuals of every cluster add up to nothing, so there is no variance: too few clusters"
        " differ in treatment for these effects"
    )


def two_way_covariance(
    first: NDArray[np.float64], second: NDArray[np.float64], both: NDArray[np.float64]
) -> tuple[NDArray[np.float64], bool]:
    """Give the covariance (terms, terms), and whether negative eigenvalues were set to zero.

    Parameters
    ----------
    first, second, both : (clusters, terms)
        Influence on the terms, added up by the first clustering, the second, and their intersections.
    """
    return without_negative(first.T @ first + second.T @ second - both.T @ both)


def without_negative(covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """Set negative eigenvalues to zero; and whether there were any beyond rounding."""
    values, vectors = np.linalg.eigh(covariance)
    if values[0] >= NEGATIVE * max(values[-1], np.finfo(float).tiny):
        return covariance, False
    return (vectors * np.maximum(values, 0)) @ vectors.T, True
