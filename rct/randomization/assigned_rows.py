"""The rows of a panel that an allocation determines: measured units × periods with their assignment."""

import hashlib
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rct.identifiers import join
from rct.schedule import period_labels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.randomization.allocation import Allocation
    from rct.trial import Trial


def assigned_rows(allocation: "Allocation") -> "pd.DataFrame":
    """Give one row per measured unit and period, sorted, with the columns that every panel has.

    What was received is taken to be what was assigned, exposure to be one period. In a trial of shifts the
    cell is the unit, and its shift the only period.
    """
    import numpy as np
    import pandas as pd

    trial = allocation.trial
    roster = allocation.roster[list(dict.fromkeys([trial.units.id, trial.units.randomize]))]
    units = pd.DataFrame({"unit": roster[trial.units.id], "randomized": roster[trial.units.randomize]})
    units = units.merge(
        allocation.frame.rename(columns={"unit": "randomized"})[
            ["randomized", "block", "sequence", "starts", "probability"]
        ],
        on="randomized",
        validate="many_to_one",
    ).sort_values("unit", ignore_index=True)
    periods = int(allocation.sequences["period"].max())
    cells = trial.schedule.kind == "shifts"
    labels = ["1"] if cells else period_labels(periods, trial.schedule.start, trial.schedule.period)
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


def moved_rows(
    rows: "pd.DataFrame", allocation: "Allocation", place: "npt.NDArray[np.integer]"
) -> "pd.DataFrame":
    """Give the rows of measured units the assignment of the randomized unit in which they are in each period.

    Parameters
    ----------
    rows
        Of `assigned_rows`.
    place : shape (measured units, periods)
        Number of that randomized unit, in the order of the allocation's frame.
    """
    at = place.ravel()
    of_unit = allocation.frame[["unit", "block", "sequence", "starts", "probability"]].iloc[at]
    given = allocation.sequences.set_index(["sequence", "period"])[["arm", "dose"]]
    now = given.loc[list(zip(of_unit["sequence"], rows["period"], strict=True))]
    found = {name: of_unit[name].to_numpy() for name in ("block", "sequence", "starts", "probability")}
    unit = of_unit["unit"].to_numpy()
    return rows.assign(
        randomized=unit, cluster=unit, arm=now["arm"].to_numpy(), treated=now["dose"].to_numpy(), **found
    )


def with_covariates(rows: "pd.DataFrame", allocation: "Allocation") -> "pd.DataFrame":
    """Add the roster's columns that the trial names under `analysis.covariates`, the same in every period.

    A column whose every value reads as a number becomes one; any other stays text.

    Raises
    ------
    TrialError
        For a covariate that the roster does not have.
    """
    import pandas as pd

    trial, roster = allocation.trial, allocation.roster
    for name in trial.analysis.covariates:
        if name not in roster:
            near = get_close_matches(name, map(str, roster.columns), n=1)
            advice = f'did you mean "{near[0]}"?' if near else f"it has {', '.join(map(str, roster.columns))}"
            message = f'analysis.covariates: the roster has no column "{name}"; {advice}'
            raise trial.error(("analysis", "covariates"), message)
        of_unit = roster.set_index(trial.units.id)[name]
        number = pd.to_numeric(of_unit, errors="coerce")
        rows[name] = rows["unit"].map(number if number.notna().all() else of_unit)
    return rows


def panel_meta(trial: "Trial", allocation: "Allocation") -> dict[str, object]:
    """Say what a panel was made from, so that it is not joined with another trial or allocation."""
    return {
        "control": trial.arms.control,
        "transition": trial.schedule.transition,
        "trial_hash": trial.hash,
        "design_hash": trial.design_hash,
        "counting_hash": trial.counting_hash,
        "assignment_hash": assignment_hash(allocation),
    }


def assignment_hash(allocation: "Allocation") -> str:
    """SHA-256 of who follows which sequence, in lower-case hexadecimal."""
    pairs = allocation.frame[["unit", "sequence"]].itertuples(index=False)
    parts = (part for unit, sequence in pairs for part in (unit, str(sequence)))
    return hashlib.sha256(join(allocation.trial.design_hash, *parts)).hexdigest()
