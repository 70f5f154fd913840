"""From replicates to what a planner asks: power, bias, coverage, and what significance would exaggerate."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

GROUP = ["analysis", "outcome", "arm", "effect"]


def diagnose(replicates: "pd.DataFrame", alpha: float) -> "pd.DataFrame":
    """Summarize replicates by analysis, outcome, arm and true effect.

    Parameters
    ----------
    replicates : pandas.DataFrame
        One row per replicate and estimate: analysis, outcome, arm, effect (true incidence rate ratio),
        truth (the estimand's true value on the estimate's scale), estimate, covered, excludes_null, p_value,
        and null_p_value (of the same analysis in the same replicate without an effect) where it was computed.
    alpha : float
        Two-sided significance level.

    Returns
    -------
    pandas.DataFrame
        `power` is the share of p ≤ alpha, `mc_error` its Monte-Carlo standard error, `false_positive` the
        share of p ≤ alpha without an effect (of analyses that are run in batches; for others simulate effects
        of 1), `bias` the mean of estimate − truth, `coverage` the share of intervals that hold the truth,
        `excludes_null` the share that exclude no effect (less than the power where the
        p-value is a randomization test's and the interval is not its inversion), `type_s` the share of
        significant estimates with the wrong sign and `type_m` the mean factor by which significant estimates
        exaggerate (Gelman & Carlin 2014); these two are missing without an effect or a significant estimate.
        `failed` counts replicates without an estimate: a randomization test needs none, any other analysis
        did not find the effect there.
    """
    import numpy as np

    found = replicates.assign(
        significant=replicates["p_value"].le(alpha),
        failed=replicates["estimate"].isna(),
        error=replicates["estimate"] - replicates["truth"],
        false=_false(replicates, alpha),
    )
    groups = found.groupby(GROUP, sort=False)
    frame = groups.agg(
        power=("significant", "mean"),
        false_positive=("false", "mean"),
        bias=("error", "mean"),
        coverage=("covered", "mean"),
        excludes_null=("excludes_null", "mean"),
        failed=("failed", "sum"),
        sims=("replicate", "size"),
    )
    frame.insert(1, "mc_error", monte_carlo_error(frame["power"], frame["sims"]))
    hits = found.loc[found["significant"] & found["truth"].ne(0) & found["estimate"].notna()]
    wrong = np.sign(hits["estimate"]) != np.sign(hits["truth"])
    factor = (hits["estimate"] / hits["truth"]).abs()
    by_group = hits.assign(wrong=wrong, factor=factor).groupby(GROUP, sort=False)
    frame["type_s"] = by_group["wrong"].mean().reindex(frame.index).astype(float)
    frame["type_m"] = by_group["factor"].mean().reindex(frame.index).astype(float)
    order = [
        "outcome",
        "analysis",
        "arm",
        "effect",
        "power",
        "mc_error",
        "bias",
        "coverage",
        "type_s",
        "type_m",
    ]
    rows = frame.reset_index()[[*order, "false_positive", "excludes_null", "sims", "failed"]]
    outcomes = list(dict.fromkeys(rows["outcome"]))
    return rows.sort_values(
        "outcome", key=lambda name: name.map(outcomes.index), kind="stable", ignore_index=True
    )


def _false(replicates: "pd.DataFrame", alpha: float) -> "pd.Series | float":
    if "null_p_value" not in replicates:
        return float("nan")
    null = replicates["null_p_value"].astype(float)
    return null.le(alpha).astype(float).where(null.notna())


def monte_carlo_error(power: "npt.ArrayLike", sims: "npt.ArrayLike") -> "npt.NDArray[np.float64]":
    """Give the standard error of a share of simulations.

    Where all or none of n found the effect, that of (x + ½)/(n + 1): no simulated share is without error.
    """
    import numpy as np

    share, number = np.asarray(power, dtype=float), np.asarray(sims, dtype=float)
    inside = np.where((share > 0) & (share < 1), share, (number * share + 0.5) / (number + 1))
    return np.asarray(np.sqrt(inside * (1 - inside) / number))
