"""Fit the agencies' model and read each agency's change from it."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rct.bayesian.agency_likelihood import (
    AgencyCounts,
    agency_tables,
    common_change,
    count_agencies,
    draw_changes,
    log_likelihood,
)
from rct.bayesian.count_rows import CountRows, count_rows
from rct.bayesian.fitting import fit_facts
from rct.bayesian.log_rate import period_effects
from rct.bayesian.model_inputs import CountModel, Inputs, numbers, prior_tables
from rct.bayesian.priors import Priors, complete_priors
from rct.bayesian.sampling_request import check_request
from rct.errors import DataError, EstimationError
from rct.posterior import Posterior

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from rct.panel import Panel

MEAN_OF_CHANGES = "rate ratio of the average agency (mean of the agencies' log rate ratios)"
COMMON_CHANGE = "change of the agencies' mean rate over time, without a control"
SURE = 0.975
NO_CONTROL = (
    "every agency starts in the same period: the common change is a change over time, not an effect, for no "
    "untrained agency shows what would have happened"
)


def agencies(
    panel: "Panel",
    outcome: str,
    *,
    priors: Mapping[str, object] | None = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int,
    level: float = 0.95,
    progress: bool = False,
) -> Posterior:
    """Fit hundreds of agencies at once, each drawn towards what all have in common.

    Agency i has, in period t, Poisson counts with mean ``u_i E_it exp(intercept + period_t + dose_it
    change_i)``; its rate ``u_i ~ Gamma(heterogeneity, heterogeneity)`` and its change ``change_i ~
    N(effect, agency_sd²)`` are integrated out (:mod:`rct.bayesian.agency_likelihood`) and drawn afterwards.
    Where every agency starts in the same period, a mean of the changes cannot be told from the periods: the
    changes are then taken around zero, ``effect`` is the change of the mean rate from before to after, and
    each agency's change includes it. :func:`agency_table` reads the agencies.

    Parameters
    ----------
    panel : Panel
        Units are agencies; one treatment arm with dose 0 or 1.
    outcome : str
    priors : mapping, optional
        Terms and defaults: effect ``{"normal": [0, 0.5]}``, agency_sd ``{"half-normal": [0.5]}``, intercept
        ``{"normal": [-3, 3]}``, period ``{"zero-sum-normal": [2]}``, heterogeneity ``{"gamma": [2, 2]}``.
    draws, tune, chains, seed, level, progress
        As in :func:`rct.bayesian.fit`.

    Raises
    ------
    EstimationError
        For several arms, doses between 0 and 1, units randomized together, blocks that differ in the share
        treated, and whatever :func:`rct.bayesian.fit` refuses.
    ConvergenceError
        When the chains fail twice.
    """
    from rct.bayesian.density_agencies import agency_density
    from rct.bayesian.sampling import Settings, sample

    check_request(panel, draws=draws, tune=tune, chains=chains, seed=seed, level=level)
    if len(panel.treatments) > 1:
        raise EstimationError("agencies: there are several treatment arms; the model has one.")
    rows = count_rows(panel, [outcome])
    if len(rows.periods) < 2:
        raise EstimationError("agencies: the panel has one period; a change needs a before and an after.")
    _check_units(rows)
    counts = count_agencies(rows.rows[outcome], np.array(rows.periods))
    impossible = {} if counts.controlled else {"effect": NO_CONTROL}
    used = complete_priors(priors, terms=AGENCIES.terms, impossible=impossible)
    AGENCIES.require(used)
    inputs = Inputs(used, rows.coords, agency_tables(counts) | prior_tables(used))
    density, settings = agency_density(inputs), Settings(draws, tune, chains, seed, progress)
    groups, diagnostics = sample(density, list(AGENCIES.judged), density.known(AGENCIES.kept), settings)
    posterior = groups["posterior"].assign_coords(period_number=rows.periods)
    groups["posterior"] = _with_changes(posterior, counts, seed)
    facts = fit_facts(
        outcome, rows, used | {"cluster_sd": False, "cluster_period_sd": False}, AGENCIES, groups["posterior"]
    )
    facts["estimand"] = MEAN_OF_CHANGES if counts.controlled else COMMON_CHANGE
    facts["warning"] = "; ".join(
        text for text in (facts["warning"], "" if counts.controlled else NO_CONTROL) if text
    )
    facts |= {
        "events": counts.events.tolist(),
        "events_after": counts.after.tolist(),
        "exposure_before": counts.exposure_before.sum(axis=1)[counts.profile].tolist(),
        "exposure_after": counts.exposure_after.sum(axis=1)[counts.profile].tolist(),
    }
    return Posterior(
        outcomes=(outcome,),
        arms=tuple(panel.treatments),
        reference=panel.control,
        model="agencies",
        priors=used,
        diagnostics=diagnostics,
        level=level,
        meta={outcome: facts},
        source=groups,
    )


def _check_units(rows: CountRows) -> None:
    """Refuse units whose changes the model would take as independent, or compare over time, wrongly."""
    ((outcome, one),) = rows.rows.items()
    units, randomized = one["unit"].nunique(), one["randomized"].nunique()
    if randomized < units:
        raise EstimationError(
            f"agencies: {units} units were randomized together in {randomized} "
            f'clusters; the model takes agencies that began on their own. Use fit(panel, "{outcome}").'
        )
    if rows.blocked_periods:
        raise EstimationError(
            "agencies: the share of treated units differs between blocks, each of which then needs a time "
            f'trend of its own; the model has one. Use fit(panel, "{outcome}").'
        )


def build_agencies(inputs: Inputs) -> None:
    """Declare periods, heterogeneity and the changes' distribution, and the likelihood."""
    import pymc as pm
    import pytensor.tensor as pt

    mean, sd = numbers(inputs, "intercept")  # type: ignore[misc]
    intercept = pm.Normal("intercept", mean, sd)
    (sd,) = numbers(inputs, "period")  # type: ignore[misc]
    period = period_effects(inputs, sd)
    shape, rate = numbers(inputs, "heterogeneity")  # type: ignore[misc]
    phi = pm.Gamma("heterogeneity", alpha=shape, beta=rate)
    (sd,) = numbers(inputs, "agency_sd")  # type: ignore[misc]
    spread = pm.HalfNormal("agency_sd", sd)
    eta = intercept + period
    centre: Any = 0.0
    if effect := numbers(inputs, "effect"):
        centre = pm.Normal("effect", *effect)
    else:
        pm.Deterministic("effect", common_change(inputs.tables, eta, pt))
    pm.Potential("log_likelihood", log_likelihood(inputs.tables, eta, centre, spread, phi))


def require_all_terms(priors: Priors) -> None:
    """Refuse priors that leave out what the integrals rest on."""
    for term in ("period", "heterogeneity"):
        if priors[term] is False:
            raise EstimationError(f'priors: {term} cannot be left out of the model "agencies".')


def _no_tables(_rows: CountRows, _priors: Priors) -> dict[str, Any]:
    """Give nothing: the tables rest on the agencies' own counts."""
    return {}


AGENCIES = CountModel(
    words="Poisson with the rates and the changes of hundreds of agencies integrated out",
    terms=("effect", "agency_sd", "intercept", "period", "heterogeneity"),
    tables=_no_tables,
    build=build_agencies,
    judged=("effect", "agency_sd", "heterogeneity"),
    kept=("effect", "agency_sd", "intercept", "period", "heterogeneity"),
    require=require_all_terms,
)


def _with_changes(posterior: "xr.Dataset", counts: AgencyCounts, seed: int) -> "xr.Dataset":
    """Add each agency's change, what it shares with the others included, drawn from its conditional."""
    values = {name: posterior[name].to_numpy() for name in AGENCIES.kept}
    chains, draws = values["effect"].shape
    flat = {name: value.reshape(chains * draws, *value.shape[2:]) for name, value in values.items()}
    eta = flat["intercept"][:, None] + flat["period"]
    centre = flat["effect"] if counts.controlled else np.zeros(chains * draws)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    change = draw_changes(counts, eta, centre, flat["agency_sd"], flat["heterogeneity"], rng)
    change += (flat["effect"] - centre)[:, None]
    shaped = change.reshape(chains, draws, -1).astype(np.float32)
    return posterior.assign_coords(agency=list(counts.names)).assign(
        agency_change=(("chain", "draw", "agency"), shaped)
    )


def agency_table(posterior: Posterior) -> "pd.DataFrame":
    """Give each agency's change, and say where the data cannot tell.

    Parameters
    ----------
    posterior : Posterior
        Of :func:`agencies`.

    Returns
    -------
    DataFrame
        One row per agency, by name: ``events_before``, ``events_after``, ``raw_percent_change`` (its own
        counts alone), ``percent_change`` with ``percent_low`` and ``percent_high`` (its posterior median and
        interval), ``probability_reduced``, ``probability_below_others`` (that it fell by more than the
        agencies did on average), ``shrinkage`` (0: its own data; 1: the others' alone), ``verdict`` ("fell",
        "rose", "cannot tell") and ``words``. There is no ranking: neighbours in it would differ by chance.

    Raises
    ------
    DataError
        For a posterior of another model.
    """
    import pandas as pd

    if posterior.model != "agencies":
        raise DataError(f"the fit is of the model {posterior.model!r}; agency_table reads those of agencies.")
    (outcome,) = posterior.outcomes
    facts = posterior.meta[outcome]
    draws = posterior.groups["posterior"]
    change = draws["agency_change"].stack(sample=("chain", "draw")).to_numpy().astype(float)
    effect = draws["effect"].to_numpy().ravel()
    events, after = (np.array(facts[key]) for key in ("events", "events_after"))
    before_at, after_at = (np.array(facts[f"exposure_{when}"]) for when in ("before", "after"))
    low, middle, high = np.quantile(
        change, [(1 - posterior.level) / 2, 0.5, (1 + posterior.level) / 2], axis=1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = 100 * ((after / after_at) / ((events - after) / before_at) - 1)
    reduced = (change < 0).mean(axis=1)
    sd = float(np.sqrt((draws["agency_sd"] ** 2).mean()))
    verdict = np.where(reduced > SURE, "fell", np.where(1 - reduced > SURE, "rose", "cannot tell"))
    return pd.DataFrame(
        {
            "agency": draws["agency"].to_numpy(),
            "events_before": events - after,
            "events_after": after,
            "raw_percent_change": np.where(np.isfinite(raw), raw, np.nan),
            "percent_change": 100 * np.expm1(middle),
            "percent_low": 100 * np.expm1(low),
            "percent_high": 100 * np.expm1(high),
            "probability_reduced": reduced,
            "probability_below_others": (change < effect).mean(axis=1),
            "shrinkage": np.clip((change - effect).var(axis=1) / sd**2, 0, 1),
            "verdict": verdict,
            "words": [_words(*ends) for ends in zip(verdict, low, high, strict=True)],
        }
    )


def _words(verdict: str, low: float, high: float) -> str:
    span = f"{100 * math.expm1(low):+.0f} % to {100 * math.expm1(high):+.0f} %"
    if verdict == "cannot tell":
        return f"cannot tell: anything from {span} agrees with its data"
    return f"{verdict}, by {span}"
