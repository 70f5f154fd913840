"""The posterior of simulated trials: how probable a reduction is in each of them."""

from concurrent.futures import Executor
from typing import TYPE_CHECKING

from rct.bayesian.fitting import priors_of_model
from rct.bayesian.laplace_fit import NO_MODE, laplace
from rct.power.panel_replicates import replicate_panel
from rct.power.study import BLOCK, Study

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


def has_laplace(study: Study) -> bool:
    """Say whether the marginal model without cluster terms is the trial's, so that it has a Laplace fit.

    That is where measured units are randomized one by one, in one block, for one constant effect, and no
    cluster has a term in the declared priors.
    """
    declared = study.trial.analysis.priors
    alone = len(study.allocation.frame) == len(study.allocation.roster) and len(set(study.blocks)) == 1
    constant = study.trial.analysis.primary.options.get("effect", "constant") == "constant"
    counted = not any(outcome.fractional for outcome in study.trial.outcomes)
    clustered = any(declared.get(term) for term in NO_MODE) or declared.get("heterogeneity") is False
    return alone and constant and counted and not clustered


def reduction_probabilities(
    study: Study, rows: "pd.DataFrame", executor: Executor | None
) -> "npt.NDArray[np.float64]":
    """Give the posterior probability that the rate ratio is below 1, for each row of a study's replicates."""
    import numpy as np
    import pandas as pd

    sims = int(rows["replicate"].max()) + 1
    spans = [(first, min(first + BLOCK, sims)) for first in range(0, sims, BLOCK)]
    if executor is None:
        parts = [posterior_block(study, *span) for span in spans]
    else:
        waiting = [executor.submit(posterior_block, study, *span) for span in spans]
        parts = [future.result() for future in waiting]
    found = pd.concat(parts).set_index(["replicate", "outcome", "arm"])["probability"]
    keys = pd.MultiIndex.from_frame(rows[["replicate", "outcome", "arm"]])
    return np.asarray(found.reindex(keys), dtype=float)


def posterior_block(study: Study, first: int, last: int) -> "pd.DataFrame":
    """Fit replicates first, …, last − 1: replicate, outcome, arm, probability of a reduction.

    A trial without an event of the outcome has learned nothing; NaN there.
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    priors, found = priors_of_model("marginal", study.trial.analysis.priors), []
    with threadpool_limits(limits=1, user_api="blas"):
        for replicate in range(first, last):
            panel, _ = replicate_panel(study, replicate)
            for outcome in study.truth.outcomes:
                known = panel.rows(outcome)["count"].sum() > 0
                fit = laplace(panel, outcome, priors=priors) if known else None
                for arm in study.truth.treatments:
                    probability = fit.probability(arm=arm) if fit else float("nan")
                    found.append((replicate, outcome, arm, probability))
    return pd.DataFrame(found, columns=["replicate", "outcome", "arm", "probability"])
