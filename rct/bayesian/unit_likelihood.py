"""The log-likelihood of each unit at every draw, its own effect integrated out."""

import math
from typing import TYPE_CHECKING

import numpy as np

from rct.bayesian.agency_likelihood import QUADRATURE, peak
from rct.bayesian.cell_rates import Floats, UnitRates, unit_rates

if TYPE_CHECKING:
    from rct.panel import Panel
    from rct.posterior import Posterior

KINDS = 2e6  # draws × kinds of unit-periods held at once


def unit_log_likelihood(posterior: "Posterior", panel: "Panel", outcome: str, *, most_draws: int) -> Floats:
    """Give the log-likelihood of each unit, (draws, units).

    In the model "joint" that of its counts of all outcomes, for injuries tell of force and the other way
    round; in every other model outcomes are independent, and it is that of one.
    """
    if posterior.model != "joint":
        return rates_log_likelihood(unit_rates(posterior, panel, outcome, most_draws=most_draws))
    force, *others = (
        unit_rates(posterior, panel, name, most_draws=most_draws) for name in posterior.outcomes
    )
    return rates_log_likelihood(force) + sum(_thinned(force, injuries) for injuries in others)


def rates_log_likelihood(rates: UnitRates) -> Floats:
    """Give the log-likelihood of each unit's counts of one outcome, (draws, units)."""
    if rates.dispersion is not None:
        return _of_cells(rates)
    return _of_totals(rates) if rates.change_sd is None else _of_changes(rates)


def _of_totals(rates: UnitRates) -> Floats:
    """Integrate the units' gamma effects out (:mod:`rct.bayesian.marginal_poisson`)."""
    from scipy.special import gammaln

    expected, events = rates.expected(), rates.events
    in_cells = _by_unit(rates, rates.count, rates.log_rate + rates.log_effect)
    constant = np.bincount(
        rates.row_unit,
        rates.count * np.log(rates.exposure) - gammaln(rates.count + 1),
        len(rates.units),
    )
    if rates.heterogeneity is None:
        return in_cells + constant - expected
    phi = rates.heterogeneity[:, None]
    integrated = gammaln(phi + events) - gammaln(phi) + phi * np.log(phi)
    return in_cells + constant + integrated - (phi + events) * np.log(phi + expected)


def _of_changes(rates: UnitRates) -> Floats:
    """Integrate the agencies' rates and changes out (:mod:`rct.bayesian.agency_likelihood`)."""
    from scipy.special import gammaln

    treated = rates.treated[rates.row_cell] > 0
    eta = rates.log_rate + rates.log_effect
    before, after = (_by_unit(rates, rates.exposure * part, np.exp(eta)) for part in (~treated, treated))
    events, later = rates.events, np.bincount(rates.row_unit, rates.count * treated, len(rates.units))
    phi, sd = rates.heterogeneity[:, None], rates.change_sd[:, None]  # type: ignore[index]
    centre, spread = peak(events, later, before, after, 0.0, sd, phi, np)
    nodes, weights = np.polynomial.hermite.hermgauss(QUADRATURE)
    total = np.full_like(centre, -np.inf)
    for node, weight in zip(nodes, weights, strict=True):
        x = centre + math.sqrt(2) * spread * node
        value = later * x - (phi + events) * np.log(phi + before + np.exp(x) * after) - (x / sd) ** 2 / 2
        np.logaddexp(total, value + math.log(weight) + node**2, out=total)
    integral = total + np.log(spread / sd) - math.log(math.pi) / 2
    constant = rates.count * np.log(rates.exposure) - gammaln(rates.count + 1)
    return (
        _by_unit(rates, rates.count, eta)
        + np.bincount(rates.row_unit, constant, len(rates.units))
        + gammaln(phi + events) - gammaln(phi) + phi * np.log(phi)
        + integral
    )  # fmt: skip


def _by_unit(rates: UnitRates, weights: Floats, values: Floats) -> Floats:
    """Add up weights of rows times values of their cells, (draws, cells), by unit."""
    from scipy.sparse import coo_array

    used = np.flatnonzero(weights)
    shape = (len(rates.units), len(rates.cells))
    table = coo_array((weights[used], (rates.row_unit[used], rates.row_cell[used])), shape=shape)
    found: Floats = np.asarray((table.tocsr() @ values.T).T)
    return found


def _thinned(force: UnitRates, injuries: UnitRates) -> Floats:
    """Give the binomial log-likelihood of injuries given force; their rate by that of force is the chance."""
    from scipy.special import gammaln

    log_chance = injuries.log_rate + injuries.log_effect - force.log_rate - force.log_effect
    without = force.count - injuries.count
    ways = gammaln(force.count + 1) - gammaln(injuries.count + 1) - gammaln(without + 1)
    return (
        _by_unit(force, injuries.count, log_chance)
        + _by_unit(force, without, np.log(-np.expm1(log_chance)))
        + np.bincount(force.row_unit, ways, len(force.units))
    )


def _of_cells(rates: UnitRates) -> Floats:
    """Add up the unit-periods' likelihoods (:mod:`rct.bayesian.overdispersed_cells`), alike ones once."""
    from scipy.sparse import coo_array

    alike = np.column_stack([rates.row_cell, rates.exposure, rates.count])
    kinds, kind = np.unique(alike, axis=0, return_inverse=True)
    at = (rates.row_unit, kind.reshape(-1))
    table = coo_array((np.ones(len(alike)), at), shape=(len(rates.units), len(kinds))).tocsr()
    found = np.empty((len(rates.log_rate), len(rates.units)))
    size = max(1, int(KINDS / len(kinds)))
    for first in range(0, len(found), size):
        part = slice(first, first + size)
        found[part] = np.asarray((table @ _cell_log_likelihood(rates, kinds, part).T).T)
    return found


def _cell_log_likelihood(rates: UnitRates, kinds: Floats, part: slice) -> Floats:
    """Give the log-likelihood of each kind of unit-period: cell, exposure and count."""
    from scipy.special import gammaln

    cell, exposure, y = kinds[:, 0].astype(np.int64), kinds[:, 1], kinds[:, 2]
    phi: Floats = rates.dispersion[part, None]  # type: ignore[index]
    log_mean = np.log(exposure) + (rates.log_rate[part] + rates.log_effect[part])[:, cell]
    value: Floats = phi * np.log(phi) - (phi + y) * np.log(phi + np.exp(log_mean)) + y * log_mean
    value += gammaln(phi + y) - gammaln(phi) - gammaln(y + 1)
    if rates.surplus is None:
        return value
    pi = rates.surplus[part, None]
    return np.where(y == 0, np.log(pi + (1 - pi) * np.exp(value)), np.log1p(-pi) + value)
