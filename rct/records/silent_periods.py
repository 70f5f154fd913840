"""Periods of which there is no record: whether that is quiet, or an export that ends too early."""

from itertools import groupby
from typing import TYPE_CHECKING

from rct.errors import DataError
from rct.identifiers import listed
from rct.records.placing import Placement
from rct.records.problem_list import ProblemList

if TYPE_CHECKING:
    import pandas as pd

CHANCE = 0.001
ZEROS = "Every count would be 0, as if there had been no incident at all."


def require_some_incident(placement: Placement, rows: "pd.DataFrame", problems: ProblemList) -> None:
    """Refuse records of which no incident enters a row of the panel.

    Raises
    ------
    DataError
        With the files that are empty, or the first thing that kept an incident out.
    """
    records, involved = placement.records, placement.involved
    if involved["key"].isin(records.loc[records["period"] > 0, "key"]).any():
        return
    if records.empty:
        files = listed(sorted({problem["file"] for problem in problems.found if problem["file"]}))
        raise DataError(f"{files}: there is no record in it. {ZEROS} Export the records again.")
    labels = rows["period_label"]
    first = next((problem for problem in problems.found if problem["row"]), None)
    why = f" The first: {first['file']}, row {first['row']}: {first['problem']}." if first else ""
    raise DataError(
        f"{listed(sorted(set(records['file'])))}: none of its {records['key'].nunique():,} incidents is of a "
        f"unit on the roster and of the schedule, {labels.iloc[0]} to {labels.iloc[-1]}.{why} {ZEROS} "
        "Give the records of these periods."
    )


def note_silent_periods(placement: Placement, rows: "pd.DataFrame", problems: ProblemList) -> None:
    """Note stretches of periods without any record that chance would hardly leave.

    Were n incidents spread evenly over P periods, some given k of them would all be without one with
    probability (1 - k/P)^n, and any of at most P such stretches with at most P times that.
    """
    exposed = rows.loc[rows["exposure"] > 0].drop_duplicates("period").sort_values("period")
    of_incidents = placement.records.drop_duplicates("key")["period"]
    of_incidents = of_incidents[of_incidents > 0]
    recorded = zip(exposed["period"].isin(of_incidents), exposed["period_label"], strict=True)
    for silent, stretch in groupby(recorded, lambda period: not period[0]):
        labels = [label for _, label in stretch]
        periods, length = len(exposed), len(labels)
        if silent and periods * (1 - length / periods) ** len(of_incidents) < CHANCE:
            span = labels[0] if length == 1 else f"{labels[0]} to {labels[-1]}"
            problems.add(
                f"no record in the period {span}: did the export leave it out?",
                done="counted as 0; give its records, or an exposure of 0",
                file="incidents",
            )
