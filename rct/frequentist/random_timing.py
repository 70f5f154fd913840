"""Average effects where the timing of treatment was randomized (Roth & Sant'Anna 2023).

Estimand: the average effect of being treated at the assigned time rather than not yet, in events per measured
unit and period. Needs no model of counts and no parallel trends, only that timing was randomized among the
randomized units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.inference.wald import wald
from rct.frequentist.random_timing_variance import (
    TimingFit,
    fit_timing,
    permutation_p_value,
    permuted_statistics,
)
from rct.frequentist.timing_contrasts import Aggregate, comparison_shares, contrasts, effect_weights
from rct.frequentist.timing_sample import TimingSample, timing_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.panel import Panel

Estimator = Literal["efficient", "callaway-santanna", "sun-abraham", "difference"]

# Weight of the pre-treatment difference; None: the variance-minimizing plug-in.
BETA: dict[str, float | None] = {
    "efficient": None,
    "callaway-santanna": 1.0,
    "sun-abraham": 1.0,
    "difference": 0.0,
}


def staggered(
    panel: Panel,
    outcome: str,
    *,
    estimator: Estimator = "efficient",
    aggregate: Aggregate = "simple",
    event_times: Sequence[int] | None = None,
    baseline: tuple[int, int] | None = None,
    permutations: int = 0,
    seed: int | None = None,
    level: float = 0.95,
) -> Estimate | Estimates:
    """Estimate the average effect of randomized treatment timing.

    Measured units are summed to randomized units first. Units treated in the first period are left out
    (nothing is known of them untreated), units treated after the last period count as never treated.

    Parameters
    ----------
    panel : Panel
        Every randomized unit observed in every period.
    outcome : str
    estimator : str
        "efficient": the plug-in of Roth & Sant'Anna 2023. "callaway-santanna": compared with the not yet
        treated, baseline the period before. "sun-abraham": compared with the last cohort. "difference": no
        adjustment for pre-treatment outcomes.
    aggregate : str
        "simple": by cohort size over all treated cohort-periods; "cohort", "calendar": over cohorts or
        periods; "event": one estimate for each of `event_times` (0 = first treated period).
    event_times : sequence of int, optional
        0 is the first treated period; all from there on that are identified where absent. Negative times
        are placebos: nobody is treated yet, so they are zero but for chance if timing was random.
    baseline : (int, int), optional
        First and last period whose mean the percent change is a share of; all periods before anyone is
        treated where absent.
    permutations : int
        Re-assignments of timing (within blocks) for a studentized randomization p-value, which then takes
        the place of the normal one.
    seed : int, optional
        Of the permutations; required with them.
    level : float

    Returns
    -------
    Estimate or Estimates
        On the difference scale; `std_error` is adjusted (their section 4.2), `std_error_neyman` conservative.

    Raises
    ------
    EstimationError
        A cohort of one randomized unit, gaps in the panel, or nobody untreated to compare with.
    """
    _check(estimator, aggregate, event_times, permutations, seed, level)
    arms = panel.treatments
    if not arms:
        raise EstimationError("no row of the panel is treated, so there is no effect to estimate")
    rows = []
    for arm in arms:
        sample = timing_sample(panel, outcome, arm, baseline)
        targets = _targets(sample, aggregate, event_times)
        common = _Common(sample, estimator, aggregate, permutations, seed, level)
        rows += [_estimate(common, panel, outcome, event_time) for event_time in targets]
    return rows[0] if len(rows) == 1 and aggregate != "event" else Estimates(tuple(rows))


def _check(
    estimator: str,
    aggregate: str,
    event_times: Sequence[int] | None,
    permutations: int,
    seed: int | None,
    level: float,
) -> None:
    if estimator not in BETA:
        raise EstimationError(f"estimator must be one of {', '.join(BETA)}, not {estimator!r}")
    if aggregate not in ("simple", "cohort", "calendar", "event"):
        raise EstimationError(f"aggregate must be simple, cohort, calendar or event, not {aggregate!r}")
    if event_times is not None and aggregate != "event":
        raise EstimationError('event_times belong to aggregate="event"')
    if event_times is not None and -1 in event_times and BETA[estimator] == 1.0:
        raise EstimationError(
            f"event time -1 is the period that {estimator} compares with, so zero by construction"
        )
    if permutations and seed is None:
        raise EstimationError("permutations are random: give a seed with them")
    if not 0 < level < 1:
        raise EstimationError(f"level must lie between 0 and 1, not {level}")


def _targets(
    sample: TimingSample, aggregate: Aggregate, event_times: Sequence[int] | None
) -> Sequence[int | None]:
    if aggregate != "event":
        return [None]
    if event_times is not None:
        return list(event_times)
    last = min(int(sample.starts[-1]), sample.periods + 1) - 1
    return list(range(last - int(sample.starts[0]) + 1))


@dataclass(frozen=True)
class _Common:
    sample: TimingSample
    estimator: Estimator
    aggregate: Aggregate
    permutations: int
    seed: int | None
    level: float


def _estimate(common: _Common, panel: Panel, outcome: str, event_time: int | None) -> Estimate:
    sample = common.sample
    weights = effect_weights(sample.starts, sample.sizes, sample.periods, common.aggregate, event_time or 0)
    shares = comparison_shares(
        sample.starts, sample.sizes, sample.periods, last_only=common.estimator == "sun-abraham"
    )
    theta, zero = contrasts(sample.starts, weights, shares)
    beta = BETA[common.estimator]
    fit = fit_timing(sample.outcomes, sample.sizes, sample.starts, theta, zero, beta)
    _require_variance(fit, outcome)
    low, high, p_value = wald(fit.estimate, fit.std_error, np.inf, common.level)
    normal_p, inference, null = p_value, "adjusted Neyman variance, normal", None
    if common.permutations:
        null = _permuted(common, theta, zero)
        p_value = permutation_p_value(fit.estimate / fit.std_error, null)
        inference += f" limits; studentized randomization p-value ({common.permutations} permutations)"
    return Estimate(
        outcome=outcome,
        term=sample.arm if event_time is None else f"{sample.arm}, event time {event_time}",
        arm=sample.arm,
        reference=panel.control,
        event_time=float("nan") if event_time is None else float(event_time),
        estimand=_estimand(common.aggregate, event_time),
        method=f"randomized timing, {common.estimator}",
        inference=inference,
        scale="difference",
        level=common.level,
        estimate=fit.estimate,
        std_error=fit.std_error,
        std_error_neyman=fit.std_error_neyman,
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        baseline=sample.baseline,
        n_units=sample.n_measured,
        n_clusters=int(sample.sizes.sum()),
        n_events=sample.n_events,
        warning=sample.warning,
        null_draws=null,
        draws_hash="" if null is None else sample.permutations_hash(common.permutations, common.seed),
        notes={
            "beta": fit.beta,
            "cohorts": len(sample.sizes),
            "p_normal": normal_p,
            "statistic": fit.estimate / fit.std_error,
            "exact": False,
        },
    )


def _require_variance(fit: TimingFit, outcome: str) -> None:
    if fit.std_error > 0:
        return
    raise EstimationError(
        f"the estimated variance of {outcome} is zero: "
        + (
            "the cohorts are too small for its adjustment. Merge cohorts, or use randomization_test"
            if fit.std_error_neyman > 0
            else "too few events for a standard error"
        )
    )


def _permuted(common: _Common, theta: NDArray[np.float64], zero: NDArray[np.float64]) -> NDArray[np.float64]:
    sample = common.sample
    return permuted_statistics(
        sample.outcomes, sample.block, sample.sizes, sample.starts, theta, zero, BETA[common.estimator],
        permutations=common.permutations, seed=common.seed,
    )  # fmt: skip


def _estimand(aggregate: Aggregate, event_time: int | None) -> str:
    if event_time is not None and event_time < 0:
        return f"placebo: difference {-event_time} periods before treatment, zero if timing was random"
    return f"average effect of assigned timing, events per unit-period ({aggregate})"
