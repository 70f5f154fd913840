"""The rows of a panel that an allocation determines: measured units × periods with their assignment."""

from typing import TYPE_CHECKING

from rct.errors import AllocationError
from rct.schedule import period_labels

if TYPE_CHECKING:
    import pandas as pd

    from rct.randomization.allocation import Allocation


def assigned_rows(allocation: "Allocation") -> "pd.DataFrame":
    """Give one row per measured unit and period, sorted, with the columns that every panel has.

    What was received is taken to be what was assigned, exposure to be one period.

    Raises
    ------
    AllocationError
        For a trial of shifts, whose cells have one row each.
    """
    import numpy as np
    import pandas as pd

    trial = allocation.trial
    if trial.schedule.kind == "shifts":
        raise AllocationError(
            "a trial of shifts has no rows by period: each cell is one row; count its incidents with "
            "rct.randomization.cells_of and make the panel with Panel.from_frame"
        )
    roster = allocation.roster[list(dict.fromkeys([trial.units.id, trial.units.randomize]))]
    units = pd.DataFrame({"unit": roster[trial.units.id], "randomized": roster[trial.units.randomize]})
    units = units.merge(
        allocation.frame.rename(columns={"unit": "randomized"})[
            ["randomized", "block", "sequence", "starts", "probability"]
        ],
        on="randomized",
        validate="many_to_one",
    ).sort_values("unit", ignore_index=True)
    periods = trial.schedule.periods
    labels = period_labels(periods, trial.schedule.start, trial.schedule.period)
    calendar = pd.DataFrame({"period": np.arange(1, periods + 1), "period_label": labels})
    rows = units.merge(calendar, how="cross").merge(
        allocation.sequences.rename(columns={"dose": "treated"}),
        on=["sequence", "period"],
        validate="many_to_one",
    )
    rows = rows.assign(cluster=rows["randomized"], received=rows["treated"], exposure=1.0)
    columns = [
        "unit", "period", "period_label", "randomized", "cluster", "sequence", "arm", "starts", "treated",
        "received", "exposure", "block", "probability",
    ]  # fmt: skip
    return rows[columns].sort_values(["unit", "period"], ignore_index=True)
