"""What the priors alone say, in the units of the agency: incidents in a period."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.bayesian.cell_changes import log_probability

if TYPE_CHECKING:
    import pandas as pd
    from numpy.random import Generator
    from numpy.typing import NDArray

    from rct.panel import Panel

DRAWS = 4000


def prior_incidents(
    priors: Mapping[str, Any],
    panel: "Panel",
    *,
    outcome: str,
    level: float,
    seed: int,
    injury: bool = False,
) -> dict[str, float]:
    """Draw the expected events of a period from the priors alone, without treatment.

    Parameters
    ----------
    injury
        Whether the outcome is an injury within force, of the model "joint".

    Returns
    -------
    dict
        ``low``, ``median``, ``high`` (the central share ``level``) and ``observed``, the events recorded in a
        period on average.
    """
    rows = panel.rows(outcome)
    periods = rows["period"].nunique()
    grouped = bool(priors.get("cluster_sd") or priors.get("cluster_period_sd"))
    by = ["block", "cluster"] if grouped else ["block"]
    places = rows.groupby(by)["exposure"].sum().rename("exposure").reset_index()
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4,)))
    log_rate = _by_place(priors, "", places, periods, rng)
    if injury:
        log_rate += log_probability(_by_place(priors, "_given", places, periods, rng))
    if priors.get("zero_share"):
        ((_, (a, b)),) = priors["zero_share"].items()
        log_rate += np.log1p(-rng.beta(a, b, (DRAWS, 1)))
    with np.errstate(over="ignore"):
        incidents = np.exp(log_rate) @ places["exposure"].to_numpy() / periods
    low, median, high = np.quantile(incidents, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return {
        "low": float(low),
        "median": float(median),
        "high": float(high),
        "observed": float(rows["count"].sum() / periods),
    }


def _by_place(
    priors: Mapping[str, Any], suffix: str, places: "pd.DataFrame", periods: int, rng: "Generator"
) -> "NDArray[np.float64]":
    """Draw the log rate of each place, or the bent log chance of injury given force, (draws, places)."""
    mean, sd = priors[f"intercept{suffix}"]["normal"]
    level = rng.normal(mean, sd, DRAWS)
    if period := priors.get(f"period{suffix}"):
        level = level + rng.normal(0, _period_sd(period, periods), DRAWS)
    by_place = np.repeat(level[:, None], len(places), axis=1)
    for term in ("cluster_sd", "cluster_period_sd"):
        if priors.get(term):
            code, names = places["cluster"].factorize()
            by_place += _group_level(priors[term], len(names), rng)[:, code]
    if priors.get("block"):
        code, names = places["block"].factorize()
        ((_, (sd,)),) = priors["block"].items()
        own = rng.normal(0, sd, (DRAWS, len(names)))
        by_place += (own - own.mean(axis=1, keepdims=True))[:, code]
    return by_place


def _period_sd(prior: Any, periods: int) -> float:
    """Give the standard deviation of one period's effect, that of an average period of a random walk."""
    ((kind, (sd,)),) = prior.items()
    if kind == "random-walk":
        return float(sd * np.sqrt((periods**2 - 1) / (6 * periods)))
    return float(sd * np.sqrt(1 - 1 / periods))


def _group_level(prior: Any, groups: int, rng: "Generator") -> "NDArray[np.float64]":
    ((_, (scale,)),) = prior.items()
    spread = np.abs(rng.normal(0, scale, (DRAWS, 1)))
    return spread * rng.normal(size=(DRAWS, groups))
