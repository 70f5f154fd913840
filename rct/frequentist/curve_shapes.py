"""Shapes of an effect in the time since training: straight line, exponential, natural cubic spline.

Exposure time s counts treated periods from 1. Each shape is a log rate ratio beta(s) that is linear in its
parameters once the half-life of an exponential is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Curve = Literal["linear", "exponential", "asymptote", "spline"]

WORDS: dict[str, str] = {
    "linear": "straight line in exposure time",
    "exponential": "exponential fading to nothing",
    "asymptote": "exponential approach to an asymptote",
    "spline": "natural cubic spline in exposure time",
}
SPLINE_KNOTS = 4


@dataclass(frozen=True)
class Shape:
    """One shape: its columns at given exposure times.

    curve : which shape
    knots : exposure times between which the spline is cubic; empty for other shapes
    """

    curve: Curve
    knots: tuple[float, ...] = ()

    @property
    def has_half_life(self) -> bool:
        """Whether the shape is linear only given a half-life."""
        return self.curve in ("exponential", "asymptote")

    def columns(self, time: NDArray[np.float64], half_life: float | None) -> NDArray[np.float64]:
        """Give the columns (times, parameters) at exposure times (times,).

        linear: beta(s) = initial + slope (s − 1). exponential: initial 2^(−(s−1)/h). asymptote: final +
        (initial − final) 2^(−(s−1)/h). spline: 1, s and the truncated cubes of Hastie, Tibshirani & Friedman
        (2009), eq. 5.4, linear beyond the outer knots.
        """
        since = np.asarray(time, dtype=float) - 1
        one = np.ones_like(since)
        if self.curve == "linear":
            return np.column_stack([one, since])
        if self.curve == "spline":
            return np.column_stack([one, since, *_truncated_cubes(since + 1, self.knots)])
        assert half_life is not None
        decay = 2.0 ** (-since / half_life)
        return decay[:, None] if self.curve == "exponential" else np.column_stack([one, decay])

    def derivative(self, time: NDArray[np.float64], half_life: float) -> NDArray[np.float64]:
        """Give the change (times,) of the decaying column, the last one, per unit of log half-life."""
        halvings = (np.asarray(time, dtype=float) - 1) / half_life
        return np.asarray(np.log(2) * halvings * 2.0**-halvings)


def chosen_shape(curve: Curve, knots: Sequence[float] | None, longest: int) -> Shape:
    """Check the shape that was asked for against the exposure times in the data.

    Raises
    ------
    EstimationError
        An unknown shape, knots out of place, or too few exposure times for the shape.
    """
    if curve not in WORDS:
        raise EstimationError(f"curve must be one of {', '.join(WORDS)}, not {curve!r}")
    if knots is not None and curve != "spline":
        raise EstimationError(f'knots are of curve="spline"; leave them out with {curve!r}')
    needed = {"linear": 2, "exponential": 2, "asymptote": 3, "spline": SPLINE_KNOTS if knots is None else 2}
    if longest < needed[curve]:
        raise EstimationError(
            f"nobody is observed beyond exposure time {longest}, so a curve ({curve}) in exposure time is not"
            ' identified; use poisson with effect="constant"'
        )
    if curve != "spline":
        return Shape(curve)
    if knots is None:
        return Shape(curve, tuple(np.linspace(1, longest, SPLINE_KNOTS).tolist()))
    places = tuple(float(knot) for knot in knots)
    if len(places) < 2 or np.any(np.diff(places) <= 0) or places[0] < 1 or places[-1] > longest:
        raise EstimationError(
            f"knots must be two or more exposure times from 1 to {longest}, ascending, not {list(knots)}"
        )
    return Shape(curve, places)


def _truncated_cubes(time: NDArray[np.float64], knots: tuple[float, ...]) -> list[NDArray[np.float64]]:
    last = knots[-1]

    def slope(knot: float) -> NDArray[np.float64]:
        cubes = np.maximum(time - knot, 0) ** 3 - np.maximum(time - last, 0) ** 3
        return np.asarray(cubes / (last - knot))

    scale = (last - knots[0]) ** 2  # keeps the columns near one, so that rounding stays small
    return [(slope(knot) - slope(knots[-2])) / scale for knot in knots[:-2]]
