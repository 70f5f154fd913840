"""Totals of randomized units by period, drawn directly: the fast path of power.

With equal exposure and one gamma effect per officer for all periods, the effects of the n officers of a
unit sum to a gamma of shape n φ, so totals need no officers (the additivity of gammas of one scale).
"""

from typing import TYPE_CHECKING

from rct.simulation.nested_events import count_outcomes
from rct.simulation.several_streams import Streams
from rct.simulation.truth import Truth

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def draw_totals(
    rng: "np.random.Generator | Streams",
    truth: Truth,
    sizes: "npt.NDArray[np.int64]",
    log_effects: "npt.NDArray[np.float64]",
) -> "npt.NDArray[np.int64]":
    """Draw the totals of one trial, or of one a stream.

    Parameters
    ----------
    rng : numpy.random.Generator or Streams
    sizes : shape (units,)
        Measured units in each randomized unit.
    log_effects : shape (outcomes, units, periods), with streams (outcomes, trials, units, periods)
        Of each unit's own sequence.

    Returns
    -------
    numpy.ndarray, shaped as log_effects
    """
    import numpy as np

    activity = sizes.astype(float)
    if np.isfinite(truth.heterogeneity):
        activity = rng.gamma(truth.heterogeneity * sizes) / truth.heterogeneity
    mean = activity[..., None] * draw_rate_factors(rng, truth, *log_effects.shape[-2:])
    incidents = {
        outcome: rng.poisson(truth.incident_rate(outcome) * np.exp(log_effects[outcome]) * mean)
        for outcome, parent in enumerate(truth.parents)
        if parent < 0
    }
    return count_outcomes(rng, truth, incidents, log_effects)


def draw_rate_factors(
    rng: "np.random.Generator | Streams", truth: Truth, clusters: int, periods: int
) -> "npt.NDArray[np.float64]":
    """Draw trend × cluster × cluster-period factors of the rate; both random factors have mean one."""
    import numpy as np

    between = truth.cluster_sd * rng.standard_normal((clusters, 1)) - truth.cluster_sd**2 / 2
    within = (
        truth.cluster_period_sd * rng.standard_normal((clusters, periods)) - truth.cluster_period_sd**2 / 2
    )
    return np.exp(truth.calendar(periods) + between + within)
