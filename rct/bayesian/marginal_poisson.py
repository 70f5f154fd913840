"""The Poisson model of officers' counts with gamma officer effects integrated out.

Unit i in period t has y_it ~ Poisson(u_i E_it exp(eta_it)) events, with u_i ~ Gamma(phi, phi). The gamma
distribution is conjugate to the Poisson, so that u_i integrates to a closed form (Hausman, Hall & Griliches
1984, "Econometric models for count data", equation 2.3 in random-effects form): with Y_i the unit's events
and S_i the sum of E_it exp(eta_it),

    log p(y_i) = log Gamma(phi + Y_i) - log Gamma(phi) + phi log phi - (phi + Y_i) log(phi + S_i)
                 + sum_t [y_it eta_it + y_it log E_it - log y_it!]

which is exact, and leaves tens of parameters where there were thousands.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rct.bayesian.priors import Priors
from rct.bayesian.totals import Totals

GROUPED = {"cluster": ("cluster_name",), "cluster_period": ("cluster_name", "period_number")}


@dataclass(frozen=True)
class Dimensions:
    """Labels of the model's dimensions; a dimension of one outcome or one arm is not in the model."""

    outcomes: list[str]
    arms: list[str]
    periods: list[int]
    clusters: list[str]


def marginal_model(totals: Totals, priors: Priors, dimensions: Dimensions) -> Any:
    """Build the PyMC model: one independent block of parameters for each outcome."""
    import pymc as pm

    coords = {
        "outcome": dimensions.outcomes,
        "arm": dimensions.arms,
        "period_number": dimensions.periods,
        "cluster_name": dimensions.clusters,
    }
    outer = ("outcome",) if len(dimensions.outcomes) > 1 else ()
    with pm.Model(coords=coords) as model:
        terms = _terms(priors, outer, several_arms=len(dimensions.arms) > 1)
        by_outcome = {name: term if outer else term[None] for name, term in terms.items()}
        eta = _log_rate(totals, by_outcome)
        pm.Potential(
            "log_likelihood", marginal_log_likelihood(totals, eta, by_outcome.get("heterogeneity")).sum()
        )
    return model


def _terms(priors: Priors, outer: tuple[str, ...], *, several_arms: bool) -> dict[str, Any]:
    """Give the random variables by the names of their priors, effects of periods and clusters included."""
    import pymc as pm

    def of(term: str) -> Any:
        prior = priors[term]
        return None if isinstance(prior, bool) else next(iter(prior.values()))

    mean, sd = of("effect")
    terms = {"effect": pm.Normal("effect", mean, sd, dims=(*outer, "arm") if several_arms else outer or None)}
    mean, sd = of("intercept")
    terms["intercept"] = pm.Normal("intercept", mean, sd, dims=outer or None)
    if heterogeneity := of("heterogeneity"):
        shape, rate = heterogeneity
        terms["heterogeneity"] = pm.Gamma("heterogeneity", alpha=shape, beta=rate, dims=outer or None)
    if priors["period"]:
        terms["period"] = _period_effects(priors["period"], (*outer, "period_number"))
    for term, inner in GROUPED.items():
        if scale := of(f"{term}_sd"):
            terms[term] = _group_effects(term, scale[0], outer, inner)
    return terms


def _period_effects(prior: Any, dims: tuple[str, ...]) -> Any:
    import pymc as pm

    ((distribution, (sd,)),) = prior.items()
    if distribution == "zero-sum-normal":
        return pm.ZeroSumNormal("period", sigma=sd, dims=dims)
    steps = pm.Normal("period_step", 0, sd, dims=dims)
    walk = steps.cumsum(axis=-1)
    return pm.Deterministic("period", walk - walk.mean(axis=-1, keepdims=True), dims=dims)


def _group_effects(term: str, scale: float, outer: tuple[str, ...], inner: tuple[str, ...]) -> Any:
    """Give sd times standard normal effects: drawn with their sd, the sampler sticks where it is small."""
    import pymc as pm

    sd = pm.HalfNormal(f"{term}_sd", scale, dims=outer or None)
    standard = pm.Normal(f"{term}_standard", 0, 1, dims=(*outer, *inner))
    spread = sd[(..., *(None for _ in inner))] if outer else sd
    return pm.Deterministic(term, spread * standard, dims=(*outer, *inner))


def _log_rate(totals: Totals, terms: dict[str, Any]) -> Any:
    """Give eta, (outcomes, paths, periods); every term has the outcomes along its first axis."""
    eta = terms["intercept"][:, None, None]
    if "period" in terms:
        eta = eta + terms["period"][:, None, :]
    grouped = [
        terms[name] if name == "cluster_period" else terms[name][:, :, None]
        for name in GROUPED
        if name in terms
    ]
    if grouped:
        outcomes, _, periods = (np.arange(size) for size in totals.clusters.shape)
        by_cluster = sum(grouped, eta)
        eta = by_cluster[outcomes[:, None, None], totals.clusters, periods[None, None, :]]
    effects = terms["effect"][:, None] if terms["effect"].ndim == 1 else terms["effect"]
    for arm, dose in enumerate(totals.doses):
        eta = eta + effects[:, arm, None, None] * dose
    return eta


def marginal_log_likelihood(totals: Totals, eta: Any, shape: Any | None) -> Any:
    """Give the log-likelihood of all units, with their gamma effects integrated out, (outcomes,).

    Parameters
    ----------
    eta
        Log rate per unit of exposure, (outcomes, paths, periods).
    shape
        The gamma shape phi of the officers' effects, (outcomes,); None: no officer effects, a plain Poisson.
    """
    import pytensor.tensor as pt

    rate = pt.exp(eta)
    if not totals.one_profile_a_path:
        rate = rate[np.arange(len(totals.path))[:, None], totals.path]
    expected = (totals.exposure * rate).sum(axis=2)
    in_cells = (totals.counts * eta).sum(axis=(1, 2)) + totals.constant
    if shape is None:
        return in_cells - (totals.units * expected).sum(axis=1)
    phi = shape[:, None]
    return (
        in_cells
        + (totals.total_units * pt.gammaln(phi + totals.total)).sum(axis=1)
        + totals.units.sum(axis=1) * (shape * pt.log(shape) - pt.gammaln(shape))
        - ((phi * totals.units + totals.events) * pt.log(phi + expected)).sum(axis=1)
    )
