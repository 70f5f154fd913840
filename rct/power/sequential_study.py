"""Interim looks at a declared trial, simulated: how often, and when, it would stop."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct import analysis
from rct.errors import RctError
from rct.frequentist.inference.score_randomization import score_p_values
from rct.power.diagnosands import monte_carlo_error
from rct.power.solving import check_count, check_positive
from rct.power.study import BLOCK, Study, declared_study
from rct.power.trial_draws import draw_totals_of_trials
from rct.simulation.departures import moves_on_record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.trial import Trial


@dataclass(frozen=True, repr=False)
class Monitoring:
    """How a trial with interim looks would end.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per outcome and look: period, level (p-value at or below which the trial stops), stops (share
        of trials that stop at this look), power (share stopped by then), false_positive (the same without an
        effect), mc_error of the power.
    expected_periods : mapping
        Outcome → mean length of the trial, in periods, if that outcome alone decides.
    """

    frame: "pd.DataFrame"
    expected_periods: dict[str, float]

    def __repr__(self) -> str:
        lines = []
        for name, mean_length in self.expected_periods.items():
            own = self.frame[self.frame["outcome"] == name].to_dict("records")
            stops = ", ".join(f"{100 * row['stops']:.0f} % after period {row['period']}" for row in own)
            last = own[-1]
            lines.append(
                f"{name}: of trials stop {stops}: {100 * last['power']:.0f} % (± "
                f"{100 * last['mc_error']:.1f}) in all, {100 * last['false_positive']:.1f} % without an "
                f"effect; they last {mean_length:.1f} periods on average"
            )
        return "\n".join(lines)


def monitor(
    trial: "Trial",
    looks: Sequence[int],
    *,
    bounds: Sequence[float],
    roster: "pd.DataFrame | None" = None,
    sims: int = 1000,
    draws: int = 1999,
    seed: int | None = None,
    executor: Executor | None = None,
) -> Monitoring:
    """Simulate looks at the randomization test of the score after some periods of the trial.

    At each look the test is of the data so far: who would have crossed later has not yet. Its p-value is held
    against that of the boundary on the normal scale, 2 Φ(−bound), as `rct.power.group_sequential` gives
    bounds for information fractions; those of a wedge are far from its calendar's, and the simulated
    false-positive rate at the last look says what the looks cost. A p-value cannot be smaller than
    1 / (draws + 1) nor than the distinct allocations so far allow, so early looks at a wedge may be
    unable to stop it: their share is zero.

    Parameters
    ----------
    trial : Trial
        One treatment arm, no covariates, no transition periods.
    looks : sequence of int
        Periods after which the data are looked at, rising; the last ends the trial.
    bounds : sequence of float
        Critical value of the absolute z-statistic at each look.
    roster : pandas.DataFrame, optional
    sims, draws, seed, executor
        As in `rct.power.simulate`.

    Raises
    ------
    RctError
        For looks that do not rise within the trial, another number of bounds, or an unsuitable trial.
    """
    import pandas as pd
    from scipy.special import ndtr

    _check(trial, looks, bounds)
    check_count(sims=sims)
    study = declared_study(trial, roster, effects=None, draws=draws, seed=analysis.trial_seed(trial, seed))
    levels = [2 * float(ndtr(-bound)) for bound in bounds]
    spans = [(first, min(first + BLOCK, sims)) for first in range(0, sims, BLOCK)]
    found = _stopped(study, spans, looks, levels, executor)
    null = _stopped(study.without_effect, spans, looks, levels, executor)
    rows, expected = [], {}
    for number, name in enumerate(study.truth.outcomes):
        stops, false = (_shares(one[:, number], len(looks)) for one in (found, null))
        reached = 0.0
        for at, look in enumerate(looks):
            reached += stops[at]
            rows.append(
                {
                    "outcome": name, "look": at + 1, "period": look, "level": levels[at], "stops": stops[at],
                    "power": reached, "mc_error": float(monte_carlo_error(min(reached, 1.0), sims)),
                    "false_positive": sum(false[: at + 1]),
                }
            )  # fmt: skip
        last = [look * share for look, share in zip(looks, stops, strict=True)]
        expected[name] = sum(last) + looks[-1] * (1 - reached)
    return Monitoring(pd.DataFrame(rows), expected)


def _check(trial: "Trial", looks: Sequence[int], bounds: Sequence[float]) -> None:
    periods = trial.schedule.periods
    rising = list(looks) == sorted(set(looks)) and len(looks) > 0
    if not rising or looks[0] < 2 or looks[-1] > periods:
        raise RctError(f"looks are rising periods from 2 to {periods}, not {list(looks)}")
    if len(bounds) != len(looks):
        raise RctError(f"{len(looks)} looks need as many bounds, not {len(bounds)}")
    check_positive(**{f"bounds[{place}]": bound for place, bound in enumerate(bounds)})
    unsuitable = trial.schedule.transition or trial.analysis.covariates or len(trial.arms.treatments) > 1
    if unsuitable or trial.power.attrition or moves_on_record(trial):
        raise RctError(
            "looks are simulated for one treatment arm without covariates, transition periods, attrition or "
            'movers = "current"'
        )


def _shares(stopped: "npt.NDArray[np.int64]", looks: int) -> list[float]:
    return [float((stopped == look).mean()) for look in range(looks)]


def _stopped(
    study: Study,
    spans: list[tuple[int, int]],
    looks: Sequence[int],
    levels: list[float],
    executor: Executor | None,
) -> "npt.NDArray[np.int64]":
    """Give the look at which each replicate stops, by outcome; −1 where it never does."""
    import numpy as np

    if executor is None:
        parts = [stopping_block(study, *span, tuple(looks), tuple(levels)) for span in spans]
    else:
        waiting = [
            executor.submit(stopping_block, study, *span, tuple(looks), tuple(levels)) for span in spans
        ]
        parts = [future.result() for future in waiting]
    return np.concatenate(parts)


def stopping_block(
    study: Study, first: int, last: int, looks: tuple[int, ...], levels: tuple[float, ...]
) -> "npt.NDArray[np.int64]":
    """Give the look at which replicates first, …, last − 1 stop (replicates, outcomes); −1: at none."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        assigned, drawn = draw_totals_of_trials(study, first, last)
        counts = drawn.swapaxes(0, 1).astype(float)
        stopped = np.full(counts.shape[:2], -1)
        for number in reversed(range(len(looks))):
            until = looks[number]
            for outcome in range(counts.shape[1]):
                p_values = score_p_values(
                    counts[:, outcome, :, :until],
                    study.doses[:, :until],
                    assigned,
                    study.redraws,
                    block=study.blocks,
                    probabilities=study.allocation.probabilities.to_numpy(),
                    exact=study.trial.analysis.draws == "exact",
                )
                stopped[p_values <= levels[number], outcome] = number
    return stopped
