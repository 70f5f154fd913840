"""All that a report says about a fit beside its effects, found from the draws and kept with them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rct.bayesian.cell_rates import has_unit_rates, require_same_panel
from rct.bayesian.officer_rates import officer_shrinkage
from rct.bayesian.predictive_checks import officers_left_out, predictive_checks
from rct.bayesian.prior_incidents import prior_incidents
from rct.bayesian.prior_sensitivity import power_scaling, prior_table
from rct.bayesian.rates_at_hand import with_rates_at_hand

if TYPE_CHECKING:
    from rct.panel import Panel
    from rct.posterior import Posterior

HOPED = 0.8


def check_fit(
    posterior: "Posterior", panel: "Panel", *, hoped: Mapping[str, float] | None = None
) -> "Posterior":
    """Give the fit with its checks: whether it makes such data, and whether its prior decides.

    Parameters
    ----------
    posterior : Posterior
    panel : Panel
        The panel that it was fitted to.
    hoped : mapping, optional
        By outcome the rate ratio hoped for, which makes the sceptic's and the enthusiast's prior; .8 where
        none is given.

    Returns
    -------
    Posterior
        With ``checks`` by outcome: ``prior_incidents``
        (:func:`rct.bayesian.prior_incidents.prior_incidents`), ``priors``
        (by arm, :func:`rct.bayesian.prior_sensitivity.prior_table`),
        ``predictive``, ``left_out`` (of "joint" with all outcomes together, beside the first of them),
        ``power_scaling`` and, where units have gamma effects alone, ``officers``
        (:func:`rct.bayesian.officer_rates.officer_shrinkage`). ``untreated_rate`` is added
        to the draws: the rate per unit of exposure of the treated units, had they not been treated
        (:mod:`rct.bayesian.rates_at_hand`).
    """
    hoped = hoped or {}
    full = has_unit_rates(posterior)
    checks = {
        outcome: _of_outcome(posterior, panel, outcome, hoped.get(outcome, HOPED), full=full)
        for outcome in posterior.outcomes
    }
    groups = dict(posterior.groups)
    if full:
        groups["posterior"] = with_rates_at_hand(posterior, panel)
    return replace(posterior, checks=checks, source=groups)


def _of_outcome(
    posterior: "Posterior", panel: "Panel", outcome: str, hoped: float, *, full: bool
) -> dict[str, Any]:
    require_same_panel(posterior, panel, outcome)
    found: dict[str, Any] = {}
    effect = posterior.priors.get("effect")
    if effect and "normal" in effect:
        found["priors"] = {
            arm: prior_table(posterior, outcome=outcome, arm=arm, ratio=hoped) for arm in posterior.arms
        }
    together = posterior.model == "joint"
    first = outcome == posterior.outcomes[0]
    found["prior_incidents"] = prior_incidents(
        posterior.priors,
        panel,
        outcome=outcome,
        level=posterior.level,
        seed=posterior.diagnostics["seed"],
        injury=together and not first,
    )
    if full:
        found["predictive"] = predictive_checks(posterior, panel, outcome=outcome)
        if first or not together:
            found["left_out"] = officers_left_out(posterior, panel, outcome=outcome) | {"together": together}
            if posterior.priors.get("heterogeneity") and posterior.model != "agencies":
                found["officers"] = officer_shrinkage(posterior, panel, outcome=outcome)
    if full and effect:
        found["power_scaling"] = {
            arm: dict(power_scaling(posterior, panel, outcome=outcome, arm=arm)) for arm in posterior.arms
        }
    return found
