"""Power over a family of outcomes, after the adjustment that the trial declares."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rct.frequentist.inference.multiplicity import p_of_every_draw, step_down

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.power.replicates import Replicates


def family_power(
    replicates: "pd.DataFrame", analysis: str, alpha: float, *, adjusted: bool
) -> "pd.DataFrame":
    """Say how often one analysis detects any, all and each of the outcomes.

    Parameters
    ----------
    replicates : pandas.DataFrame
        As for `rct.power.diagnosands.diagnose`; the outcomes of one replicate are one family, arm by arm.
    analysis : str
        Name of the analysis, the primary one.
    alpha : float
        Family-wise level.
    adjusted : bool
        Whether p-values are adjusted over the outcomes: as they were in each replicate where there are
        columns p_adjusted and null_p_adjusted (Westfall & Young 1993), else by Holm (1979).

    Returns
    -------
    pandas.DataFrame
        One row per arm and `detected` ("any", "all", then each outcome): power, mc_error, and false_positive:
        the same share in a world without any effect, which for "any" is the family-wise error rate.
    """
    import numpy as np
    import pandas as pd

    own = replicates[replicates["analysis"] == analysis]
    rows = []
    for arm, of_arm in own.groupby("arm", sort=False):
        found, false = (
            _rejected(of_arm, column, alpha, adjusted=adjusted) for column in ("p_value", "null_p_value")
        )
        names = ["any", "all", *of_arm["outcome"].unique()]
        for name in names:
            power, error = _share(found, name), _share(false, name)
            error = error if of_arm["null_p_value"].notna().any() else float("nan")
            sims = len(found)
            rows.append((arm, name, power, float(np.sqrt(power * (1 - power) / sims)), error, sims))
    columns = ["arm", "detected", "power", "mc_error", "false_positive", "sims"]
    return pd.DataFrame(rows, columns=columns)


def _share(rejected: "pd.DataFrame", detected: str) -> float:
    if detected == "any":
        return float(rejected.any(axis=1).mean())
    return float(rejected.all(axis=1).mean() if detected == "all" else rejected[detected].mean())


def _rejected(rows: "pd.DataFrame", column: str, alpha: float, *, adjusted: bool) -> "pd.DataFrame":
    import pandas as pd

    # An analysis with several rows an outcome (an event study) is represented by its first row.
    once = rows.drop_duplicates(["replicate", "outcome"])
    own = column.replace("p_value", "p_adjusted")
    known = adjusted and own in once and bool(once[own].notna().any())
    wide = once.pivot(index="replicate", columns="outcome", values=own if known else column)
    p_values = wide.fillna(1.0).to_numpy()
    decided = holm(p_values) if adjusted and not known else p_values
    return pd.DataFrame(decided <= alpha, index=wide.index, columns=wide.columns)


def holm(p_values: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    """Adjust p-values (families, members) by Holm's step-down method, family by family."""
    import numpy as np

    order = np.argsort(p_values, axis=1, kind="stable")
    members = p_values.shape[1]
    stepped = np.take_along_axis(p_values, order, axis=1) * np.arange(members, 0, -1)
    monotone = np.minimum(np.maximum.accumulate(stepped, axis=1), 1.0)
    adjusted = np.empty_like(monotone)
    np.put_along_axis(adjusted, order, monotone, axis=1)
    return adjusted


def westfall_young(outcomes: "Sequence[Replicates]", *, unit_effects: bool) -> "npt.NDArray[np.float64]":
    """Adjust the randomization p-values of all outcomes, replicate by replicate: (outcomes, replicates).

    As `rct.frequentist.adjust` would: all outcomes are tested against the same redraws.
    """
    import numpy as np

    p_values = np.stack([one.p_values(unit_effects=unit_effects) for one in outcomes])
    scores = [one.scores(unit_effects=unit_effects) for one in outcomes]
    adjusted = np.empty_like(p_values)
    for replicate in range(p_values.shape[1]):
        drawn = [
            p_of_every_draw(statistic[replicate], null[replicate], exact=one.exact)
            for one, (statistic, null) in zip(outcomes, scores, strict=True)
        ]
        adjusted[:, replicate] = step_down(p_values[:, replicate], np.stack(drawn))
    return adjusted
