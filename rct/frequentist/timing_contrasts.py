"""Contrasts of cohort means for randomized treatment timing (Roth & Sant'Anna 2023, sections 2.2 and 2.3).

An estimand is a weighted mean of effects tau(t, g) of cohort g in period t, each identified against cohorts
not yet treated in t; so an aggregation is a matrix of weights (cohorts, periods), and all else follows.
Cohorts are sorted by first treated period; the last one serves as comparison only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Aggregate = Literal["simple", "cohort", "calendar", "event"]


def effect_weights(
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    periods: int,
    aggregate: Aggregate,
    event_time: int = 0,
) -> NDArray[np.float64]:
    """Weights (cohorts, periods) of the effects tau(t, g) in an aggregate, summing to one.

    Parameters
    ----------
    starts : (cohorts,) first treated period, ascending; beyond `periods` for a never-treated cohort
    sizes : (cohorts,) randomized units
    aggregate : str
        simple: by cohort size over all effects; cohort: mean over periods, then by size over cohorts;
        calendar: by size over cohorts, then mean over periods; event: by size, `event_time` periods after
        the first treated one (before it where negative: nobody is treated yet, the effect is zero).

    Raises
    ------
    EstimationError
        No cohort is treated while another is not yet.
    """
    period = np.arange(1, periods + 1)
    identified = period < starts[-1]
    if aggregate == "event":
        identified = identified & (period == starts[:, None] + event_time)
        identified[starts > periods] = False
    else:
        identified = identified & (period >= starts[:, None])
    if not identified.any():
        if aggregate == "event":
            raise EstimationError(
                f"event time {event_time}: no cohort is observed then while another is still untreated:"
                " nothing to compare with"
            )
        raise EstimationError(
            "no cohort is treated while another is still untreated: nothing to compare with"
        )
    by_size = identified * sizes[:, None].astype(float)
    if aggregate == "cohort":
        treated_periods = np.maximum(identified.sum(axis=1, keepdims=True), 1)
        by_size = by_size / treated_periods
    if aggregate == "calendar":
        by_size = by_size / np.maximum(by_size.sum(axis=0), 1)
    return np.asarray(by_size / by_size.sum())


def comparison_shares(
    starts: NDArray[np.int64], sizes: NDArray[np.int64], periods: int, *, last_only: bool
) -> NDArray[np.float64]:
    """Shares (cohorts, periods) of each cohort in the comparison mean of a period, summing to one.

    Not-yet-treated cohorts by size, or only the last cohort (Sun & Abraham 2021).
    """
    untreated = starts[:, None] > np.arange(1, periods + 1)
    if last_only:
        untreated[:-1] = False
    members = untreated * sizes[:, None].astype(float)
    return np.asarray(members / np.maximum(members.sum(axis=0), 1))


def contrasts(
    starts: NDArray[np.int64], weights: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give A_theta and A_0, both (cohorts, periods).

    A_theta takes the treated mean less the comparison mean in the treated period; A_0 takes the same
    difference in the period before each cohort's first treated one, where it is zero in expectation.
    """
    theta = weights - shares * weights.sum(axis=0)
    zero = np.zeros_like(theta)
    for g in np.flatnonzero(weights.any(axis=1)):
        before = starts[g] - 2
        zero[g, before] += weights[g].sum()
        zero[:, before] -= shares @ weights[g]
    return theta, zero
