"""What treatment adds to the log rate of each cell at every draw, in models whose effect has a course."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows, count_rows
from rct.bayesian.fading_effect import rows_since_training, window
from rct.bayesian.monotone_dose import rows_by_dose
from rct.prior_words import LINK_BEND

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from rct.panel import Panel
    from rct.posterior import Posterior

Floats = NDArray[np.float64]
PREPARE = {"fading": rows_since_training, "dose": rows_by_dose}
# Columns that these models add to the rows, on which the change of a cell rests.
COURSE = ("since", "level")


def fitted_rows(posterior: "Posterior", panel: "Panel", outcome: str) -> "pd.DataFrame":
    """Give the rows of one outcome as the model saw them."""
    prepared = _prepared(posterior, panel)
    return prepared.rows[outcome] if prepared else panel.rows(outcome)


def _prepared(posterior: "Posterior", panel: "Panel") -> CountRows | None:
    if posterior.model not in PREPARE:
        return None
    refresher = posterior.meta[posterior.outcomes[0]].get("refresher")
    return PREPARE[posterior.model](count_rows(panel, list(posterior.outcomes), refresher))


def log_change(posterior: "Posterior", panel: "Panel", draws: Any, cells: "pd.DataFrame") -> Floats:
    """Give the change of the log rate that treatment makes, (draws, cells).

    Parameters
    ----------
    draws
        Of one outcome, along the dimension sample.
    cells
        arm, treated (the dose) and what the model added.
    """
    change = np.zeros((draws.sizes["sample"], len(cells)))
    if posterior.model == "agencies" and not posterior.priors["effect"]:
        return change  # the periods hold what all agencies have in common
    for arm in posterior.arms:
        effect = draws["effect"].sel(arm=arm) if "arm" in draws["effect"].dims else draws["effect"]
        change += effect.to_numpy()[:, None] * np.where(cells["arm"] == arm, cells["treated"], 0.0)
    if posterior.model == "dose":
        share = np.pad(draws["dose_share"].to_numpy().cumsum(axis=1), ((0, 0), (1, 0)))
        return draws["effect"].to_numpy()[:, None] * share[:, cells["level"].to_numpy()]
    if posterior.model == "fading":
        fading = draws["fading"].to_numpy()[:, None]
        periods = np.arange(window(_prepared(posterior, panel)))  # type: ignore[arg-type]
        change *= np.exp(-fading * cells["since"].to_numpy()) / np.exp(-fading * periods).mean(
            axis=1, keepdims=True
        )
    return change


def mean_ratio_while_fading(posterior: "Posterior", panel: "Panel", draws: "xr.Dataset") -> "xr.DataArray":
    """Give the mean rate ratio of the periods whose mean log rate ratio is the effect of "fading"."""
    import xarray as xr

    periods = xr.DataArray(np.arange(window(_prepared(posterior, panel))), dims="since")  # type: ignore[arg-type]
    course: Any = np.exp(-draws["fading"] * periods)
    ratio: Any = np.exp(draws["effect"] * course / course.mean("since"))
    found: xr.DataArray = ratio.mean("since").transpose(*draws["effect"].dims)
    return found


def log_probability(nu: Floats) -> Floats:
    """Give the log probability of injury given force, the bent logarithm of the model "joint"."""
    found: Floats = -np.logaddexp(0, -LINK_BEND * nu) / LINK_BEND
    return found
