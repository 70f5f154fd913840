"""What the priors alone say, in the units of the agency: incidents in a period."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from rct.panel import Panel

DRAWS = 4000


def prior_incidents(
    priors: Mapping[str, Any], panel: "Panel", *, outcome: str, level: float, seed: int
) -> dict[str, float]:
    """Draw the expected events of a period from the priors alone, without treatment.

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
    mean, sd = priors["intercept"]["normal"]
    log_rate = rng.normal(mean, sd, DRAWS)
    if priors.get("period"):
        log_rate = log_rate + rng.normal(0, _period_sd(priors["period"], periods), DRAWS)
    by_place = np.repeat(log_rate[:, None], len(places), axis=1)
    for term in ("cluster_sd", "cluster_period_sd"):
        if priors.get(term):
            code, names = places["cluster"].factorize()
            by_place += _group_level(priors[term], len(names), rng)[:, code]
    if priors.get("block"):
        code, names = places["block"].factorize()
        ((_, (sd,)),) = priors["block"].items()
        own = rng.normal(0, sd, (DRAWS, len(names)))
        by_place += (own - own.mean(axis=1, keepdims=True))[:, code]
    with np.errstate(over="ignore"):
        incidents = np.exp(by_place) @ places["exposure"].to_numpy() / periods
    low, median, high = np.quantile(incidents, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return {
        "low": float(low),
        "median": float(median),
        "high": float(high),
        "observed": float(rows["count"].sum() / periods),
    }


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
