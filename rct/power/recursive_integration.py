"""The joint distribution of a statistic looked at several times, by recursive integration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NODES, WIDTH = 20, 3.0
REACH = 9.0


@dataclass(frozen=True)
class Walk:
    """A score that went on at every look so far: S = Z √t with independent normal increments.

    Attributes
    ----------
    at : float
        Information t of the last look, a fraction of the largest.
    score, mass : array
        Quadrature nodes of S and the probability (density times weight) that it went on to be there.
    """

    at: float
    score: "NDArray[np.float64]"
    mass: "NDArray[np.float64]"

    def above(self, information: float, bound: float, drift: float) -> float:
        """Give the probability that Z passes `bound` at the next look, having gone on so far."""
        from scipy.special import ndtr

        step = information - self.at
        ahead = self.score + drift * step - bound * np.sqrt(information)
        return float(self.mass @ ndtr(ahead / np.sqrt(step)))

    def below(self, information: float, bound: float, drift: float) -> float:
        """Give the probability that Z falls below `bound` at the next look, having gone on so far."""
        from scipy.special import ndtr

        step = information - self.at
        ahead = bound * np.sqrt(information) - self.score - drift * step
        return float(self.mass @ ndtr(ahead / np.sqrt(step)))

    def going_on(
        self, information: float, lower: float, upper: float, drift: float, next_step: float
    ) -> "Walk":
        """Give the walk after a look at which Z stayed between the bounds.

        Armitage, McPherson & Rowe (1969), by composite Gauss–Legendre quadrature.
        """
        step = information - self.at
        sd, spread = np.sqrt(step), REACH * np.sqrt(step)
        low = max(lower * np.sqrt(information), self.score.min() + drift * step - spread)
        high = min(upper * np.sqrt(information), self.score.max() + drift * step + spread)
        piece = WIDTH * min(sd, np.sqrt(next_step))
        edges = np.linspace(low, high, 1 + max(1, int(np.ceil((high - low) / piece))))
        x, w = np.polynomial.legendre.leggauss(NODES)
        half = np.diff(edges)[:, np.newaxis] / 2
        score = (edges[:-1, np.newaxis] + half * (1 + x)).ravel()
        weights = np.broadcast_to(half * w, (len(half), NODES)).ravel()
        gap = (score[:, np.newaxis] - self.score[np.newaxis, :] - drift * step) / sd
        density = np.exp(-(gap**2) / 2) @ self.mass / (sd * np.sqrt(2 * np.pi))
        return Walk(information, score, density * weights)


def walk_from(at: float = 0.0, z: float = 0.0) -> Walk:
    """Start a walk where Z was seen at information `at`."""
    return Walk(at, np.array([z * np.sqrt(at)]), np.ones(1))


def crossings(
    information: Sequence[float],
    lower: Sequence[float],
    upper: Sequence[float],
    *,
    drift: float,
    start: Walk | None = None,
) -> "NDArray[np.float64]":
    """Give the probability of stopping at each look.

    Parameters
    ----------
    information : sequence of float
        Increasing fractions of the largest information.
    lower, upper : sequence of float
        Bounds of Z; -inf: none.
    drift : float
        Expected Z at information 1.
    start : Walk, optional
        Where the score stands; 0 at information 0 where None.

    Returns
    -------
    array, looks × 2
        Probability to pass the upper and the lower bound for the first time.
    """
    walk = walk_from() if start is None else start
    found = np.zeros((len(information), 2))
    for look, at in enumerate(information):
        found[look] = walk.above(at, upper[look], drift), walk.below(at, lower[look], drift)
        if look + 1 < len(information):
            walk = walk.going_on(at, lower[look], upper[look], drift, information[look + 1] - at)
    return found
