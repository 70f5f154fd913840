"""Where an incident belongs in a trial of shifts: the cell of its date, its time and its district."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rct.errors import DataError
from rct.randomization.shift_calendar import cells_of
from rct.records.incident_dates import parse_dates, refuse_exchanged
from rct.records.incident_times import parse_times
from rct.records.placing import Placement, mean_officers, note_disagreement, note_repeats, with_keys
from rct.records.problem_list import ProblemList

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial_tables import Schedule

NOT_COUNTED = "incident not counted"
EXAMPLES = 3


def place_in_cells(
    records: "pd.DataFrame", *, schedule: "Schedule", formats: Sequence[str], problems: ProblemList
) -> Placement:
    """Place incidents: each belongs to the shift on duty at the date, time and district of its first row.

    Parameters
    ----------
    records
        One row per report, in the order of the files: file, row, repeats, incident, officer, date, time,
        unit (the district).

    Raises
    ------
    DataError
        When no incident falls into a cell: dates, times or districts are then written otherwise.
    """
    keyed = with_keys(records, problems)
    first = ~keyed["key"].duplicated()
    dates = parse_dates(keyed["date"], formats)
    refuse_exchanged(keyed, dates, formats)
    times = parse_times(keyed["time"])
    note_disagreement(keyed, first, dates, problems)
    note_repeats(keyed, problems)
    districts = keyed["unit"].fillna("").tolist()
    cells = cells_of(schedule, dates.to_numpy(), times=times, districts=districts)
    known = keyed["unit"].isin(schedule.districts) if schedule.districts else first | ~first
    _note_lost(keyed[first], dates[first], times, cells, known, problems)
    of_incident = {key: cell for key, cell, one in zip(keyed["key"], cells, first, strict=True) if one}
    cell = keyed["key"].map(of_incident)
    if len(keyed) and not cell.any():
        seen = keyed[first].head(EXAMPLES)[["date", "time", "unit"]].fillna("blank")
        shown = "; ".join(", ".join(row) for row in seen.itertuples(index=False))
        raise DataError(
            f"none of {first.sum():,} incidents falls into a cell of the schedule of {schedule.periods} days "
            f"from {schedule.start}; the first are (date, time, district) {shown}. "
            "Look at records.date, records.date_format, records.time and records.district"
        )
    placed = keyed.assign(unit=cell.where(cell != "", None), period=(cell != "").astype("int64"))
    involved = placed.loc[first & (cell != ""), ["key", "unit"]].assign(rank=0, share=1.0)
    return Placement(placed, involved.reset_index(drop=True), mean_officers(keyed))


def _note_lost(
    firsts: "pd.DataFrame",
    dates: "pd.Series",
    times: Sequence[str],
    cells: Sequence[str],
    known: "pd.Series",
    problems: ProblemList,
) -> None:
    """Say of each incident without a cell why it has none: the first of the causes."""
    import pandas as pd

    time = pd.Series(times, index=known.index)[firsts.index]
    lost = pd.Series(cells, index=known.index)[firsts.index] == ""
    written = {name: firsts[name].fillna("") for name in ("date", "time", "unit")}
    causes = {
        "date": (dates.isna(), "date {} cannot be read"),
        "time": (time == "", "time {} cannot be read"),
        "unit": (~known[firsts.index], "district {} is not in the schedule"),
        "outside": (lost, "date {} is outside the schedule"),
    }
    for name, (holds, text) in causes.items():
        here = lost & holds
        said = [
            text.format(value) if value else f"blank {'district' if name == 'unit' else name}"
            for value in written[name if name in written else "date"][here]
        ]
        problems.add_records(firsts[here], pd.Series(said, dtype=object), done=NOT_COUNTED)
        lost = lost & ~here
