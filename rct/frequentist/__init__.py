"""Frequentist estimators: each takes a `Panel` and an outcome and gives an `Estimate`."""

from rct.frequentist.difference_panel import first_differences
from rct.frequentist.estimating_equations import gee
from rct.frequentist.exposure_curves import exposure_curve
from rct.frequentist.forbidden_comparisons import two_way_weights
from rct.frequentist.inference.excluded_effects import equivalence
from rct.frequentist.inference.multiplicity import adjust
from rct.frequentist.inference.rerandomization import randomization_test
from rct.frequentist.inference.score_bootstrap import wild_bootstrap
from rct.frequentist.linear_panel import linear
from rct.frequentist.mean_differences import difference_in_means
from rct.frequentist.overdispersed_counts import negative_binomial
from rct.frequentist.poisson_fixed_effects import poisson
from rct.frequentist.pretrends import pretrend_test
from rct.frequentist.random_timing import staggered

__all__ = [
    "adjust",
    "difference_in_means",
    "equivalence",
    "exposure_curve",
    "first_differences",
    "gee",
    "linear",
    "negative_binomial",
    "poisson",
    "pretrend_test",
    "randomization_test",
    "staggered",
    "two_way_weights",
    "wild_bootstrap",
]
