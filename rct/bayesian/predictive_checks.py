"""Does the model make data like these? Replicated counts beside the observed, and each officer left out."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.bayesian.cell_rates import Floats, UnitRates, unit_rates
from rct.bayesian.pareto_smoothing import LARGEST_K, leave_one_out
from rct.bayesian.unit_likelihood import unit_log_likelihood

if TYPE_CHECKING:
    from rct.panel import Panel
    from rct.posterior import Posterior

# Draws behind leave-one-out: fewer than all make Pareto k noisy, and name officers without cause.
FEWEST_DRAWS = 1000
MOST_LIKELIHOODS = 8e6
REPLICATES = 400
MOST_COUNTS = 2e7
# A replicated figure this seldom as far out as the observed one is a misfit that the report names.
SELDOM = 0.025


def predictive_checks(posterior: "Posterior", panel: "Panel", *, outcome: str) -> list[dict[str, Any]]:
    """Compare figures of the observed counts with those of counts that the model makes.

    Each replicate has new officers (their effects drawn from the gamma distribution, so that it is tested
    too) in the same places and periods, with the same exposure. Figures: unit-periods without an event,
    variance by mean of their counts and the largest; units without an event, variance by mean of the units'
    totals and the largest; the total of each cluster.

    Returns
    -------
    list of dict
        ``figure``, ``observed``, ``median``, ``low``, ``high`` (the central share ``posterior.level`` of the
        replicates) and ``tail``, the smaller share of replicates on either side of the observed figure, those
        that equal it counted half.
    """
    rows = len(panel.rows(outcome))
    draws = int(min(REPLICATES, max(100, MOST_COUNTS / rows)))
    rates = unit_rates(posterior, panel, outcome, most_draws=draws)
    names, cluster = np.unique(rates.row_cluster, return_inverse=True)
    rng = np.random.default_rng(np.random.SeedSequence(posterior.diagnostics["seed"], spawn_key=(3,)))
    replicated = []
    for draw in range(len(rates.log_rate)):
        replicated.append(_figures(replicate(rates, draw, rng), rates, cluster, names))
    observed = _figures(rates.count, rates, cluster, names)
    return [
        compared(figure, value, np.array([one[figure] for one in replicated]), posterior.level)
        for figure, value in observed.items()
    ]


def replicate(rates: UnitRates, draw: int, rng: np.random.Generator) -> Floats:
    """Make the counts of new units in the same places and periods, (rows,)."""
    mean = rates.exposure * np.exp(rates.log_rate[draw] + rates.log_effect[draw])[rates.row_cell]
    if rates.heterogeneity is not None:
        phi = rates.heterogeneity[draw]
        mean = mean * rng.gamma(phi, 1 / phi, len(rates.units))[rates.row_unit]
    if rates.change_sd is not None:
        change = rates.change_sd[draw] * rng.normal(size=len(rates.units))
        mean = mean * np.exp(change[rates.row_unit] * rates.treated[rates.row_cell])
    if rates.dispersion is not None:
        size = rates.dispersion[draw]
        mean = mean * rng.gamma(size, 1 / size, len(mean))
    if rates.surplus is not None:
        mean = np.where(rng.random(len(mean)) < rates.surplus[draw], 0.0, mean)
    return rng.poisson(mean).astype(float)


def _figures(count: Floats, rates: UnitRates, cluster: Any, names: Any) -> dict[str, float]:
    totals = np.bincount(rates.row_unit, count, len(rates.units)).astype(float)
    found = {
        "share of unit-periods without an event": float((count == 0).mean()),
        "variance by mean of unit-periods": _dispersion(count),
        "largest count of a unit-period": float(count.max()),
        "share of units without an event": float((totals == 0).mean()),
        "variance by mean of units' totals": _dispersion(totals),
        "largest total of a unit": float(totals.max()),
    }
    if 1 < len(names) < len(rates.units):
        by_cluster = np.bincount(cluster, count, len(names))
        found |= {f"events in {name}": float(value) for name, value in zip(names, by_cluster, strict=True)}
    return found


def _dispersion(values: Floats) -> float:
    return float(values.var() / values.mean()) if values.any() else math.nan


def compared(figure: str, observed: float, replicated: Floats, level: float) -> dict[str, Any]:
    """Give one figure of the observed counts beside those of the replicates, (replicates,)."""
    known = replicated[np.isfinite(replicated)]
    ends = np.quantile(known, [(1 - level) / 2, 0.5, (1 + level) / 2], method="nearest")  # counts stay counts
    low, median, high = (float(q) for q in ends)
    tied = (known == observed).mean() / 2
    below, above = (float(side.mean() + tied) for side in (known < observed, known > observed))
    return {"figure": figure, "observed": observed, "median": median, "low": low, "high": high,
            "tail": min(below, above)}  # fmt: skip


def officers_left_out(posterior: "Posterior", panel: "Panel", *, outcome: str) -> dict[str, Any]:
    """Leave each unit out in turn, by Pareto-smoothed importance sampling of its marginal likelihood.

    In the model "joint" a unit is left out with its counts of all outcomes.

    Returns
    -------
    dict
        ``elpd`` and ``elpd_std_error`` (expected log predictive density of the units' counts), ``largest_k``,
        ``units``, ``units_above`` (how many have a Pareto k of .7 or more, where the figure is not to be
        trusted) and ``limit``.
    """
    chains = posterior.groups["posterior"].sizes["chain"]
    most = max(FEWEST_DRAWS, int(MOST_LIKELIHOODS / posterior.meta[outcome]["n_units"]))
    likelihood = unit_log_likelihood(posterior, panel, outcome, most_draws=most)
    found = leave_one_out(likelihood.reshape(chains, -1, likelihood.shape[1]))
    units = likelihood.shape[1]
    return {
        "elpd": float(found.elpd.sum()),
        "elpd_std_error": float(math.sqrt(units) * found.elpd.std(ddof=min(1, units - 1))),
        "largest_k": float(found.pareto_k.max()),
        "units": units,
        "units_above": int((found.pareto_k >= LARGEST_K).sum()),
        "limit": LARGEST_K,
    }
