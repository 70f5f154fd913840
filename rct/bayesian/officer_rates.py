"""Each officer's own rate, drawn from its gamma conditional, and how little a rank of them would say.

Given the rest, u_i ~ Gamma(phi + Y_i, phi + S_i) with Y_i the officer's events and S_i the events expected of
an average officer in the same places and periods: the more an officer was exposed, the more his own events
count, and the less, the more he is taken for an average one.
"""

from typing import TYPE_CHECKING

import numpy as np

from rct.bayesian.cell_rates import unit_rates
from rct.errors import EstimationError

if TYPE_CHECKING:
    import pandas as pd

    from rct.panel import Panel
    from rct.posterior import Posterior

DRAWS = 1000


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
        For a model without such effects.
    """
    import pandas as pd

    rates = unit_rates(posterior, panel, outcome, most_draws=DRAWS)
    if rates.heterogeneity is None:
        raise EstimationError("the fit has no heterogeneity: all units have one rate, and none an effect.")
    expected, phi = rates.expected(), rates.heterogeneity[:, None]
    rng = np.random.default_rng(np.random.SeedSequence(posterior.diagnostics["seed"], spawn_key=(2,)))
    effect = rng.gamma(phi + rates.events, 1 / (phi + expected))
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
