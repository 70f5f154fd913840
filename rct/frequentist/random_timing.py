"""Average effects where the timing of treatment was randomized (Roth & Sant'Anna 2023).

Estimand: the average effect of being treated at the assigned time rather than not yet, in events per measured
unit and period. Needs no model of counts and no parallel trends, only that timing was randomized among the
randomized units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import (
    require_count,
    require_event_times,
    require_level,
    require_one_of,
    require_seed,
    require_span,
)
from rct.frequentist.inference.wald import wald
from rct.frequentist.random_timing_variance import (
    TimingFit,
    fit_timing,
    permutation_p_value,
    permuted_statistics,
)
from rct.frequentist.timing_contrasts import Aggregate, comparison_shares, contrasts, effect_weights
from rct.frequentist.timing_influence import influence_std_error
from rct.frequentist.timing_sample import TimingSample, timing_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.panel import Panel

Estimator = Literal["efficient", "callaway-santanna", "sun-abraham", "difference"]
Variance = Literal["design", "influence"]

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
    variance: Variance = "design",
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
        0 is the first treated period; all from there on that are identified where absent, without those
        whose few units had too few events for a standard error (a warning names them). Negative times are
        placebos: nobody is treated yet, so they are zero but for chance if timing was random.
    baseline : (int, int), optional
        First and last period whose mean the percent change is a share of; all periods before anyone is
        treated where absent.
    variance : str
        "design": timing was randomized among these units. "influence", for "callaway-santanna" alone: units
        and their timing are a random sample, from influence functions with estimated cohort shares
        (Callaway & Sant'Anna 2021, theorem 3 and corollary 1), as R's `did` has it without its bootstrap.
    permutations : int
        Re-assignments of timing (within blocks) for a studentized randomization p-value, which then takes
        the place of the normal one.
    seed : int, optional
        Of the permutations; required with them.
    level : float

    Returns
    -------
    Estimate or Estimates
        On the difference scale; `std_error` is adjusted (their section 4.2) unless `variance` says
        otherwise, `std_error_neyman` conservative.

    Raises
    ------
    EstimationError
        A cohort of one randomized unit, gaps in the panel, nobody untreated to compare with, or too few
        events for a standard error.
    """
    _check(estimator, aggregate, event_times, permutations, seed, level)
    _check_variance(variance, estimator, aggregate, permutations)
    require_span("baseline", baseline)
    arms = panel.treatments
    if not arms:
        raise EstimationError("no row of the panel is treated, so there is no effect to estimate")
    rows = []
    for arm in arms:
        sample = timing_sample(panel, outcome, arm, baseline)
        common = _Common(sample, estimator, aggregate, variance, permutations, seed, level)
        if aggregate == "event" and event_times is None:
            rows += _every_event_time(common, panel, outcome)
        else:
            targets: Sequence[int | None] = [None] if event_times is None else event_times
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
    require_one_of("estimator", estimator, tuple(BETA))
    require_one_of("aggregate", aggregate, ("simple", "cohort", "calendar", "event"))
    require_count("permutations", permutations, 0)
    require_seed(seed)
    require_event_times(event_times)
    if event_times is not None and aggregate != "event":
        raise EstimationError('event_times belong to aggregate="event"')
    if event_times is not None and -1 in event_times and BETA[estimator] == 1.0:
        raise EstimationError(
            f"event time -1 is the period that {estimator} compares with, so zero by construction"
        )
    if permutations and seed is None:
        raise EstimationError("permutations are random: give a seed with them")
    require_level(level)


def _check_variance(variance: str, estimator: str, aggregate: str, permutations: int) -> None:
    require_one_of("variance", variance, ("design", "influence"))
    if variance == "design":
        return
    if estimator != "callaway-santanna" or aggregate == "calendar":
        raise EstimationError(
            'variance="influence" is of estimator="callaway-santanna" with aggregate simple, cohort or event'
        )
    if permutations:
        raise EstimationError(
            'permutations studentize by the variance of randomized timing: use variance="design" with them'
        )


def _every_event_time(common: _Common, panel: Panel, outcome: str) -> list[Estimate]:
    """Estimates from the first treated period on, without event times that have no variance."""
    sample = common.sample
    last = min(int(sample.starts[-1]), sample.periods + 1) - 1
    rows, left_out = [], []
    for event_time in range(max(1, last - int(sample.starts[0]) + 1)):
        try:
            rows.append(_estimate(common, panel, outcome, event_time))
        except _NoVarianceError as error:
            left_out.append((event_time, error))
    if not rows:
        raise left_out[0][1]
    if not left_out:
        return rows
    times = ", ".join(str(event_time) for event_time, _ in left_out)
    warning = f"event times {times} were left out: too few units or events there for a standard error"
    return [replace(row, warning="; ".join(filter(None, (row.warning, warning)))) for row in rows]


class _NoVarianceError(EstimationError):
    """The estimated variance is zero."""


@dataclass(frozen=True)
class _Common:
    sample: TimingSample
    estimator: Estimator
    aggregate: Aggregate
    variance: Variance
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
    std_error, inference, null = *_uncertainty(common, fit, weights, shares), None
    low, high, p_value = wald(fit.estimate, std_error, np.inf, common.level)
    normal_p = p_value
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
        std_error=std_error,
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
            "statistic": fit.estimate / std_error,
            "exact": False,
        },
    )


def _uncertainty(
    common: _Common, fit: TimingFit, weights: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[float, str]:
    """Give the standard error, and what it rests on."""
    sample = common.sample
    if common.variance == "design":
        return fit.std_error, "adjusted Neyman variance, normal"
    std_error = influence_std_error(sample.outcomes, sample.sizes, sample.starts, weights, shares)
    return std_error, "influence functions of sampled units, normal"


def _require_variance(fit: TimingFit, outcome: str) -> None:
    if fit.std_error > 0:
        return
    raise _NoVarianceError(
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
