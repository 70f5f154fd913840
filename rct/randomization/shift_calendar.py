"""Shifts over a calendar: the cells day × shift × district, and the cell of an incident."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rct.errors import AllocationError, DataError
from rct.identifiers import listed
from rct.schedule_checks import CELL_COLUMNS

if TYPE_CHECKING:
    import numpy.typing as npt

    from rct.trial_tables import Design, Schedule

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def shift_cells(design: "Design") -> pd.DataFrame:
    """Make the roster of a trial of shifts: one row for each day, shift and district.

    Returns
    -------
    pandas.DataFrame
        Text columns: the id under the name ``units.id`` ("2026-01-05 07:00 North"), ``date``, ``shift`` (its
        start), ``district`` ("" where there is one), ``weekday``, ``week`` (number of seven days from the
        start), ``month`` ("2026-01") and ``couple`` (number of two days from the start, by which to
        block where no arm is to last long). In the order of the ids.

    Raises
    ------
    AllocationError
        When the schedule is not one of shifts.
    """
    schedule = _of_shifts(design.schedule)
    assert schedule.start is not None
    days = [schedule.start + timedelta(days=day) for day in range(schedule.periods)]
    rows = [
        (
            *(cell_name(when, shift, district), when.isoformat(), shift, district),
            *(WEEKDAYS[when.weekday()], str(day // 7 + 1), f"{when:%Y-%m}", str(day // 2 + 1)),
        )
        for day, when in enumerate(days)
        for shift in schedule.shifts
        for district in schedule.districts or ("",)
    ]
    cells = pd.DataFrame(rows, columns=[design.units.id, *CELL_COLUMNS], dtype="str")
    return cells.sort_values(design.units.id, ignore_index=True)


def cell_name(day: date, shift: str, district: str) -> str:
    """Name a cell: the day on which its shift begins, the shift, the district where there are several."""
    return f"{day.isoformat()} {shift} {district}".rstrip()


def cells_of(
    schedule: "Schedule",
    dates: "npt.ArrayLike",
    *,
    times: Sequence[str],
    districts: Sequence[str] | None = None,
) -> list[str]:
    """Find the cell of each incident: the shift that was on duty, also after midnight.

    Parameters
    ----------
    dates
        Local calendar dates, anything NumPy reads as ``datetime64``.
    times
        Local times of day, "02:15" or "02:15:00".
    districts
        District of each incident; needed where the schedule names districts.

    Returns
    -------
    list of str
        Names of cells; "" where the day of the shift is outside the schedule, the district unknown, or date
        or time is missing.

    Raises
    ------
    DataError
        When districts are needed and not given, or a time cannot be read.
    """
    schedule = _of_shifts(schedule)
    if schedule.districts and districts is None:
        raise DataError("the schedule names districts; give the district of each incident")
    odd = sorted({time for time in times if time and _minutes(time) < 0})
    if odd:
        raise DataError(f"times of day cannot be read: {listed(odd)}; write 02:15")
    days, shifts = _on_duty(schedule, dates, times)
    where = list(districts) if schedule.districts and districts is not None else [""] * len(days)
    known = set(schedule.districts) or {""}
    first = schedule.start or date.min
    return [
        cell_name(first + timedelta(days=day), schedule.shifts[shift], district)
        if day >= 0 and district in known
        else ""
        for day, shift, district in zip(days, shifts, where, strict=True)
    ]


def _on_duty(
    schedule: "Schedule", dates: "npt.ArrayLike", times: Sequence[str]
) -> tuple[list[int], list[int]]:
    """Give the day on which the shift on duty began, from 0, -1 for none, and the number of the shift."""
    days = np.asarray(dates).astype("datetime64[D]")
    starts = np.array([_minutes(shift) for shift in schedule.shifts])
    minutes = np.array([_minutes(time) for time in times], dtype=np.int64)
    shift = np.searchsorted(starts, minutes, side="right") - 1
    since = np.datetime64(schedule.start, "D")
    # Before the day's first shift the last one of the evening before is still on duty.
    number = np.where(np.isnat(days), -1, (days - (shift < 0) - since).astype("int64"))
    inside = (number >= 0) & (number < schedule.periods) & (minutes >= 0)
    return np.where(inside, number, -1).tolist(), shift.tolist()


def require_cells(design: "Design", ids: Sequence[str]) -> None:
    """Refuse a roster that is not the calendar of its trial of shifts.

    Raises
    ------
    AllocationError
        Naming the cells that lack or do not belong.
    """
    for problem in calendar_problems(design, ids):
        raise AllocationError(f"{problem}; make it with rct.randomization.shift_cells(trial)")


def calendar_problems(design: "Design", ids: Sequence[str]) -> Iterator[str]:
    """Say in what the cells of a roster are not those of the schedule."""
    if design.schedule.kind != "shifts":
        return
    cells = set(shift_cells(design)[design.units.id])
    lacking, foreign = sorted(cells - set(ids)), sorted(set(ids) - cells)
    if lacking or foreign:
        yield (
            f"the roster is not the calendar of the schedule: {len(lacking)} cells lack "
            f"({listed(lacking[:3])}), {len(foreign)} do not belong ({listed(foreign[:3])})"
        )


def _of_shifts(schedule: "Schedule") -> "Schedule":
    if schedule.kind != "shifts":
        raise AllocationError(f"cells belong to a schedule of shifts, not to a {schedule.kind} one")
    return schedule


def _minutes(text: str) -> int:
    """Give the minutes since midnight of a time of day; -1 for a missing or unreadable one."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(part.isdigit() and len(part) <= 2 for part in parts):
        return -1
    hour, minute = int(parts[0]), int(parts[1])
    return hour * 60 + minute if hour < 24 and minute < 60 else -1
