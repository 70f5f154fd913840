"""What a two-way fixed-effects estimate averages: some effects enter with negative weight.

To first order the Poisson estimate of one constant effect is a weighted sum of the log effects of every
cohort and period, with weights proportional to fitted count × residual of treatment on unit and period
effects (for the linear model de Chaisemartin & D'Haultfoeuille 2020, theorem 1, for any course of treatment).
Where units are trained one after the other the early cohorts serve as comparison of the later ones although
they are treated, and their late effects count negatively.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.collapsed_cells import collapse
from rct.frequentist.fixed_effects_likelihood import fit_fixed_effects, less_explained
from rct.frequentist.model_sample import model_sample

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel


def two_way_weights(panel: Panel, outcome: str) -> pd.DataFrame:
    """Show which effects the constant ratio of `poisson` with unit and period effects is made of.

    Parameters
    ----------
    panel : Panel
        One treatment arm; it may switch off and on again.
    outcome : str

    Returns
    -------
    pandas.DataFrame
        One row for each treated cohort and period: starts, period, exposure_time (treated periods so far, 1
        in the first), weight. Weights add up to one; a negative one means that an effect there moves the
        estimate the other way.

    Raises
    ------
    EstimationError
        Several arms, or treatment that the effects explain.
    """
    import pandas as pd

    panel.require_counts(outcome, asked_by="a Poisson model")
    model = model_sample(panel, outcome, ("unit", "period"), (), "constant", None)
    if len(model.terms) != 1:
        raise EstimationError("weights are of one treatment arm; leave out the other arms' units")
    summed = collapse(model.sample.rows)
    cells, dose = summed.cells, summed.cells.design[:, 0]
    fit = fit_fixed_effects(replace(cells, design=np.empty((len(dose), 0))))
    pull = fit.fitted * less_explained(dose, cells.group, fit) * dose
    if not pull.sum() > 1e-9 * (fit.fitted * dose**2).sum():
        raise EstimationError("treatment is explained by unit and period effects, so it has no weights")
    example = model.rows.loc[model.sample.kept].iloc[summed.example]
    frame = pd.DataFrame(
        {
            "starts": example["starts"].to_numpy(),
            "period": example["period"].to_numpy(),
            "exposure_time": _treated_periods(panel, example),
            "weight": pull / pull.sum(),
        }
    ).loc[dose > 0]
    return frame.groupby(["starts", "period", "exposure_time"])[["weight"]].sum().reset_index()


def _treated_periods(panel: Panel, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Count the treated periods of each row's sequence until then: those since its start that are not off."""
    import pandas as pd

    courses, starts = panel.sequences, rows.drop_duplicates("sequence").set_index("sequence")["starts"]
    off = (courses["dose"] == 0) & (courses["period"] > courses["sequence"].map(starts))
    paused = (
        off.groupby(courses["sequence"]).cumsum().set_axis(courses.set_index(["sequence", "period"]).index)
    )
    since = (rows["period"] - rows["starts"] + 1).to_numpy()
    return np.asarray(
        since - paused.reindex(pd.MultiIndex.from_frame(rows[["sequence", "period"]])).to_numpy()
    )
