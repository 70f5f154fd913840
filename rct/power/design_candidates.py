"""Designs that the officers and months of one trial could have instead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from rct.errors import TrialError
from rct.simulation import declared_truth, synthetic_roster
from rct.trial_tables import AnalysisSpec, Course, Schedule

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial

PAIR = "pair"
SHIFTS = ("07:00", "15:00", "23:00")
DAYS = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "quarter": 365.25 / 4}
RELIEF = 5  # officers employed for each one on duty around the clock


@dataclass(frozen=True)
class Candidate:
    """A design of the same budget.

    Attributes
    ----------
    trial : Trial
    roster : pandas.DataFrame
    note : str
        What is to be said of it.
    """

    trial: "Trial"
    roster: "pd.DataFrame"
    note: str


def _wedge(trial: "Trial") -> Candidate:
    """Give the declared wedge, or one that crosses as evenly as the periods after the baseline allow."""
    if trial.schedule.kind != "stepped-wedge":
        trial = _with(trial, _even_wedge(trial))
    return Candidate(trial, synthetic_roster(trial), "every cluster is trained in the end, in random order")


def spread_wedge(trial: "Trial") -> Candidate:
    """Give the wedge whose crossings are spread over all periods."""
    spread = _with(trial, _even_wedge(trial, baseline=1))
    return Candidate(spread, synthetic_roster(spread), "the crossings are spread over the whole period")


def _even_wedge(trial: "Trial", baseline: int | None = None) -> Schedule:
    schedule, clusters = trial.schedule, trial.power.clusters or 0
    before = max(schedule.baseline, 1) if baseline is None else baseline
    room = schedule.periods - before
    if room < 2:
        raise TrialError("a wedge needs two periods and more after the baseline; change schedule.baseline")
    crossings = min(clusters, room)
    step = max(room // crossings, 1)
    if baseline is not None:  # what is left over is shared between the time before and after
        before += (room - 1 - step * (crossings - 1)) // 2
    per_step = tuple(clusters // crossings + (part < clusters % crossings) for part in range(crossings))
    return Schedule(
        kind="stepped-wedge", start=schedule.start, period=schedule.period, periods=schedule.periods,
        baseline=before, step=step, per_step=per_step,
    )  # fmt: skip


def _parallel(trial: "Trial") -> Candidate:
    parallel = _with(trial, _parallel_schedule(trial))
    return Candidate(
        parallel, synthetic_roster(parallel), "half of the clusters are trained after the baseline"
    )


def _pairs(trial: "Trial") -> Candidate:
    """Randomize one cluster of each pair; clusters of one pair are no more alike than others here."""
    parallel = _with(trial, _parallel_schedule(trial))
    roster = synthetic_roster(parallel)
    names = list(dict.fromkeys(roster[trial.units.randomize]))
    whole = names[: len(names) // 2 * 2]
    pair = {name: f"{number // 2 + 1:03d}" for number, name in enumerate(whole)}
    roster = roster[roster[trial.units.randomize].isin(whole)]
    roster = roster.assign(**{PAIR: roster[trial.units.randomize].map(pair)}).reset_index(drop=True)
    units = parallel.units.model_copy(update={"block": (PAIR,)})
    left = "" if len(whole) == len(names) else "one cluster has no partner and is left out; "
    note = f"{left}each pair is compared by itself, and one's own baseline already takes out what pairs share"
    return Candidate(parallel.model_copy(update={"units": units}), roster, note)


def _officers(trial: "Trial") -> Candidate:
    """Randomize measured units within their clusters."""
    parallel = _with(trial, _parallel_schedule(trial))
    roster = synthetic_roster(parallel)
    units = parallel.units.model_copy(
        update={"randomize": parallel.units.id, "block": (trial.units.randomize,)}
    )
    return Candidate(
        parallel.model_copy(update={"units": units}),
        roster,
        f"half of each {trial.units.randomize} is trained; trained and untrained work side by side, so "
        "declare power.contamination",
    )


def _parallel_schedule(trial: "Trial") -> Schedule:
    schedule = trial.schedule
    return Schedule(
        kind="parallel", start=schedule.start, period=schedule.period, periods=schedule.periods,
        baseline=max(schedule.baseline, 1),
    )  # fmt: skip


def _shifts(trial: "Trial") -> Candidate:
    """Randomize shifts, for what can be switched on and off with them."""
    shifts = _shift_trial(trial)
    note = (
        "every shift is drawn, within month and time of day, so nothing that differs between officers or "
        "months blurs it; but only what is switched on and off by shift (a camera, a supervisor) can be "
        "compared so: officers cannot lay training down at the end of a shift"
    )
    return Candidate(shifts, synthetic_roster(shifts), note)


def _training_by_shift(trial: "Trial", mixing: float) -> Candidate:
    """Randomize shifts between trained and untrained crews that do not stay apart."""
    shifts = _shift_trial(trial)
    shifts = shifts.model_copy(update={"power": shifts.power.model_copy(update={"mixing": mixing})})
    note = (
        f"half of the officers are trained and staff the treated shifts, but the same officers work both "
        f"kinds: with {100 * mixing:.0f} % of each crew from the other half (assumed) treated and untreated "
        "shifts differ by less than training does, and the estimate is too small; at 50 % nothing is left"
    )
    return Candidate(shifts, synthetic_roster(shifts), note)


def _shift_trial(trial: "Trial") -> "Trial":
    """Give the trial of the same months' shifts, the agency's events spread evenly over them.

    Incidents count once, by shift. What varies between months is the same for both arms of a block; officers'
    rates average over a crew, one in five of the agency.
    """
    schedule, power = trial.schedule, trial.power
    assert power.units is not None
    days = max(round(schedule.periods * DAYS[schedule.period]), 1)
    truth = declared_truth(trial)
    share = power.units * schedule.periods / (days * len(SHIFTS))
    rates = {
        name: truth.incident_rate(number) * truth.persons[number] * share
        for number, name in enumerate(truth.outcomes)
    }
    shape = None if power.heterogeneity is None else power.heterogeneity * max(power.units / RELIEF, 1)
    assumed = power.model_copy(
        update={
            "rates": rates, "heterogeneity": shape, "cluster_sd": 0.0, "cluster_period_sd": 0.0, "trend": 0.0,
            "season": (), "course": Course(), "officers_per_incident": 1.0, "clusters": None,
            "units": days * len(SHIFTS), "trained_anyway": 0.0, "attrition": {}, "transfers": 0.0,
        }
    )  # fmt: skip
    calendar = Schedule(
        kind="shifts", start=schedule.start or date(2001, 1, 1), period="day", periods=days, shifts=SHIFTS
    )
    units = trial.units.model_copy(
        update={"randomize": "cell", "measure": "shift", "id": "cell", "block": ("month", "shift")}
    )
    once = tuple(
        outcome.model_copy(update={"attribution": "first", "unit_of_count": "incident"})
        for outcome in trial.outcomes
    )
    within = AnalysisSpec(estimator="poisson", effect="constant", fixed_effects=["block:period"])
    return trial.model_copy(
        update={
            "schedule": calendar, "power": assumed, "units": units, "outcomes": once,
            "analysis": trial.analysis.model_copy(update={"primary": within}),
        }
    )  # fmt: skip


def _with(trial: "Trial", schedule: Schedule) -> "Trial":
    return trial.model_copy(update={"schedule": schedule})


DESIGNS: Mapping[str, "Callable[[Trial, float], Candidate]"] = {
    "stepped wedge": lambda trial, _: _wedge(trial),
    "stepped wedge, spread": lambda trial, _: spread_wedge(trial),
    "parallel": lambda trial, _: _parallel(trial),
    "matched pairs": lambda trial, _: _pairs(trial),
    "officers": lambda trial, _: _officers(trial),
    "shifts, no training": lambda trial, _: _shifts(trial),
    "shifts, training": _training_by_shift,
}
