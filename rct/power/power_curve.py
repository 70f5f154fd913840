"""Power over effect, duration, clusters and measured units, with common random numbers."""

from collections.abc import Sequence
from concurrent.futures import Executor
from itertools import product
from typing import TYPE_CHECKING

from rct import analysis
from rct.errors import RctError
from rct.power.diagnosands import diagnose
from rct.power.solving import check_count
from rct.power.study import declared_study
from rct.power.trial_power import all_blocks
from rct.power.trial_variants import resized

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial


def curve(
    trial: "Trial",
    effects: Sequence[float],
    *,
    periods: Sequence[int] = (),
    clusters: Sequence[int] = (),
    units: Sequence[int] = (),
    sims: int = 500,
    draws: int = 499,
    seed: int | None = None,
    executor: Executor | None = None,
) -> "pd.DataFrame":
    """Simulate the primary analysis over a grid of effects and sizes of the trial.

    Every point has the same seed, replicate by replicate, so that points of one size differ by their effect
    and not by their luck; curves are smoother than their Monte-Carlo errors say.

    Parameters
    ----------
    trial : Trial
        With `power.clusters` and `power.units`, where these are varied.
    effects : sequence of float
        Incidence rate ratios, each of all outcomes.
    periods, clusters, units : sequence of int
        Numbers of periods, randomized and measured units; the declared one where empty. Clusters are varied
        with the declared number of measured units in all, unless `units` says otherwise.
    sims, draws, seed, executor
        As in `rct.power.simulate`.

    Returns
    -------
    pandas.DataFrame
        One row per point and outcome: periods, clusters, units, outcome, arm, effect, power, mc_error, sims.

    Raises
    ------
    TrialError
        If the trial cannot have one of the sizes.
    RctError
        Without effects, and for numbers that are not whole and 1 or more.
    """
    import pandas as pd

    check_count(sims=sims)
    if not effects:
        raise RctError("effects names no rate ratio: give one or more, such as [0.7, 0.8, 0.9]")
    for name, numbers in (("periods", periods), ("clusters", clusters), ("units", units)):
        for one in numbers:
            check_count(**{name: one})
    frames: list[pd.DataFrame] = []
    sizes: list[Sequence[int | None]] = [axis or (None,) for axis in (periods, clusters, units)]
    for length, number, measured in product(*sizes):
        sized = resized(trial, clusters=number, units=measured, periods=length)
        for ratio in effects:
            study = declared_study(
                sized, None, effects={outcome.name: ratio for outcome in trial.outcomes}, draws=draws,
                seed=analysis.trial_seed(trial, seed), only_p=True,
                rehearsed=not frames,
            )  # fmt: skip
            found = diagnose(all_blocks(study, sims, executor, None), trial.analysis.alpha)
            own = found[found["analysis"] == analysis.label(trial.analysis.primary)]
            point = own[["outcome", "arm", "effect", "power", "mc_error", "sims"]]
            size = {
                "periods": sized.schedule.periods,
                "clusters": len(study.allocation.frame),
                "units": len(study.allocation.roster),
            }
            frames.append(pd.DataFrame(size, index=point.index).join(point))
    return pd.concat(frames, ignore_index=True)
