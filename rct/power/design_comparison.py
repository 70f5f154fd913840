"""The same officers and months as different designs: which finds the effect, and why."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rct import analysis
from rct.errors import RctError, TrialError
from rct.power.diagnosands import diagnose
from rct.power.study import Study, declared_study
from rct.power.trial_power import all_blocks
from rct.simulation import synthetic_roster
from rct.trial_tables import AnalysisSpec, Schedule

if TYPE_CHECKING:
    import pandas as pd

    from rct.power.trial_power import Power
    from rct.trial import Trial

PAIR = "pair"


@dataclass(frozen=True)
class Candidate:
    """A design of the same budget: trial, roster, and what is to be said of it."""

    trial: "Trial"
    roster: "pd.DataFrame"
    note: str


def compare_designs(
    trial: "Trial",
    designs: Sequence[str] = (),
    *,
    sims: int = 1000,
    draws: int = 999,
    seed: int | None = None,
    executor: Executor | None = None,
) -> "pd.DataFrame":
    """Simulate the budget of a trial as several designs.

    All have the trial's measured units, periods, rates, variation and effects, and are analysed for one
    constant effect with the trial's inference.

    Parameters
    ----------
    trial : Trial
        With `power.clusters` and `power.units`, one treatment arm and clusters as randomized units.
    designs : sequence of str
        Of `rct.power.design_comparison.DESIGNS`; all where empty.
    sims, draws, seed, executor
        As in `rct.power.simulate`.

    Returns
    -------
    pandas.DataFrame
        One row per design and outcome: design, outcome, power, mc_error, coverage, bias, randomized, units,
        treated (share of unit-periods), smallest_p, note.

    Raises
    ------
    RctError
        For a trial of several arms or one whose measured units are randomized themselves.
    """
    import numpy as np
    import pandas as pd

    own = trial.units.randomize == trial.units.id
    if own or len(trial.arms.treatments) > 1 or not (trial.power.clusters and trial.power.units):
        raise RctError(
            "designs are compared for a trial of one training whose clusters are randomized, with "
            "power.clusters and power.units declared"
        )
    frames = []
    for name in designs or DESIGNS:
        if name not in DESIGNS:
            raise RctError(f"there is no design {name!r}; there are {', '.join(DESIGNS)}")
        candidate = DESIGNS[name](_plain(trial))
        study = declared_study(
            candidate.trial, candidate.roster, effects=None, draws=draws,
            seed=analysis.trial_seed(trial, seed), rehearsed=False,
        )  # fmt: skip
        rows = diagnose(all_blocks(study, sims, executor, None), trial.analysis.alpha)
        shares = study.allocation.probabilities.to_numpy() @ (np.nan_to_num(study.doses) > 0).mean(axis=1)
        facts: dict[str, Any] = {
            "randomized": len(study.allocation.frame),
            "units": len(study.allocation.roster),
            "treated": float(shares.mean()),
            "smallest_p": study.allocation.smallest_p,
            "note": _unattainable(study) + candidate.note,
        }
        frames.append(rows.assign(design=name, **facts))
    columns = ["design", "outcome", "effect", "power", "mc_error", "coverage", "bias", "randomized", "units"]
    return pd.concat(frames, ignore_index=True)[[*columns, "treated", "smallest_p", "note"]]


def _unattainable(study: "Study") -> str:
    smallest, alpha = study.allocation.smallest_p, study.trial.analysis.alpha
    randomized = study.trial.analysis.inference == "randomization"
    return f"no p-value below {smallest:.3g} can be had; " if randomized and smallest > alpha else ""


def spread_advice(found: "Power", *, draws: int = 999, executor: Executor | None = None) -> str:
    """Say what spreading a wedge's crossings over the whole period would change; empty where it is no wedge.

    The primary analysis on the first primary outcome, with as many replicates and the same seed.
    """
    trial = found.trial
    units = trial.units
    if trial.schedule.kind != "stepped-wedge" or units.block or not trial.power.clusters or found.impossible:
        return ""
    row = found.primary.iloc[0]
    spread = _spread(trial)
    schedule = spread.trial.schedule
    if (schedule.baseline, schedule.step) == (trial.schedule.baseline, trial.schedule.step):
        return ""
    effects: dict[str, float | Mapping[str, float]] = {
        str(name): dict(zip(own["arm"], own["effect"], strict=True))
        for name, own in found.frame.drop_duplicates(["outcome", "arm"]).groupby("outcome")
    }
    study = declared_study(
        spread.trial, spread.roster, effects=effects, draws=draws, seed=found.seed,
        only_p=True, rehearsed=False,
    )  # fmt: skip
    rows = diagnose(all_blocks(study, int(row["sims"]), executor, None), trial.analysis.alpha)
    own = rows[(rows["analysis"] == row["analysis"]) & (rows["outcome"] == row["outcome"])].iloc[0]
    if own["power"] - row["power"] < 2 * math.hypot(own["mc_error"], row["mc_error"]):
        return ""
    last = schedule.baseline + 1 + schedule.step * (len(spread.trial.schedule.per_step) - 1)  # type: ignore[arg-type]
    return (
        f"The schedule alone would change that: with crossings from {schedule.period} "
        f"{schedule.baseline + 1} to {last}, every {_ordinal(schedule.step)} {schedule.period}, the same "
        f"officers would show it in {100 * own['power']:.0f} % of studies instead of "
        f"{100 * row['power']:.0f} %."
    )


def _ordinal(step: int) -> str:
    return {1: "single", 2: "second", 3: "third"}.get(step, f"{step}th")


def _plain(trial: "Trial") -> "Trial":
    """Promise one constant effect and nothing else."""
    constant = AnalysisSpec(estimator="poisson", effect="constant")
    promised = trial.analysis.model_copy(update={"primary": constant, "secondary": ()})
    return trial.model_copy(update={"analysis": promised})


def _wedge(trial: "Trial") -> Candidate:
    """Give the declared wedge, or one that crosses as evenly as the periods after the baseline allow."""
    if trial.schedule.kind != "stepped-wedge":
        trial = _with(trial, _even_wedge(trial))
    return Candidate(trial, synthetic_roster(trial), "every cluster is trained in the end, in random order")


def _spread(trial: "Trial") -> Candidate:
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


def _with(trial: "Trial", schedule: Schedule) -> "Trial":
    return trial.model_copy(update={"schedule": schedule})


DESIGNS: Mapping[str, "Callable[[Trial], Candidate]"] = {
    "stepped wedge": _wedge,
    "stepped wedge, spread": _spread,
    "parallel": _parallel,
    "matched pairs": _pairs,
    "officers": _officers,
}
