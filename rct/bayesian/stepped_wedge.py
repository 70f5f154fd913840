"""The marginal model of a wedge: division and division-by-period effects are obligatory.

The likelihood is that of :mod:`rct.bayesian.marginal_poisson`, whose cluster and cluster-by-period effects
are the two random effects of a wedge's standard model (Hooper, Teerenstra, de Hoop & Eldridge 2016, "Sample
size calculation for stepped wedge and other longitudinal cluster randomised trials"). What differs is that
they cannot be left out: without the second, intervals of 90 % cover .71 where division-months vary with a
standard deviation of .4.
"""

from dataclasses import replace

from rct.bayesian.marginal_poisson import MARGINAL
from rct.bayesian.priors import Priors
from rct.errors import EstimationError


def require_clusters(priors: Priors) -> None:
    """Refuse a panel without clusters of several units, and priors that leave their effects out."""
    for term in ("cluster_sd", "cluster_period_sd"):
        if priors[term] is False:
            raise EstimationError(
                f'the model "stepped-wedge" has {term}, which this panel or its priors leave out: it needs '
                'several clusters of several units, over several periods. The model "marginal" does without.'
            )


STEPPED_WEDGE = replace(
    MARGINAL,
    words="the marginal model with cluster and cluster-by-period effects obligatory",
    require=require_clusters,
)
