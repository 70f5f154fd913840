"""Each officer's own rate, drawn from its gamma conditional, and how little a rank of them would say.

Given the rest, u_i ~ Gamma(phi + Y_i, phi + S_i) with Y_i the officer's events and S_i the events expected of
an average officer in the same places and periods: the more an officer was exposed, the more his own events
count, and the less, the more he is taken for an average one.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.cell_rates import Floats, UnitRates, unit_rates
from rct.errors import EstimationError

if TYPE_CHECKING:
    import pandas as pd

    from rct.panel import Panel
    from rct.posterior import Posterior

DRAWS = 1000
MOST_GROUPS = 16
FEWEST_OF_A_GROUP = 3


def officer_effects(posterior: "Posterior", panel: "Panel", *, outcome: str) -> "pd.DataFrame":
    """Give each unit's rate beside that of an average one, with its uncertainty and that of its rank.

    Parameters
    ----------
    posterior : Posterior
        Of the marginal model, which integrated these effects out.
    panel : Panel
        The panel it was fitted to.
    outcome : str

    Returns
    -------
    DataFrame
        One row per unit, in the units' order: ``unit``, ``events``, ``expected`` (of an average unit in its
        places), ``rate_ratio`` (posterior median; 1: average) with ``ratio_low`` and ``ratio_high``,
        ``shrinkage`` (0: its own events alone; 1: the average alone), ``probability_above`` (that its rate is
        above the average) and ``rank_low``, ``rank_high`` (from 1, the highest rate). An officer whose ranks
        span half the list has no rank; the table is not sorted by it.

    Raises
    ------
    EstimationError
        For a model without such effects, and for the injuries of the model "joint": an officer's effect is
        on force.
    """
    import pandas as pd

    rates, expected, effect = _drawn(posterior, panel, outcome)
    phi = rates.heterogeneity[:, None]  # type: ignore[index]
    ends = [(1 - posterior.level) / 2, 0.5, (1 + posterior.level) / 2]
    low, middle, high = np.quantile(effect, ends, axis=0)
    rank = (-effect).argsort(axis=1).argsort(axis=1) + 1
    rank_low, rank_high = np.quantile(rank, ends[::2], axis=0, method="nearest")
    return pd.DataFrame(
        {
            "unit": rates.units,
            "events": rates.events,
            "expected": expected.mean(axis=0),
            "rate_ratio": middle,
            "ratio_low": low,
            "ratio_high": high,
            "shrinkage": (phi / (phi + expected)).mean(axis=0),
            "probability_above": (effect > 1).mean(axis=0),
            "rank_low": rank_low,
            "rank_high": rank_high,
        }
    )


def _drawn(posterior: "Posterior", panel: "Panel", outcome: str) -> tuple[UnitRates, Floats, Floats]:
    """Draw each unit's effect: rates, expected events of an average unit and effects, (draws, units)."""
    if posterior.model == "joint" and outcome in posterior.outcomes[1:]:
        raise EstimationError(
            f'an officer\'s effect in the model "joint" is on {posterior.outcomes[0]}, not on {outcome}: '
            f'ask for outcome="{posterior.outcomes[0]}".'
        )
    if posterior.model == "agencies":
        raise EstimationError("agencies have changes of their own; rct.bayesian.agency_table gives them.")
    rates = unit_rates(posterior, panel, outcome, most_draws=DRAWS)
    if rates.heterogeneity is None:
        raise EstimationError("the fit has no heterogeneity: all units have one rate, and none an effect.")
    expected, phi = rates.expected(), rates.heterogeneity[:, None]
    rng = np.random.default_rng(np.random.SeedSequence(posterior.diagnostics["seed"], spawn_key=(2,)))
    return rates, expected, rng.gamma(phi + rates.events, 1 / (phi + expected))


def officer_shrinkage(posterior: "Posterior", panel: "Panel", *, outcome: str) -> list[dict[str, Any]]:
    """Give the rates of officers with equal numbers of events together, as their counts and the model say.

    Nobody is named, ranked or alone: a group has at least three officers, and where there are more than
    sixteen numbers of events, neighbouring numbers are one group.

    Returns
    -------
    list of dict
        In the order of the events: ``fewest`` and ``most`` events of an officer of the group, ``units``, and
        as multiples of an average officer's rate ``own`` (the group's events by its expected events),
        ``rate_ratio`` (median of its officers' posteriors together), ``ratio_low`` and ``ratio_high``.
    """
    rates, expected, effect = _drawn(posterior, panel, outcome)
    group = _groups(rates.events)
    ends = [(1 - posterior.level) / 2, 0.5, (1 + posterior.level) / 2]
    found = []
    for number in np.unique(group):
        one = group == number
        low, middle, high = np.quantile(effect[:, one], ends)
        found.append(
            {
                "fewest": int(rates.events[one].min()),
                "most": int(rates.events[one].max()),
                "units": int(one.sum()),
                "own": float(rates.events[one].sum() / expected[:, one].mean(axis=0).sum()),
                "rate_ratio": float(middle),
                "ratio_low": float(low),
                "ratio_high": float(high),
            }
        )
    return found


def _groups(events: Floats) -> NDArray[np.int64]:
    """Number groups of units with neighbouring numbers of events, small ones joined from the top down."""
    width = 1 + int(events.max()) // MOST_GROUPS
    _, place, sizes = np.unique(events // width, return_inverse=True, return_counts=True)
    joined, size = np.arange(len(sizes)), 0
    for at in range(len(sizes) - 1, 0, -1):
        size += sizes[at]
        if size < FEWEST_OF_A_GROUP:
            joined[at:][joined[at:] == joined[at]] = at - 1
        else:
            size = 0
    lowest = joined == 0
    if sizes[lowest].sum() < FEWEST_OF_A_GROUP and not lowest.all():
        joined[joined == joined[~lowest].min()] = 0
    found: NDArray[np.int64] = joined[place]
    return found
