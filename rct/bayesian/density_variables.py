"""Variables of a model that are computed from its parameters and coefficients, of all draws at once."""

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.density_layout import Layout

Floats = NDArray[np.float64]


class Derived(NamedTuple):
    """A variable's dimensions, the variables of the layout that it is made of, and how, each (draws, …)."""

    dims: tuple[str, ...]
    sources: tuple[str, ...]
    formula: Callable[..., Floats]


def derived_variables(layout: Layout) -> dict[str, Derived]:
    """Give the variables of officers' models that are computed from others."""
    outer, known = layout.inputs.outer, layout.variables
    found: dict[str, Derived] = {
        name: Derived(known[name].dims, (name,), np.abs)
        for name in ("cluster_sd", "cluster_period_sd")
        if name in known
    }
    if "fading" in known:
        found["half_life"] = Derived(outer, ("fading",), lambda fading: np.log(2) / fading)
    if "dose_fraction" in known:
        found["dose_share"] = Derived((*outer, "dose"), ("dose_fraction",), _shares(layout))
    if "partial" in known:
        found["cluster_correlation"] = Derived(("outcome_pair",), ("partial", "cluster_sd"), correlations)
    if layout.joint:
        inner = known["effect"].dims[1:]
        found["effect_given"] = Derived(("injury", *inner), ("effect",), lambda effect: effect[:, 1:])
        found["effect"] = Derived(("outcome", *inner), ("effect",), _whole)
    return found


def _whole(effects: Floats) -> Floats:
    """Give the effects on force and, added to it, on injury given force."""
    return np.concatenate([effects[:, :1], effects[:, :1] + effects[:, 1:]], axis=1)


def _shares(layout: Layout) -> Callable[[Floats], Floats]:
    """Give the shares of the steps of the dose from the fractions that each takes of what is left."""

    def shares(fractions: Floats) -> Floats:
        left = np.cumprod(1 - fractions.reshape(len(fractions), layout.outcomes, -1), axis=2)
        none, all_of_it = np.zeros((*left.shape[:2], 1)), np.ones((*left.shape[:2], 1))
        found = np.diff(np.concatenate([none, 1 - left, all_of_it], axis=2), axis=2)
        return found if layout.inputs.outer else found[:, 0]

    return shares


def correlations(partial: Floats, signed_sd: Floats) -> Floats:
    """Give the correlation of each pair of outcomes' cluster effects, (draws, pairs).

    From the partial correlations on the scale from 0 to 1, row by row below the diagonal, through the rows of
    the Cholesky factor; a standard deviation below zero turns its outcome's effects round.
    """
    draws, size = signed_sd.shape
    lower, k = np.zeros((draws, size, size)), 0
    for i in range(size):
        left = np.sign(signed_sd[:, i])
        for j in range(i):
            one = 2 * partial[:, k] - 1
            lower[:, i, j] = one * left
            left = left * np.sqrt(1 - one**2)
            k += 1
        lower[:, i, i] = left
    pairs = combinations(range(size), 2)
    return np.stack([(lower[:, i] * lower[:, j]).sum(axis=1) for i, j in pairs], axis=1)
