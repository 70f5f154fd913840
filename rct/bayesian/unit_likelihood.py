"""The log-likelihood of each unit at every draw, its own effect integrated out."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.agency_likelihood import QUADRATURE, peak
from rct.bayesian.cell_rates import Floats, UnitRates, unit_rates

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from rct.panel import Panel
    from rct.posterior import Posterior


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
    """Add up the unit-periods' likelihoods (:mod:`rct.bayesian.overdispersed_cells`), alike ones once.

    With x = mu / phi, log p(y) = log Gamma(phi + y) - log Gamma(phi) - y log phi - (phi + y) log(1 + x)
    + y log mu - log y!: all but the logarithm of 1 + x needs the counts alone, or cells alone.
    """
    from scipy.special import gammaln

    phi, surplus = rates.dispersion[:, None], rates.surplus  # type: ignore[index]
    eta = rates.log_rate + rates.log_effect
    counts, at = np.unique(rates.count, return_inverse=True)
    of_count = gammaln(phi + counts) - gammaln(phi) - counts * np.log(phi) - gammaln(counts + 1)
    if surplus is not None:
        # Zeros have two sources, and are added below.
        of_count = np.where(counts > 0, of_count + np.log1p(-surplus[:, None]), 0.0)
    found = (
        _by_unit(rates, rates.count, eta)
        + np.bincount(rates.row_unit, rates.count * np.log(rates.exposure), len(rates.units))
        + (_table(rates.row_unit, at, (len(rates.units), len(counts))) @ of_count.T).T
    )
    cell, exposure, y, table = _kinds(rates)
    zeros = np.flatnonzero(y == 0)
    value, weight = np.empty(len(y)), np.empty(len(y))  # filled anew for each draw: pages cost more than sums
    for draw, (size, ratio) in enumerate(zip(phi[:, 0], np.exp(eta) / phi, strict=True)):
        np.take(ratio, cell, out=value, mode="clip")
        value *= exposure
        value += 1
        np.log(value, out=value)
        value *= np.add(y, size, out=weight)
        if surplus is not None:
            value[zeros] = -np.log(surplus[draw] + (1 - surplus[draw]) * np.exp(-value[zeros]))
        found[draw] -= table @ value
    return found


def _kinds(rates: UnitRates) -> "tuple[NDArray[np.int64], Floats, Floats, csr_array]":
    """Put unit-periods alike together: cell, exposure and count of a kind, how many of it each unit has.

    Kinds are in the order in which units have them, so that memory is read from one end to the other.
    """
    alike = np.column_stack([rates.row_cell, rates.exposure, rates.count])
    kinds, first, kind = np.unique(alike, axis=0, return_index=True, return_inverse=True)
    order = first.argsort()
    table = _table(rates.row_unit, order.argsort()[kind.reshape(-1)], (len(rates.units), len(kinds)))
    cell, exposure, count = kinds[order].T.copy()
    return cell.astype(np.int64), exposure, count, table


def _table(row: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]) -> "csr_array":
    """Count pairs of row and column."""
    from scipy.sparse import coo_array

    return coo_array((np.ones(len(row)), (row, column)), shape=shape).tocsr()
