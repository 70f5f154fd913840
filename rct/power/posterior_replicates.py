"""The posterior of simulated trials: how probable a reduction is in each of them."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Literal

from rct.bayesian.fitting import priors_of_model
from rct.bayesian.laplace_fit import NO_MODE, laplace
from rct.bayesian.marginal_poisson import MARGINAL
from rct.bayesian.priors import complete_priors
from rct.power.cluster_posterior import cluster_totals, probability_below_one
from rct.power.panel_replicates import replicate_panel
from rct.power.study import BLOCK, Study

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.panel import Panel
    from rct.trial_tables import AnalysisSpec

CONSTANT = ("marginal", "stepped-wedge")
Posterior = Literal["officers", "clusters"]


def fast_posterior(study: Study, promised: "Sequence[AnalysisSpec]" = ()) -> Posterior | None:
    """Say which fast posterior of the marginal model the study's trials have; None for none.

    "officers": measured units are randomized one by one, and no cluster has a term in the declared priors.
    "clusters": they are randomized by cluster, with one treatment, over several periods, and both cluster
    terms are there. Either way in one block, for counts, and one constant effect: that of the primary
    analysis or of a promised Bayesian one.

    Parameters
    ----------
    promised : sequence of AnalysisSpec
        The trial's secondary analyses.
    """
    declared = study.trial.analysis.priors
    constant = study.trial.analysis.primary.options.get("effect", "constant") == "constant"
    asked = any(
        s.estimator == "bayesian" and s.options.get("model", "marginal") in CONSTANT for s in promised
    )
    counted = not any(outcome.fractional for outcome in study.trial.outcomes)
    if not ((constant or asked) and counted) or len(set(study.blocks)) > 1:
        return None
    if len(study.allocation.frame) == len(study.allocation.roster):
        clustered = any(declared.get(term) for term in NO_MODE) or declared.get("heterogeneity") is False
        return None if clustered else "officers"
    two_levels = not any(declared.get(term) is False for term in NO_MODE[:2])
    walks = "random-walk" in (declared.get("period") or {})
    alone = len(study.truth.treatments) == 1 and study.doses.shape[1] > 1
    return "clusters" if two_levels and not walks and alone else None


def reduction_probabilities(
    study: Study, rows: "pd.DataFrame", executor: Executor | None, posterior: Posterior
) -> "npt.NDArray[np.float64]":
    """Give the posterior probability that the rate ratio is below 1, for each row of a study's replicates."""
    import numpy as np
    import pandas as pd

    sims = int(rows["replicate"].max()) + 1
    spans = [(first, min(first + BLOCK, sims)) for first in range(0, sims, BLOCK)]
    if executor is None:
        parts = [posterior_block(study, posterior, *span) for span in spans]
    else:
        waiting = [executor.submit(posterior_block, study, posterior, *span) for span in spans]
        parts = [future.result() for future in waiting]
    found = pd.concat(parts).set_index(["replicate", "outcome", "arm"])["probability"]
    keys = pd.MultiIndex.from_frame(rows[["replicate", "outcome", "arm"]])
    return np.asarray(found.reindex(keys), dtype=float)


def posterior_block(study: Study, posterior: Posterior, first: int, last: int) -> "pd.DataFrame":
    """Fit replicates first, …, last − 1: replicate, outcome, arm, probability of a reduction.

    A trial without an event of the outcome has learned nothing; NaN there.
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    priors, found = priors_of_model("marginal", study.trial.analysis.priors), []
    of_panel = _of_officers if posterior == "officers" else _of_clusters
    with threadpool_limits(limits=1, user_api="blas"):
        for replicate in range(first, last):
            panel, _ = replicate_panel(study, replicate)
            for outcome in study.truth.outcomes:
                known = panel.rows(outcome)["count"].sum() > 0
                probability = of_panel(panel, outcome, priors) if known else {}
                for arm in study.truth.treatments:
                    found.append((replicate, outcome, arm, probability.get(arm, float("nan"))))
    return pd.DataFrame(found, columns=["replicate", "outcome", "arm", "probability"])


def _of_officers(panel: "Panel", outcome: str, priors: dict[str, object]) -> dict[str, float]:
    fit = laplace(panel, outcome, priors=priors)
    return {arm: fit.probability(arm=arm) for arm in fit.arms}


def _of_clusters(panel: "Panel", outcome: str, priors: dict[str, object]) -> dict[str, float]:
    used = complete_priors(priors, terms=MARGINAL.terms, impossible={})
    totals = cluster_totals(panel.rows(outcome), heterogeneous=used["heterogeneity"] is not False)
    return {panel.treatments[0]: probability_below_one(totals, used)}
