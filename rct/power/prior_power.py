"""Bayesian assurance of a declared trial: how likely its posterior is to show a reduction."""

import math
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rct import analysis
from rct.bayesian.priors import complete_priors
from rct.errors import RctError
from rct.power.diagnosands import monte_carlo_error
from rct.power.posterior_replicates import fast_posterior, reduction_probabilities
from rct.power.solving import check_not_negative
from rct.power.study import Study, declared_study
from rct.power.trial_draws import replicate_truth
from rct.power.trial_power import all_blocks

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.trial import Trial

BY_LAPLACE = (
    "The posterior is that of the marginal Poisson model, its officer effects integrated out, by the Laplace "
    "fit with the declared priors."
)
BY_CLUSTERS = (
    "The posterior is that of the marginal Poisson model with its cluster and cluster-by-period effects and "
    "the declared priors, by Laplace's method over a grid of their standard deviations."
)
BY_NORMAL = (
    "The posterior is the normal approximation of the log rate ratio: the primary analysis's estimate and "
    "standard error in each simulated trial, joined with the declared normal prior of the effect. "
    "With few events it is too hopeful, with few clusters rough in either direction."
)

METHODS = {"officers": BY_LAPLACE, "clusters": BY_CLUSTERS, None: BY_NORMAL}


@dataclass(frozen=True, repr=False)
class Assurance:
    """What the posterior of a trial will show, over what its effect may be.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per outcome and arm: prior_ratio (median of the design prior), prior_sd (of its log),
        prior_benefit (its probability of a benefit), assurance (share of trials whose posterior probability
        of a benefit exceeds the threshold), mc_error, false_assurance (share of the trials without benefit
        whose posterior says there is one), expected_power (share with p ≤ alpha), failed, sims.
    threshold : float
    method : str
        How the posterior was computed.
    """

    frame: "pd.DataFrame"
    threshold: float
    method: str

    def __repr__(self) -> str:
        lines = [
            f"{row['outcome']}: {100 * row['assurance']:.0f} % (± {100 * row['mc_error']:.1f}) of trials "
            f"will show a benefit with a posterior probability above {self.threshold:g}"
            for row in self.frame.to_dict("records")
        ]
        return "\n".join([*lines, self.method])


def assurance(
    trial: "Trial",
    roster: "pd.DataFrame | None" = None,
    *,
    effect_sd: Mapping[str, float] | None = None,
    threshold: float = 0.95,
    sims: int = 1000,
    draws: int = 999,
    seed: int | None = None,
    executor: Executor | None = None,
) -> Assurance:
    """Simulate how likely the trial's posterior is to say P(benefit) > threshold.

    The true effect of each replicate is drawn from the design prior, normal on the log ratio around
    `power.effects` (O'Hagan, Stevens & Campbell 2005); the posterior is made with the analysis prior of
    `[analysis.priors]`. A benefit is a change in the outcome's declared direction.

    The posterior is the marginal model's, with its constant effect, where the primary analysis or a promised
    Bayesian one has that: by `rct.bayesian.laplace` where measured units are randomized one by one, by
    `rct.power.cluster_posterior` where clusters are (one block, counts, one treatment). In 16 small trials of
    officers Laplace's probability of a benefit was at most .009 from that of full sampling; for trials of few
    clusters see `validation/assurance_posteriors.md`. Elsewhere it is the normal approximation: with the
    primary analysis's estimate b, its standard error s and prior N(m, t²) it has precision 1/s² + 1/t² and
    mean (b/s² + m/t²) over it. That is right with many events and clusters and too hopeful with few: 56 %
    where Laplace has 35 % with 100 officers randomized one by one and 120 events.

    Parameters
    ----------
    trial : Trial
    roster : pandas.DataFrame, optional
    effect_sd : mapping, optional
        Standard deviation of the design prior by outcome, instead of `power.effect_sd`; an outcome without
        one has the declared effect for certain.
    threshold : float
        Of the posterior probability.
    sims, draws, seed, executor
        As in `rct.power.simulate`.

    Raises
    ------
    RctError
        For a threshold that is no probability, a prior of what is no outcome or without a sd, or a primary
        analysis that is not of a log ratio with a standard error.
    """
    import numpy as np
    import pandas as pd
    from scipy.special import ndtr, ndtri

    if not 0 < threshold < 1:
        raise RctError(f"threshold is a probability between 0 and 1, not {threshold}")
    spread = dict(trial.power.effect_sd if effect_sd is None else effect_sd)
    names = [outcome.name for outcome in trial.outcomes]
    for name, sd in spread.items():
        if name not in names:
            raise RctError(f"effect_sd names {name!r}, which is no outcome; they are {', '.join(names)}")
        check_not_negative(**{f"effect_sd of {name}": sd})
    if trial.analysis.primary.estimator != "poisson":
        raise RctError("assurance needs a primary analysis by poisson: a log ratio with a standard error")
    alone = trial.model_copy(update={"analysis": trial.analysis.model_copy(update={"secondary": ()})})
    study = declared_study(alone, roster, effects=None, draws=draws, seed=analysis.trial_seed(trial, seed))
    study = replace(study, effect_sd=spread or {"": 0.0})
    rows = all_blocks(study, sims, executor, None)
    posterior = fast_posterior(study, trial.analysis.secondary)
    reduced = (
        np.full(len(rows), np.nan)
        if posterior is None
        else reduction_probabilities(study, rows, executor, posterior)
    )
    mean, sd = analysis_prior(trial)
    better = {o.name: -1.0 if o.direction == "decrease" else 1.0 for o in trial.outcomes}
    found = []
    for (outcome, arm), own in rows.groupby(["outcome", "arm"], sort=False):
        centre, width = float(np.log(own["effect"].iloc[0])), spread.get(str(outcome), 0.0)
        sign = better[str(outcome)]
        z = posterior_z(own["estimate"], own["std_error"], mean, sd)
        if posterior:
            unknown = np.isnan(reduced[own.index])  # without any event the prior is left
            z = np.where(unknown, mean / sd, -ndtri(reduced[own.index]))
        shown = sign * z > ndtri(threshold)
        without = sign * _drawn(study, own, str(outcome), str(arm)) <= 0
        share = float(shown.mean())
        found.append(
            {
                "outcome": outcome, "arm": arm, "prior_ratio": math.exp(centre), "prior_sd": width,
                "prior_benefit": float(ndtr(sign * centre / width)) if width else float(sign * centre > 0),
                "assurance": share, "mc_error": float(monte_carlo_error(share, len(own))),
                "false_assurance": float(shown[without].mean()) if without.any() else math.nan,
                "expected_power": float(own["p_value"].le(trial.analysis.alpha).mean()),
                "failed": int(own["estimate"].isna().sum()), "sims": len(own),
            }
        )  # fmt: skip
    return Assurance(pd.DataFrame(found), threshold, METHODS[posterior])


def posterior_z(
    estimate: "pd.Series", std_error: "pd.Series", mean: float, sd: float
) -> "npt.NDArray[np.float64]":
    """Give posterior mean over posterior sd of the log ratio; the prior's own where there is no estimate."""
    import numpy as np

    known = estimate.notna() & (std_error > 0)
    information = np.where(known, 1 / std_error.where(known, 1.0) ** 2, 0.0)
    precision = information + 1 / sd**2
    centre = (information * estimate.where(known, 0.0).to_numpy() + mean / sd**2) / precision
    return np.asarray(centre * np.sqrt(precision), dtype=float)


def analysis_prior(trial: "Trial") -> tuple[float, float]:
    """Give mean and sd of the normal prior of the log ratio that the trial declares for its analyses."""
    declared = {term: prior for term, prior in (trial.analysis.priors or {}).items() if term == "effect"}
    prior = complete_priors(declared, terms=("effect",), impossible={})["effect"]
    assert isinstance(prior, dict)  # an effect always has one
    mean, sd = prior["normal"]
    return float(mean), float(sd)


def _drawn(study: Study, rows: "pd.DataFrame", outcome: str, arm: str) -> "npt.NDArray[np.float64]":
    """Give the true log ratio of each replicate."""
    import numpy as np

    truths = (replicate_truth(study, int(r)) for r in rows["replicate"])
    return np.array([math.log(truth.ratios[outcome][arm]) for truth in truths])
