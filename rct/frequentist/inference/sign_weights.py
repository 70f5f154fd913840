"""Random signs for a wild bootstrap: every vector of them where there are few, a sample otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Weights = Literal["auto", "rademacher", "webb"]

# Webb 2023: mean 0 and variance 1 like Rademacher's two signs, with six points.
POINTS = {
    "rademacher": np.array([-1.0, 1.0]),
    "webb": np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)]),
}
FEW_SIGNS = 9
MOST_VECTORS = 1_000_000
CHUNK = 4_000_000


@dataclass(frozen=True)
class SignWeights:
    """Weights of the clusters, draw by draw.

    name : "rademacher" or "webb"
    codes : (draws, clusters) which of the distribution's points
    exact : every vector of points is there once
    """

    name: str
    codes: NDArray[np.int8]
    exact: bool

    def hash(self, clusters: list[str]) -> str:
        """Hash of the draws of these clusters: equal where two tests share them."""
        digest = hashlib.sha256("\0".join((self.name, *clusters)).encode())
        digest.update(np.ascontiguousarray(self.codes).tobytes())
        return digest.hexdigest()

    @property
    def smallest_p(self) -> float:
        """Smallest two-sided p-value that the weights can give: a vector and its mirror image count."""
        n = len(self.codes)
        return 2 / n if self.exact else 1 / (1 + n)

    def totals(self, contributions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted sum (draws,) of the clusters' contributions."""
        return np.concatenate([chunk @ contributions for chunk in self._chunks()])

    def _chunks(self) -> Iterator[NDArray[np.float64]]:
        points = POINTS[self.name]
        step = max(1, CHUNK // self.codes.shape[1])
        for first in range(0, len(self.codes), step):
            yield points[self.codes[first : first + step]]


def sign_weights(
    n_clusters: int, weights: Weights, draws: int | Literal["exact"], seed: int | None
) -> SignWeights:
    """Choose and draw the weights.

    Parameters
    ----------
    n_clusters : int
    weights : str
        "auto": Webb's six points below 9 clusters, where two signs give too few vectors; else Rademacher's.
    draws : int or "exact"
        Where every vector of points is among that many, all are taken once instead of a sample.
    seed : int, optional
        Required for a sample.

    Raises
    ------
    EstimationError
        A sample without a seed, or more vectors than can be gone through.
    """
    name = weights if weights != "auto" else ("webb" if n_clusters < FEW_SIGNS else "rademacher")
    n_points = len(POINTS[name])
    space = n_points**n_clusters
    if draws == "exact" and space > MOST_VECTORS:
        raise EstimationError(
            f'draws="exact": {n_clusters} clusters with {name} weights have {space:.3g} vectors of weights;'
            " give a number of draws"
        )
    if draws == "exact" or space <= draws:
        grid = np.indices((n_points,) * n_clusters, dtype=np.int8)
        return SignWeights(name, np.ascontiguousarray(grid.reshape(n_clusters, -1).T), True)
    if seed is None:
        raise EstimationError("bootstrap weights are random: give a seed with them")
    generator = np.random.default_rng(seed)
    return SignWeights(name, generator.integers(n_points, size=(draws, n_clusters), dtype=np.int8), False)
