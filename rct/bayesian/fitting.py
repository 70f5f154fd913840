"""Fit a Bayesian model to a panel."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rct.bayesian.priors import Priors, complete_priors
from rct.errors import EstimationError
from rct.posterior import Posterior

if TYPE_CHECKING:
    import pandas as pd

    from rct.bayesian.marginal_poisson import Dimensions
    from rct.panel import Panel

MODELS = {"marginal": "Poisson with gamma officer effects integrated out, period and cluster effects"}
# Terms of the priors and what stands for them in the posterior.
KEPT = ("effect", "intercept", "period", "heterogeneity", "cluster_sd", "cluster", "cluster_period_sd")
JUDGED = ("effect", "heterogeneity", "cluster_sd", "cluster_period_sd")


def fit(
    panel: "Panel",
    outcomes: str | Sequence[str],
    *,
    model: Literal["marginal"] = "marginal",
    priors: Mapping[str, object] | None = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int,
    level: float = 0.95,
    progress: bool = False,
) -> Posterior:
    """Fit a Bayesian model of counts to a panel, sampled with nutpie (which needs no compiler).

    The marginal model: unit i of cluster k has, in period t, Poisson counts with mean
    ``u_i E_it exp(intercept + period_t + cluster_k + cluster_period_kt + effect dose_it)``, and the effects
    ``u_i ~ Gamma(heterogeneity, heterogeneity)`` of the units are integrated out exactly
    (:mod:`rct.bayesian.marginal_poisson`). Several outcomes are independent blocks of one model. Cluster
    terms are there where the panel's clusters hold several units and there are several clusters.

    Parameters
    ----------
    panel : Panel
    outcomes : str or sequence of str
    model : str
    priors : mapping, optional
        By term: ``{"effect": {"normal": [0, 0.5]}, "period": {"random-walk": [0.5]}}``; False leaves the term
        out. The effect is the log incidence rate ratio at dose 1. Terms and defaults: effect
        ``{"normal": [0, 0.5]}``, intercept ``{"normal": [-3, 3]}``, period ``{"zero-sum-normal": [2]}``,
        heterogeneity ``{"gamma": [2, 2]}`` (shape, rate), cluster_sd and cluster_period_sd
        ``{"half-normal": [0.3]}``.
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
    from rct.bayesian.compilerless import import_pymc
    from rct.bayesian.sampling import Settings, sample

    _check_request(model, chains, level)
    names = [outcomes] if isinstance(outcomes, str) else list(outcomes)
    rows = {name: _usable_rows(panel, name) for name in names}
    dimensions = _dimensions(panel, rows)
    used = complete_priors(priors, impossible=_impossible_terms(rows, dimensions))
    import_pymc()
    built = _marginal(rows, used, dimensions)
    kept = [term for term in KEPT if term in built.named_vars]
    settings = Settings(draws, tune, chains, seed, progress)
    groups, diagnostics = sample(built, [term for term in JUDGED if term in kept], kept, settings)
    return Posterior(
        outcomes=tuple(names),
        arms=tuple(dimensions.arms),
        reference=panel.control,
        model=model,
        priors=used,
        diagnostics=diagnostics,
        level=level,
        meta={name: _facts(rows[name], used) for name in names},
        source=groups,
    )


def _check_request(model: str, chains: int, level: float) -> None:
    if model not in MODELS:
        known = "; ".join(f'"{name}": {words}' for name, words in MODELS.items())
        raise EstimationError(f"no Bayesian model is named {model!r}. There is {known}.")
    if chains < 2:
        raise EstimationError(f"chains = {chains}: at least two are needed to see whether they agree.")
    if not 0 < level < 1:
        raise EstimationError(f"level = {level}: a probability between 0 and 1 is needed, such as 0.95.")


def _usable_rows(panel: "Panel", outcome: str) -> "pd.DataFrame":
    panel.require_counts(outcome, asked_by="the Poisson model")
    if outcome in panel.fractional:
        raise EstimationError(
            f"outcome {outcome!r} may hold fractions, which have no Poisson likelihood; "
            "use an estimator for rates (poisson, staggered, randomization_test)."
        )
    rows = panel.rows(outcome)
    if not rows["count"].sum() > 0:
        raise EstimationError(
            f"outcome {outcome!r} has no event, so that its rate ratio would be the prior alone."
        )
    treated = rows["treated"] > 0
    if treated.all() or not treated.any():
        raise EstimationError(
            f"outcome {outcome!r}: {'every' if treated.all() else 'no'} usable row is treated; "
            "an effect needs rows of both kinds."
        )
    return rows


def _dimensions(panel: "Panel", rows: Mapping[str, "pd.DataFrame"]) -> "Dimensions":
    from rct.bayesian.marginal_poisson import Dimensions

    each = list(rows.values())
    return Dimensions(
        outcomes=list(rows),
        arms=panel.treatments,
        periods=sorted({int(p) for one in each for p in one["period"].unique()}),
        clusters=sorted({str(c) for one in each for c in one["cluster"].unique()}),
    )


def _impossible_terms(rows: Mapping[str, "pd.DataFrame"], dimensions: "Dimensions") -> dict[str, str]:
    """Name the terms that the panel cannot have, and why."""
    reasons: dict[str, str] = {}
    if len(dimensions.periods) == 1:
        reasons["period"] = "the panel has one period"
        reasons["cluster_period_sd"] = "the panel has one period"
    units = max(one["unit"].nunique() for one in rows.values())
    if len(dimensions.clusters) == 1:
        reasons |= dict.fromkeys(("cluster_sd", "cluster_period_sd"), "the panel has one cluster")
    elif len(dimensions.clusters) >= units:
        reasons |= dict.fromkeys(
            ("cluster_sd", "cluster_period_sd"), "every cluster of the panel is one unit"
        )
    return reasons


def _marginal(rows: Mapping[str, "pd.DataFrame"], priors: Priors, dimensions: "Dimensions") -> Any:
    import numpy as np

    from rct.bayesian.marginal_poisson import marginal_model
    from rct.bayesian.totals import stack_outcomes, unit_totals

    periods = np.array(dimensions.periods)
    grouped = bool(priors["cluster_sd"] or priors["cluster_period_sd"])
    each = [
        unit_totals(one if grouped else one.assign(cluster=""), periods=periods, arms=dimensions.arms,
                    clusters=dimensions.clusters if grouped else [""])
        for one in rows.values()
    ]  # fmt: skip
    return marginal_model(stack_outcomes(each), priors, dimensions)


def _facts(rows: "pd.DataFrame", priors: Priors) -> dict[str, Any]:
    untreated = rows.loc[rows["treated"] == 0]
    return {
        "n_units": int(rows["unit"].nunique()),
        "n_clusters": int(rows["cluster"].nunique()),
        "n_events": float(rows["count"].sum()),
        "baseline": float(untreated["count"].sum() / untreated["exposure"].sum()),
        "warning": _warning(rows, priors),
    }


def _warning(rows: "pd.DataFrame", priors: Priors) -> str:
    warnings = []
    randomized = rows["randomized"].nunique()
    if randomized < rows["unit"].nunique() and not (priors["cluster_sd"] or priors["cluster_period_sd"]):
        warnings.append(
            f"{randomized} clusters were randomized, but the model has no cluster terms: "
            "the interval is too narrow"
        )
    by_block = rows.drop_duplicates("randomized").groupby("block")["starts"].agg(lambda s: (s > 0).mean())
    if by_block.nunique() > 1:
        warnings.append("the share of treated units differs between blocks, and blocks are not in this model")
    return "; ".join(warnings)
