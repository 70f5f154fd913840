"""The rate that the treated rows would have had without treatment, of the very units that were treated.

A posterior of the population's mean rate also carries what other units would have done. What training averted
is asked of the units at hand: their own effects belong to it, and are drawn from what the draws and their own
counts say of them. Given the rest, with Y_i the events of unit i and S_i those expected of an average one in
its rows,

    u_i ~ Gamma(phi + Y_i, phi + S_i) ,

and units with the same exposure in every cell have S_i and weight in common, so that the sum of the u_i of n
of them is one draw, Gamma(n phi + sum of Y_i, phi + S_i): exact, and as many numbers as there are profiles.

Agencies have changes of their own too: u_i is drawn given the change that was drawn for it, and the rate
with treatment is that of the agencies' own changes: a mean of log rate ratios does not say how
many events that is.

The gamma effects of single unit-periods (negative binomial) are those of bursts that do not come back. They
are left at their mean: that model knows no lasting difference of units, and so nothing of the units at hand.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.cell_changes import mean_ratio_while_fading
from rct.bayesian.cell_rates import Floats, UnitRates, unit_rates

if TYPE_CHECKING:
    import xarray as xr
    from scipy.sparse import csr_array

    from rct.panel import Panel
    from rct.posterior import Posterior

MOST_EFFECTS = 2e6  # draws × profiles held at once


def with_rates_at_hand(posterior: "Posterior", panel: "Panel") -> "xr.Dataset":
    """Add ``untreated_rate`` to the draws, by outcome, and ``treated_rate`` where no one ratio leads to it.

    Both are events per unit of exposure in the treated rows, of their own units, without treatment and with
    it: of agencies with the change of each, of "fading" at the mean rate ratio of the first periods in
    training. Equal seeds of the fit give equal rates.
    """
    draws = posterior.groups["posterior"]
    sizes = (draws.sizes["chain"], draws.sizes["draw"])
    each = [unit_rates(posterior, panel, name, most_draws=sizes[0] * sizes[1]) for name in posterior.outcomes]
    if posterior.model == "agencies":
        if not posterior.priors["effect"]:
            return draws  # without a control no rate is that of agencies that were not treated
        change = draws["agency_change"].sel(agency=list(each[0].units)).transpose("chain", "draw", "agency")
        flat = change.to_numpy().astype(float).reshape(sizes[0] * sizes[1], -1)
        without, treated = _of_agencies(each[0], flat, _rng(posterior, 0))
        return draws.assign(
            untreated_rate=(("chain", "draw"), without.reshape(sizes)),
            treated_rate=(("chain", "draw"), treated.reshape(sizes)),
        )
    if posterior.model == "joint":  # one effect of an officer, on force and all within it
        rates = of_units(each[0], each, _rng(posterior, 0))
    else:
        rates = [of_units(one, [one], _rng(posterior, place))[0] for place, one in enumerate(each)]
    several = "outcome" in draws["effect"].dims
    shaped = np.stack([rate.reshape(sizes) for rate in rates], axis=2) if several else rates[0].reshape(sizes)
    found = draws.assign(untreated_rate=(("chain", "draw", *(("outcome",) if several else ())), shaped))
    if posterior.model != "fading":
        return found
    return found.assign(
        treated_rate=mean_ratio_while_fading(posterior, panel, draws) * found["untreated_rate"]
    )


def _rng(posterior: "Posterior", place: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(posterior.diagnostics["seed"], spawn_key=(5, place)))


def of_units(known: UnitRates, asked: list[UnitRates], rng: np.random.Generator) -> list[Floats]:
    """Give the untreated rate of the treated rows, of the units in them, by outcome, (draws,) each.

    Parameters
    ----------
    known
        The outcome whose counts tell of the units' effects.
    asked
        Outcomes to which these effects belong, with the same rows.
    rng
        Of the units' effects; without heterogeneity there are none.
    """
    treated = known.treated > 0
    if known.heterogeneity is None:
        return [_of_average_units(one, treated) for one in asked]
    at_risk, units, events = _profiles(known)
    weights, exposure = at_risk[:, treated], known.exposure[treated[known.row_cell]].sum()
    rates = [np.empty(len(one.log_rate)) for one in asked]
    size = max(1, int(MOST_EFFECTS / len(units)))
    for first in range(0, len(known.log_rate), size):
        part = slice(first, first + size)
        phi = known.heterogeneity[part, None]
        expected = (at_risk @ np.exp(known.log_rate[part] + known.log_effect[part]).T).T
        effects = rng.standard_gamma(phi * units + events) / (phi + expected)
        for rate, one in zip(rates, asked, strict=True):
            untreated = (weights @ np.exp(one.log_rate[part][:, treated]).T).T
            rate[part] = (effects * untreated).sum(axis=1) / exposure
    return rates


def _of_average_units(rates: UnitRates, treated: NDArray[np.bool_]) -> Floats:
    """Give the rate of units whose effect is one, surplus zeros among their unit-periods."""
    at_risk = np.bincount(rates.row_cell, rates.exposure, len(rates.cells)) * treated
    rate: Floats = np.exp(rates.log_rate) @ (at_risk / at_risk.sum())
    return rate if rates.surplus is None else rate * (1 - rates.surplus)


def _of_agencies(rates: UnitRates, change: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Give the rates without and with treatment, of agencies with changes of their own, (draws,) each."""
    at_risk, treated = rates.at_risk(), rates.treated > 0
    plain = np.exp(rates.log_rate)
    before, after = ((at_risk[:, side] @ plain[:, side].T).T for side in (~treated, treated))
    ratio, phi = np.exp(change), rates.heterogeneity[:, None]  # type: ignore[index]
    effects = rng.standard_gamma(phi + rates.events) / (phi + before + ratio * after)
    exposure = rates.exposure[treated[rates.row_cell]].sum()
    untreated, with_treatment = ((effects * one).sum(axis=1) / exposure for one in (after, ratio * after))
    return untreated, with_treatment


def _profiles(rates: UnitRates) -> "tuple[csr_array, Floats, Floats]":
    """Put units with the same exposure in every cell together: exposure of one of them, units, events."""
    at_risk = rates.at_risk()
    ends = zip(at_risk.indptr[:-1], at_risk.indptr[1:], strict=True)
    numbers: dict[bytes, int] = {}
    profile = np.array([
        numbers.setdefault(at_risk.indices[a:b].tobytes() + at_risk.data[a:b].tobytes(), len(numbers))
        for a, b in ends
    ])  # fmt: skip
    _, first = np.unique(profile, return_index=True)
    return (
        at_risk[first],
        np.bincount(profile).astype(float),
        np.bincount(profile, rates.events).astype(float),
    )
