"""Whether clusters show how treated ones vary: an arm that one cluster alone has tells nothing of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rct.errors import EstimationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def lone_arm(clusters_of_arm: Iterable[tuple[str, NDArray[np.intp]]]) -> str | None:
    """Name the first arm whose rows (or units) all lie in one cluster; None where there is none."""
    return next((arm for arm, own in clusters_of_arm if own.min() == own.max()), None)


def require_treated_clusters(
    arms: list[str], arm: NDArray[np.integer], clusters: NDArray[np.intp], name: str
) -> None:
    """Refuse a single cluster, and an arm that one cluster alone has.

    Parameters
    ----------
    arms : names of the arms
    arm, clusters : (rows,) codes; −1 for a row without treatment
    name : column of the clusters

    Raises
    ------
    EstimationError
    """
    if clusters.min() == clusters.max():
        raise EstimationError(
            f"all rows lie in one cluster (clusters: {name}), so the variance between clusters does not"
            " exist; name a finer cluster, or use a randomization test"
        )
    alone = lone_arm((own, clusters[arm == code]) for code, own in enumerate(arms))
    if alone is not None:
        raise EstimationError(
            f"one cluster alone is treated ({alone}; clusters: {name}), so the variance between treated"
            " clusters does not exist; name a finer cluster, or use a randomization test"
        )
