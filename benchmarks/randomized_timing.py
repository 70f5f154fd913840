"""Time estimators of randomized timing and tests by re-randomization on 7,785 officers × 72 months.

Uses the Chicago panel where it is present (RCT_DATA, or ../shared/data beside the checkout), else a
simulated one of its shape. Callaway–Sant'Anna stands beside `diff-diff` where that is installed, else
beside the time that was measured of it elsewhere. Each line has the limit that it is held to.
"""

import platform
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pandas as pd
from poisson import officer_months

from rct.frequentist import randomization_test, staggered
from rct.frequentist.inference.chosen_statistic import chosen_statistic
from rct.frequentist.inference.null_model import null_model
from rct.frequentist.inference.redrawn_assignments import Redrawn, redraw_array
from rct.panel import Panel

DRAWS = 10_000
DIFF_DIFF_ELSEWHERE = 0.72  # seconds of diff-diff 3.13 with its Rust core, a machine of two cores


def seconds(action: Callable[[], object], repeats: int = 3) -> float:
    """Give the median wall time after one warm-up."""
    action()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def told(what: str, took: float, limit: float) -> None:
    print(f"  {what:64}{took:8.3f} s   limit {limit:g} s{'' if took < limit else '   NOT MET'}", flush=True)


def panel_of(frame: pd.DataFrame, exposure: str | None = None) -> Panel:
    frame = frame.assign(hours=100.0 + np.arange(len(frame)) * 29 % 61)
    return Panel.from_frame(
        frame, unit="uid", period="period", outcomes=["force"], starts="first_trained", exposure=exposure
    )


def redrawn_starts(panel: Panel, number: int) -> np.ndarray:
    """Permute the first treated periods among the units."""
    starts = panel.frame.drop_duplicates("randomized").set_index("randomized").loc[panel.randomized_units]
    own, rng = starts["starts"].to_numpy(), np.random.default_rng(1)
    return np.array([rng.permutation(own) for _ in range(number)])


def null_draws(panel: Panel, redrawn: Redrawn, statistic: str) -> Callable[[], object]:
    """Give the work of one test, its draws made: null model and statistic of every draw."""

    def work() -> object:
        rows = panel.rows("force")
        model = null_model(rows, redrawn.units, panel.periods, None, ())
        return chosen_statistic(statistic, panel, "force", rows, model, redrawn).at.null(0.0)

    return work


def callaway_santanna(panel: Panel, frame: pd.DataFrame) -> None:
    took = seconds(lambda: staggered(panel, "force", estimator="callaway-santanna"))
    ours = staggered(panel, "force", estimator="callaway-santanna")
    try:
        import diff_diff
    except ImportError:
        theirs, whose = DIFF_DIFF_ELSEWHERE, "diff-diff 3.13, measured elsewhere (not installed here)"
    else:
        model = diff_diff.CallawaySantAnna(control_group="not_yet_treated")

        def fit() -> object:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return model.fit(frame, "force", "uid", "period", "first_trained")

        result = fit()
        theirs, whose = seconds(fit), f"diff-diff {diff_diff.__version__}"
        print(f"  diff-diff {result.overall_att:.8f}, se {result.overall_se:.8f}")
    print(f"  rct       {ours.estimate:.8f}, se {ours.std_error:.8f}")
    print(f"  Callaway-Sant'Anna: rct {took:.3f} s, {whose} {theirs:.3f} s: {theirs / took:.1f} × faster")


def wedge() -> tuple[Panel, np.ndarray]:
    """Nine divisions, 24 months, one crossing every second month."""
    rng = np.random.default_rng(3)
    division, month = np.divmod(np.arange(9 * 24), 24)
    frame = pd.DataFrame(
        {"division": division, "month": month + 1, "start": 4 + 2 * division, "force": rng.poisson(3.0, 216)}
    )
    panel = Panel.from_frame(frame, unit="division", period="month", outcomes=["force"], starts="start")
    return panel, 4 + 2 * np.array(list(permutations(range(9))))


def main() -> None:
    frame, name = officer_months()
    frame = frame.sort_values(["uid", "period"], ignore_index=True)
    panel = panel_of(frame)
    print(f"{name}; Python {platform.python_version()}; median of 3 after a warm-up")
    callaway_santanna(panel, frame)
    efficient = seconds(lambda: staggered(panel, "force", permutations=1000, seed=1), repeats=1)
    told("efficient estimate, 1,000 studentized permutations", efficient, 10)
    redrawn = redraw_array(panel, redrawn_starts(panel, DRAWS), exact=False)
    score = null_draws(panel, redrawn, "score")
    told("10,000 draws of the score test, equal exposure", seconds(score), 2)
    unequal = null_draws(panel_of(frame, "hours"), redrawn, "score")
    told("10,000 draws of the score test, exposure by officer and month", seconds(unequal, repeats=1), 2)
    told("10,000 full re-fits", seconds(null_draws(panel, redrawn, "poisson"), repeats=1), 10)
    divisions, orders = wedge()
    sampled = orders[np.random.default_rng(2).integers(len(orders), size=DRAWS)]
    some = redraw_array(divisions, sampled, exact=False)
    told("10,000 full re-fits, 9 divisions × 24 months", seconds(null_draws(divisions, some, "poisson")), 0.5)
    for statistic in ("score", "poisson"):
        exact = seconds(
            lambda statistic=statistic: randomization_test(
                divisions, "force", allocation=orders, draws="exact", statistic=statistic
            ),
            repeats=1,
        )
        told(f"exact test over all 9! orders, {statistic}", exact, 10)


if __name__ == "__main__":
    main()
