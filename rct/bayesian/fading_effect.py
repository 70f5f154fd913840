"""The marginal model with an effect that fades with the time since training, and that refreshers restore.

The change of the log rate in the s-th period since the last training (s = 0 in the first) is

    effect x dose x exp(-fading s) / mean over s < 12 of exp(-fading s) ,

so that ``effect`` is the mean log rate ratio of the first twelve periods, which data tell much better than
the start, and its prior is that of every model. ``fading`` is the share lost per period, log 2 / half-life.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows
from rct.bayesian.log_rate import log_rate, outcome_totals
from rct.bayesian.marginal_poisson import MARGINAL, add_likelihood
from rct.bayesian.model_inputs import Inputs, numbers
from rct.bayesian.priors import Priors

if TYPE_CHECKING:
    import pandas as pd

WINDOW = 12


def rows_since_training(rows: CountRows) -> CountRows:
    """Add the column ``since``, the periods since the last training."""
    timed = {name: one.assign(since=periods_since_training(one)) for name, one in rows.rows.items()}
    return replace(rows, rows=timed)


def periods_since_training(rows: "pd.DataFrame") -> NDArray[np.float64]:
    """Count the periods since training began or, where there is one, since the last refresher.

    Parameters
    ----------
    rows
        unit, randomized, period, starts, treated (the dose) and perhaps ``refreshed``, 1 in a period of a
        refresher. Training began when it did for the randomized unit, whether the unit was there or not; one
        that is treated in the panel's first period counts from there.
    """
    place = ["randomized", "period"]
    course = rows.drop_duplicates(place).sort_values(place)[[*place, "starts", "treated"]]
    on, whose = course["treated"] > 0, course["randomized"]
    begins = on & ~on.groupby(whose).shift(fill_value=False)
    first = begins & (begins.groupby(whose).cumsum() == 1)
    began = course["period"].where(~first, course["starts"]).where(begins).groupby(whose).ffill()
    last: Any = rows[place].merge(course[place].assign(began=began), on=place)["began"].set_axis(rows.index)
    if "refreshed" in rows:
        again = rows["period"].where((rows["treated"] > 0) & (rows["refreshed"] > 0))
        in_time = rows.sort_values(["unit", "period"]).index
        last = np.fmax(
            last, again.loc[in_time].groupby(rows["unit"].loc[in_time]).ffill().reindex(rows.index)
        )
    return (rows["period"] - last).where(rows["treated"] > 0, 0.0).to_numpy(float)


def fading_tables(rows: CountRows, priors: Priors) -> Mapping[str, NDArray]:
    """Add up the rows, the time since training among the marks."""
    return outcome_totals(rows, priors, extra=("since",)).tables | {"window": np.arange(float(window(rows)))}


def window(rows: CountRows) -> int:
    """Give the number of periods over which the effect is averaged: twelve, or as many as were observed."""
    longest = max(one.loc[one["treated"] > 0, "since"].max() for one in rows.rows.values())
    return int(min(WINDOW, longest + 1))


def build_fading(inputs: Inputs) -> None:
    """Declare the terms and add the likelihood."""
    import pymc as pm

    shape, rate = numbers(inputs, "fading")  # type: ignore[misc]
    variable = pm.Gamma("fading", alpha=shape, beta=rate, dims=inputs.outer or None)
    pm.Deterministic("half_life", np.log(2) / variable, dims=inputs.outer or None)
    fading = inputs.by_outcome(variable)[:, None, None]
    mean = pm.math.exp(-fading * inputs.tables["window"]).mean(axis=2, keepdims=True)
    course = pm.math.exp(-fading * inputs.tables["since"]) / mean

    def change(arm: int, effect: Any) -> Any:
        return effect * inputs.tables[f"dose_{arm}"] * course

    add_likelihood(inputs, log_rate(inputs, change))


def first_periods(rows: CountRows) -> str:
    """Name the estimand."""
    return f"ITT incidence rate ratio, mean over periods 1–{window(rows)} in training"


FADING = replace(
    MARGINAL,
    words="the marginal model with an effect that fades since training; refreshers restore it",
    terms=(*MARGINAL.terms, "fading"),
    tables=fading_tables,
    build=build_fading,
    judged=(*MARGINAL.judged, "fading"),
    kept=(*MARGINAL.kept, "fading", "half_life"),
    prepare=rows_since_training,
    estimand=first_periods,
)
