"""Hundreds of agencies, each with its own rate and its own change, both integrated out.

Agency i has y_it ~ Poisson(u_i E_it exp(eta_t + d_it delta_i)), d_it = 1 once it is trained, with
u_i ~ Gamma(phi, phi) and delta_i ~ N(effect, sd²). The gamma integral is exact (Hausman, Hall & Griliches
1984), and leaves, with A_i of the agency's Y_i events after the start and B_i, C_i its expected events before
and after it at delta = 0,

    l_i(delta) = A_i delta - (phi + Y_i) log(phi + B_i + exp(delta) C_i) + log Gamma(phi + Y_i) / Gamma(phi)
                 + phi log phi,

one dimension, integrated against N(effect, sd²) by Gauss-Hermite quadrature around the agency's own peak
(Liu & Pierce 1994, "A note on Gauss-Hermite quadrature"): the sampler sees periods and three numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rct.errors import EstimationError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
QUADRATURE = 24
# Of the grid on which an agency's change is drawn, in spreads around its peak.
REACH = 6.0
POINTS = 81
DRAWS_AT_ONCE = 50


@dataclass(frozen=True)
class AgencyCounts:
    """What the likelihood needs to know.

    Attributes
    ----------
    names
        Of the agencies.
    events, after
        All events of an agency and those after its start, (agencies,).
    profile
        Profile of each agency, (agencies,): agencies alike in exposure and start share one.
    exposure_before, exposure_after
        Exposure of a profile, (profiles, periods).
    by_period
        Events of all agencies, (periods,).
    """

    names: tuple[str, ...]
    events: Floats
    after: Floats
    profile: Integers
    exposure_before: Floats
    exposure_after: Floats
    by_period: Floats

    @property
    def controlled(self) -> bool:
        """Whether some period has exposure of both kinds, so that an effect differs from a common trend."""
        before, after = (e.sum(axis=0) > 0 for e in (self.exposure_before, self.exposure_after))
        return bool((before & after).any())


def count_agencies(rows: "pd.DataFrame", periods: Integers) -> AgencyCounts:
    """Add up the rows of one outcome: unit, period, treated, exposure, count.

    Raises
    ------
    EstimationError
        For doses other than 0 and 1.
    """
    dose = rows["treated"].to_numpy(float)
    if not np.isin(dose, (0.0, 1.0)).all():
        raise EstimationError(
            "agencies: a dose is neither 0 nor 1; the agencies' changes need a before and an after."
        )
    code, names = rows["unit"].factorize(sort=True)
    at = (code, np.searchsorted(periods, rows["period"].to_numpy()))
    shape = (len(names), len(periods))
    count, before, after = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    count[at] = rows["count"].to_numpy(float)
    before[at] = rows["exposure"].to_numpy(float) * (1 - dose)
    after[at] = rows["exposure"].to_numpy(float) * dose
    _, first, profile = np.unique(np.hstack([before, after]), axis=0, return_index=True, return_inverse=True)
    return AgencyCounts(
        names=tuple(str(name) for name in names),
        events=count.sum(axis=1),
        after=(count * (after > 0)).sum(axis=1),
        profile=profile.reshape(-1).astype(np.int64),
        exposure_before=before[first],
        exposure_after=after[first],
        by_period=count.sum(axis=0),
    )


def peak(
    events: Any, after: Any, before_mean: Any, after_mean: Any, effect: Any, sd: Any, phi: Any, xp: Any
) -> tuple[Any, Any]:
    """Give centre and spread of an agency's change, near enough for quadrature; xp is numpy or pytensor.

    The likelihood alone peaks at logit(A / (phi + Y)) + log((phi + B) / C) with information
    (phi + Y) p (1 - p); half an event is added on either side, and the normal prior joined.
    """
    exposed = after_mean > 0
    share = (after + 0.5) / (phi + events + 1)
    own = xp.log(share / (1 - share)) + xp.log(phi + before_mean) - xp.log(xp.where(exposed, after_mean, 1.0))
    information = xp.where(exposed, (phi + events + 1) * share * (1 - share), 0.0)
    precision = information + 1 / sd**2
    return (information * own + effect / sd**2) / precision, precision**-0.5


def agency_tables(counts: AgencyCounts) -> dict[str, NDArray]:
    """Give the arrays of the likelihood by name; agencies with equal numbers are counted together."""
    cells = np.column_stack([counts.profile, counts.events, counts.after])
    kinds, agencies = np.unique(cells, axis=0, return_counts=True)
    size = np.bincount(counts.profile, minlength=len(counts.exposure_before)).astype(float)
    return {
        "profile": kinds[:, 0].astype(np.int64),
        "events": kinds[:, 1],
        "after": kinds[:, 2],
        "agencies": agencies.astype(float),
        "by_period": counts.by_period,
        "exposure_before": counts.exposure_before,
        "exposure_after": counts.exposure_after,
        "all_before": size @ counts.exposure_before,
        "all_after": size @ counts.exposure_after,
    }


def log_likelihood(tables: Mapping[str, Any], eta: Any, effect: Any, sd: Any, phi: Any) -> Any:
    """Give the log-likelihood of all agencies as a PyTensor scalar; eta is the log rate by period."""
    import pytensor.tensor as pt

    events, after, profile = tables["events"], tables["after"], tables["profile"]
    node, weight = np.polynomial.hermite.hermgauss(QUADRATURE)
    rate = pt.exp(eta)
    before_mean = pt.dot(tables["exposure_before"], rate)[profile]
    after_mean = pt.dot(tables["exposure_after"], rate)[profile]
    centre, spread = peak(events, after, before_mean, after_mean, effect, sd, phi, pt)
    change = centre[:, None] + np.sqrt(2) * spread[:, None] * node
    at_centre, at_nodes = (
        after[:, None] * x
        - (phi + events)[:, None] * pt.log(phi + before_mean[:, None] + pt.exp(x) * after_mean[:, None])
        - ((x - effect) / sd) ** 2 / 2
        for x in (centre[:, None], change)
    )
    relative = (weight * np.exp(node**2) * pt.exp(at_nodes - at_centre)).sum(axis=1)
    integral = at_centre[:, 0] + pt.log(relative) + pt.log(spread) - pt.log(sd) - np.log(np.pi) / 2
    each = integral + pt.gammaln(phi + events) - pt.gammaln(phi) + phi * pt.log(phi)
    return (tables["agencies"] * each).sum() + (tables["by_period"] * eta).sum()


def common_change(tables: Mapping[str, Any], eta: Any, xp: Any) -> Any:
    """Give the log ratio of the mean rates after and before a start that all agencies share.

    eta is the log rate by period, xp numpy or pytensor.
    """
    rate, before, after = xp.exp(eta), tables["all_before"], tables["all_after"]
    return xp.log(xp.dot(after, rate) / after.sum()) - xp.log(xp.dot(before, rate) / before.sum())


def draw_changes(
    counts: AgencyCounts, eta: Floats, effect: Floats, sd: Floats, phi: Floats, rng: np.random.Generator
) -> Floats:
    """Draw each agency's change given the rest, by the inverse of its distribution function on a grid.

    Parameters
    ----------
    eta
        (draws, periods).
    effect, sd, phi
        (draws,).

    Returns
    -------
    ndarray
        Log rate ratios, (draws, agencies).
    """
    drawn = np.empty((len(eta), len(counts.names)))
    x = np.linspace(-REACH, REACH, POINTS)
    for first in range(0, len(eta), DRAWS_AT_ONCE):
        part = slice(first, first + DRAWS_AT_ONCE)
        rate = np.exp(eta[part])
        before_mean = (rate @ counts.exposure_before.T)[:, counts.profile]
        after_mean = (rate @ counts.exposure_after.T)[:, counts.profile]
        e, s, p = (values[part, None] for values in (effect, sd, phi))
        centre, spread = peak(counts.events, counts.after, before_mean, after_mean, e, s, p, np)
        change = centre[:, :, None] + spread[:, :, None] * x
        log_density = (
            counts.after[:, None] * change
            - (p + counts.events)[:, :, None]
            * np.log(p[:, :, None] + before_mean[:, :, None] + np.exp(change) * after_mean[:, :, None])
            - ((change - e[:, :, None]) / s[:, :, None]) ** 2 / 2
        )
        drawn[part] = centre + spread * _inverse(x, log_density, rng)
    return drawn


def _inverse(x: Floats, log_density: Floats, rng: np.random.Generator) -> Floats:
    """Draw from a density on the grid x, linear between its points, (…, points) → (…)."""
    density = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
    steps = (density[..., 1:] + density[..., :-1]) / 2
    below = np.cumsum(steps, axis=-1)
    target = rng.random(below.shape[:-1]) * below[..., -1]
    cell = np.minimum((below < target[..., None]).sum(axis=-1), len(x) - 2)[..., None]
    left, right = (np.take_along_axis(density, cell + k, axis=-1)[..., 0] for k in (0, 1))
    rest = np.take_along_axis(below, cell, axis=-1)[..., 0] - target  # what lies above the target in the cell
    # The root of left t + (right - left) t² / 2 = mass, in the form that does not cancel.
    mass = np.take_along_axis(steps, cell, axis=-1)[..., 0] - rest
    root = np.sqrt(np.maximum(left**2 + 2 * (right - left) * mass, 0))
    share = 2 * mass / np.maximum(left + root, 1e-300)
    return x[cell[..., 0]] + np.clip(share, 0, 1) * (x[1] - x[0])
