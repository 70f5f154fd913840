"""A staged roll-out's two answers side by side: the mean over exposure times, and one constant effect."""

import math
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from rct import analysis
from rct.errors import RctError
from rct.power.diagnosands import diagnose
from rct.power.study import declared_study
from rct.power.trial_power import all_blocks
from rct.trial_tables import AnalysisSpec, Course

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial

COURSES: Mapping[str, Course] = {
    "constant": Course(),
    "growing over 12 periods": Course(growth=12),
    "3 periods late": Course(delay=3),
    "fading over 12 periods": Course(fade=12),
}
USUAL_WINDOW = 12


def two_answers(
    trial: "Trial",
    roster: "pd.DataFrame | None" = None,
    *,
    courses: Mapping[str, Course] = COURSES,
    sims: int = 1000,
    draws: int = 999,
    seed: int | None = None,
    executor: Executor | None = None,
) -> "pd.DataFrame":
    """Simulate both answers of a wedge under several courses of the effect, with the same seed.

    The randomization p-value is the same for both, for it tests the sharp null; what differs is what the
    interval excludes and what the estimate means. Bias is of the mean over the window, for both: one
    indicator answers another question wherever the effect grows, comes late or fades (Kenny, Voldal, Xia,
    Heagerty & Hughes 2022).

    Parameters
    ----------
    trial : Trial
        A stepped wedge or staggered roll-out; its effects are those at full size.
    roster : pandas.DataFrame, optional
    courses : mapping
        Name → course.
    sims, draws, seed, executor
        As in `rct.power.simulate`.

    Returns
    -------
    pandas.DataFrame
        One row per course, outcome and answer: course, outcome, answer, mean_effect (true rate ratio over the
        window), power, mc_error, excludes_null, bias, coverage, sims.

    Raises
    ------
    RctError
        For another kind of schedule, or several treatment arms.
    """
    import pandas as pd

    if trial.schedule.kind not in ("stepped-wedge", "staggered") or len(trial.arms.treatments) > 1:
        raise RctError(
            "two answers belong to a stepped wedge or a staggered roll-out of one training, where units are "
            "observed at many times since training"
        )
    if not courses:
        raise RctError("courses names no course of the effect: leave it out for the four usual ones")
    both = _with_both_answers(trial)
    frames = []
    for name, course in courses.items():
        power = both.power.model_copy(update={"course": course})
        study = declared_study(
            both.model_copy(update={"power": power}), roster, effects=None, draws=draws,
            seed=analysis.trial_seed(trial, seed), rehearsed=False,
        )  # fmt: skip
        replicates = all_blocks(study, sims, executor, None)
        rows = diagnose(replicates, trial.analysis.alpha)
        truth = replicates.groupby(["outcome", "analysis"])["truth"].first()
        keys = pd.MultiIndex.from_frame(rows[["outcome", "analysis"]])
        rows = rows.assign(course=name, mean_effect=pd.Series(truth.reindex(keys).to_numpy()).map(math.exp))
        frames.append(rows.rename(columns={"analysis": "answer"}))
    columns = ["course", "outcome", "answer", "mean_effect", "power", "mc_error", "excludes_null", "bias"]
    return pd.concat(frames, ignore_index=True)[[*columns, "coverage", "sims"]]


def _with_both_answers(trial: "Trial") -> "Trial":
    """Promise exactly the two answers, over the window that the trial declares, or the usual year."""
    promised = (trial.analysis.primary, *trial.analysis.secondary)
    declared = [spec.options["average"] for spec in promised if "average" in spec.options]
    window = tuple(declared[0]) if declared else (1, min(USUAL_WINDOW, _longest(trial)))
    mean = AnalysisSpec(estimator="poisson", effect="exposure-time", average=window)
    constant = AnalysisSpec(estimator="poisson", effect="constant")
    both = trial.analysis.model_copy(update={"primary": mean, "secondary": (constant,)})
    return trial.model_copy(update={"analysis": both})


def _longest(trial: "Trial") -> int:
    """Give the treated periods of those who cross first."""
    schedule = trial.schedule
    first = min(schedule.starts) if schedule.starts else schedule.baseline + 1 + schedule.transition
    return max(schedule.periods - first + 1, 1)
