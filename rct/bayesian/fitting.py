"""Fit a Bayesian model to a panel."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rct.bayesian.count_rows import CountRows, count_rows, impossible_terms
from rct.bayesian.fading_effect import FADING
from rct.bayesian.identified_effects import BEFORE_AND_AFTER, has_control, require_identified
from rct.bayesian.injuries_within_force import JOINT
from rct.bayesian.marginal_poisson import MARGINAL
from rct.bayesian.model_inputs import CountModel, Inputs, prior_tables
from rct.bayesian.monotone_dose import DOSE
from rct.bayesian.overdispersed_cells import NEGATIVE_BINOMIAL, ZERO_INFLATED
from rct.bayesian.priors import DISTRIBUTIONS, Priors, complete_priors, effect_prior
from rct.bayesian.sampling_request import check_numbers, check_request
from rct.bayesian.stepped_wedge import STEPPED_WEDGE
from rct.errors import EstimationError
from rct.posterior import CONSTANT_EFFECT, Posterior

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from rct.panel import Panel

MODELS: dict[str, CountModel] = {
    "marginal": MARGINAL,
    "stepped-wedge": STEPPED_WEDGE,
    "joint": JOINT,
    "fading": FADING,
    "dose": DOSE,
    "negative-binomial": NEGATIVE_BINOMIAL,
    "zero-inflated": ZERO_INFLATED,
}
FEW_EVENTS = 10
FAR_FROM_PRIOR = 2.0


def fit(
    panel: "Panel",
    outcomes: str | Sequence[str],
    *,
    model: Literal[
        "marginal",
        "stepped-wedge",
        "joint",
        "fading",
        "dose",
        "negative-binomial",
        "zero-inflated",
        "agencies",
    ] = "marginal",
    priors: Mapping[str, object] | None = None,
    refresher: str | None = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int,
    level: float = 0.95,
    progress: bool = False,
) -> Posterior:
    """Fit a Bayesian model of counts to a panel, sampled with nutpie (which needs no compiler).

    ``marginal``: unit i of cluster k has, in period t, Poisson counts with mean
    ``u_i E_it exp(intercept + period_t + cluster_k + cluster_period_kt + effect dose_it)``, and the effects
    ``u_i ~ Gamma(heterogeneity, heterogeneity)`` of the units are integrated out exactly
    (:mod:`rct.bayesian.marginal_poisson`). Several outcomes are independent blocks of one model. Cluster
    terms are there where the panel's clusters hold several units and there are several clusters; where blocks
    differ in the share treated, each block has period effects of its own.

    ``stepped-wedge``: the same, with the cluster terms obligatory. ``fading``: an effect that fades since
    training (:mod:`rct.bayesian.fading_effect`). ``dose``: an effect that grows with the dose, in steps of
    any size (:mod:`rct.bayesian.monotone_dose`). ``joint``: force, and injuries as parts of its incidents
    (:mod:`rct.bayesian.injuries_within_force`); the first outcome contains the others.
    ``negative-binomial`` and ``zero-inflated`` leave lasting differences of units out, and serve sensitivity
    analyses (:mod:`rct.bayesian.overdispersed_cells`). ``agencies``: units are agencies, each with its own
    change (:func:`rct.bayesian.agencies`, which has the defaults of its priors); one outcome.

    Parameters
    ----------
    panel : Panel
    outcomes : str or sequence of str
    model : str
    priors : mapping, optional
        By term: ``{"effect": {"normal": [0, 0.5]}, "period": {"random-walk": [0.5]}}``; False leaves the term
        out. The effect is the log incidence rate ratio at dose 1. Terms and defaults: effect
        ``{"normal": [0, 0.5]}``, intercept ``{"normal": [-3, 3]}``, period ``{"zero-sum-normal": [2]}``,
        block ``{"zero-sum-normal": [1]}``,
        heterogeneity ``{"gamma": [2, 2]}`` (shape, rate), cluster_sd and cluster_period_sd
        ``{"half-normal": [0.3]}``. Of ``fading``: fading ``{"gamma": [4, 40]}``. Of ``dose``: dose_share
        ``{"dirichlet": [1]}``. Of ``joint``: effect_given ``{"normal": [0, 0.3]}``, intercept_given
        ``{"normal": [-1.5, 0.7]}``, period_given ``{"zero-sum-normal": [1]}``, cluster_correlation
        ``{"lkj": [2]}``. Of the others: dispersion ``{"gamma": [2, 2]}``, zero_share ``{"beta": [1, 9]}``.
    refresher : str, optional
        Of ``fading``: a covariate of the panel that is 1 in the periods of a refresher.
    draws, tune, chains : int
        Draws kept and dropped, of each chain, and the number of chains (at least two).
    seed : int
        Equal seeds give equal draws.
    level : float
        Probability inside the intervals.
    progress : bool
        Show the sampler's progress on the terminal.

    Raises
    ------
    EstimationError
        For an unknown model, term or distribution, and for an outcome without events or without both treated
        and untreated rows.
    ConvergenceError
        When the chains fail the limits of :mod:`rct.bayesian.sampling` twice.
    DataError
        For an unknown outcome, and for fractional counts.
    """
    from rct.bayesian.density import officer_density
    from rct.bayesian.sampling import Settings, sample

    _check_request(model, refresher)
    check_request(panel, draws=draws, tune=tune, chains=chains, seed=seed, level=level)
    names = _names(outcomes)
    if model == "agencies":
        from rct.bayesian.agency_fit import agencies

        return agencies(
            panel, _only(names), priors=priors, draws=draws, tune=tune, chains=chains, seed=seed, level=level,
            progress=progress,
        )  # fmt: skip
    chosen, rows, inputs = prepared(panel, names, model=model, priors=priors, refresher=refresher)
    used = inputs.priors
    density = officer_density(inputs)
    judged, kept = density.known(chosen.judged), density.known(chosen.kept)
    settings = Settings(draws, tune, chains, seed, progress, learns_correlations(model, used))
    groups, diagnostics = sample(density, judged, kept, settings)
    return Posterior(
        outcomes=tuple(names),
        arms=tuple(rows.arms),
        reference=panel.control,
        model=model,
        priors=used,
        diagnostics=diagnostics,
        level=level,
        meta={
            name: fit_facts(name, rows, used, chosen, groups["posterior"]) | {"refresher": refresher}
            for name in names
        },
        source=groups | {"posterior": _labelled(groups["posterior"], rows)},
    )


def prepared(
    panel: "Panel",
    outcomes: str | Sequence[str],
    *,
    model: str,
    priors: Mapping[str, object] | None,
    refresher: str | None,
) -> tuple[CountModel, CountRows, Inputs]:
    """Give a model of officers' counts, its rows of the panel, and all that it is built from.

    Raises
    ------
    EstimationError, DataError
        As :func:`fit`.
    """
    _check_request(model, refresher)
    if model not in MODELS:
        raise EstimationError(f"the model {model!r} is not one of officers: {', '.join(MODELS)} are.")
    chosen = MODELS[model]
    rows = chosen.prepare(count_rows(panel, _names(outcomes), refresher))
    used = model_priors(chosen, rows, priors)
    require_identified(rows, used)
    return chosen, rows, model_inputs(chosen, rows, used)


def learns_correlations(model: str, priors: Priors) -> bool:
    """Choose low-rank adaptation where it was measured to pay, the marginal model without cluster effects.

    The effect goes with the later periods, and scales alone leave it a fifth of the effective draws. Cluster
    effects go with their standard deviation in no fixed way, and the worst of them comes slower with it.
    """
    return model == "marginal" and priors["cluster_sd"] is False and priors["cluster_period_sd"] is False


def model_priors(model: CountModel, rows: CountRows, priors: Mapping[str, object] | None) -> Priors:
    """Complete and check the priors of a model for these rows."""
    used = complete_priors(
        priors, terms=model.terms, impossible=impossible_terms(rows), defaults=model.defaults
    )
    model.require(used)
    return used


def check_promised(options: Mapping[str, Any], priors: Mapping[str, object]) -> None:
    """Refuse options and priors of a trial's analysis that would be refused once the data are in.

    Parameters
    ----------
    options
        As in :func:`fit`, by name.
    priors
        Of the trial, which may promise several models.

    Raises
    ------
    EstimationError
    """
    from rct.bayesian.agency_fit import AGENCIES

    model = options.get("model", "marginal")
    _check_request(model, options.get("refresher"))
    check_numbers(**{name: options[name] for name in ("draws", "tune", "chains") if name in options})
    chosen = AGENCIES if model == "agencies" else MODELS[model]
    asked = priors_of_model(model, options.get("priors", priors))
    used = complete_priors(asked, terms=chosen.terms, impossible={}, defaults=chosen.defaults)
    chosen.require(used)


def priors_of_model(model: str, priors: Mapping[str, object]) -> dict[str, object]:
    """Take the priors that a model has out of those of a trial, which may promise several models.

    Names that no model has stay in, so that a misspelt one is refused.
    """
    from rct.bayesian.agency_fit import AGENCIES

    known = MODELS | {"agencies": AGENCIES}
    foreign = set(DISTRIBUTIONS) - set(known[model].terms) if model in known else set()
    return {term: prior for term, prior in priors.items() if term not in foreign}


def model_inputs(model: CountModel, rows: CountRows, priors: Priors) -> Inputs:
    """Give all that the model is built from."""
    tables = dict(model.tables(rows, priors)) | prior_tables(priors)
    return Inputs(
        priors, rows.coords, tables, blocked_periods=rows.blocked_periods and bool(priors.get("period"))
    )


def _labelled(posterior: "xr.Dataset", rows: CountRows) -> "xr.Dataset":
    return posterior.assign_coords(
        {name: labels for name, labels in rows.coords.items() if name in posterior.dims}
    )


def _only(names: list[str]) -> str:
    if len(names) != 1:
        raise EstimationError(
            f'the model "agencies" takes one outcome at a time, not {len(names)}: every agency has a change '
            "of its own. Fit them one by one."
        )
    return names[0]


def _names(outcomes: str | Sequence[str]) -> list[str]:
    names = [outcomes] if isinstance(outcomes, str) else list(outcomes)
    if not names or len(set(names)) < len(names):
        raise EstimationError(f"outcomes = {outcomes!r}: name at least one outcome, and each of them once.")
    return names


def _check_request(model: str, refresher: str | None) -> None:
    if model == "meta":
        raise EstimationError(
            "a meta-analysis combines the estimates of several trials, not the rows of one panel: use "
            "rct.bayesian.meta(frame)."
        )
    if model not in MODELS and model != "agencies":
        known = "; ".join(f'"{name}": {one.words}' for name, one in MODELS.items())
        known += '; "agencies": each with its own rate and change, one outcome'
        raise EstimationError(f"no Bayesian model is named {model!r}. There is {known}.")
    if refresher is not None and model != "fading":
        raise EstimationError(f'refresher belongs to the model "fading", not to {model!r}.')


def fit_facts(
    outcome: str, sample: CountRows, priors: Priors, model: CountModel, posterior: "xr.Dataset"
) -> dict[str, Any]:
    """Give size, baseline, estimand and warnings of one outcome."""
    rows = sample.rows[outcome]
    untreated = rows.loc[rows["treated"] == 0]
    warnings = fit_warnings(outcome, sample, priors, model) + _disagreement(
        outcome, sample, priors, posterior
    )
    return {
        "n_units": int(rows["unit"].nunique()),
        "n_clusters": int(rows["cluster"].nunique()),
        "n_events": float(rows["count"].sum()),
        "baseline": float(untreated["count"].sum() / untreated["exposure"].sum()),
        "controlled": has_control(sample, outcome),
        "estimand": model.estimand(sample) if model.estimand else CONSTANT_EFFECT,
        "warning": "; ".join(warnings),
    }


def _disagreement(outcome: str, sample: CountRows, priors: Priors, posterior: "xr.Dataset") -> list[str]:
    """Say that the data moved an effect further from its prior's mean than that prior thought likely."""
    if not priors["effect"]:
        return []
    place = sample.outcomes.index(outcome)
    mean, sd = effect_prior(priors, place)
    effect = posterior["effect"].mean(("chain", "draw"))
    effect = effect.isel(outcome=place) if "outcome" in effect.dims else effect
    furthest = float(abs(effect - mean).max()) / sd
    if furthest <= FAR_FROM_PRIOR:
        return []
    return [
        f"prior and data disagree: the effect lies {furthest:.1f} standard deviations of its prior from the "
        "prior's mean, and is a compromise of the two"
    ]


def fit_warnings(outcome: str, sample: CountRows, priors: Priors, model: CountModel) -> list[str]:
    """Say what a reader of the fit has to know."""
    rows = sample.rows[outcome]
    warnings = [model.caution] if model.caution else []
    events = rows["count"].sum()
    if events < FEW_EVENTS:
        words = "1 event" if events == 1 else f"{events:g} events"
        warnings.append(f"{words} in all: the effect is little more than its prior")
    warnings += _one_sided(rows, sample.arms)
    if not priors["period"] and rows["period"].nunique() > 1 and not has_control(sample, outcome):
        warnings.append(BEFORE_AND_AFTER)
    randomized = rows["randomized"].nunique()
    if randomized < rows["unit"].nunique() and not (priors["cluster_sd"] or priors["cluster_period_sd"]):
        warnings.append(
            f"{randomized} clusters were randomized, but the model has no cluster terms: "
            "the interval is too narrow"
        )
    if sample.blocked_periods and not (priors["block"] and priors["period"]):
        warnings.append(
            "the share of treated units differs between blocks, whose level or trend is not in this model"
        )
    return warnings


def _one_sided(rows: "pd.DataFrame", arms: list[str]) -> list[str]:
    """Say where the data bound an effect on one side only."""
    treated = rows["treated"] > 0
    if not rows.loc[~treated, "count"].any():
        return ["no event without treatment: how large an increase may be is known to the prior alone"]
    without = [arm for arm in arms if not rows.loc[treated & (rows["arm"] == arm), "count"].any()]
    whom = f" of {', '.join(without)}" if len(arms) > 1 else ""
    return (
        [f"no event in treated rows{whom}: how large a reduction may be is known to the prior alone"]
        if without
        else []
    )
