"""The same officers and months as different designs: which finds the effect, and why."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from rct import analysis
from rct.errors import RctError
from rct.power.design_candidates import DESIGNS, spread_wedge
from rct.power.diagnosands import diagnose
from rct.power.study import Study, declared_study
from rct.power.trial_power import all_blocks
from rct.trial_tables import AnalysisSpec

if TYPE_CHECKING:
    import pandas as pd

    from rct.power.trial_power import Power
    from rct.trial import Trial


def compare_designs(
    trial: "Trial",
    designs: Sequence[str] = (),
    *,
    mixing: float = 0.25,
    sims: int = 1000,
    draws: int = 999,
    seed: int | None = None,
    executor: Executor | None = None,
) -> "pd.DataFrame":
    """Simulate the budget of a trial as several designs.

    All have the trial's officers, periods, rates, variation and effects, and are analysed for one constant
    effect with the trial's inference. A wedge trains everybody in the end, the others half of the officers
    or half of the shifts. Bias and coverage are for the effect of training itself.

    Parameters
    ----------
    trial : Trial
        With `power.clusters` and `power.units`, one treatment arm and clusters as randomized units.
    designs : sequence of str
        Of `rct.power.design_candidates.DESIGNS`; all where empty.
    mixing : float
        For training randomized by shift: share of the officers on a shift who belong to the other arm,
        from 0, crews that stay apart, to .5, officers who rotate freely, when no contrast is left.
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
        For a trial of several arms or one whose measured units are randomized themselves, or mixing above .5.
    """
    import numpy as np
    import pandas as pd

    own = trial.units.randomize == trial.units.id
    if own or len(trial.arms.treatments) > 1 or not (trial.power.clusters and trial.power.units):
        raise RctError(
            "designs are compared for a trial of one training whose clusters are randomized, with "
            "power.clusters and power.units declared"
        )
    if not 0 <= mixing <= 0.5:
        raise RctError(f"mixing is a share between 0 and 0.5 of the officers on a shift, not {mixing}")
    frames = []
    for name in designs or DESIGNS:
        if name not in DESIGNS:
            raise RctError(f"there is no design {name!r}; there are {', '.join(DESIGNS)}")
        candidate = DESIGNS[name](_plain(trial), mixing)
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
    spread = spread_wedge(trial)
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
        f"The schedule alone makes a difference: with crossings from {schedule.period} "
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
