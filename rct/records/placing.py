"""Where an incident belongs: the period and the measured units whose rows it may enter."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.errors import DataError
from rct.identifiers import listed
from rct.records.incident_dates import parse_dates, refuse_exchanged
from rct.records.problem_list import ProblemList
from rct.schedule import period_of

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial_tables import Schedule

EXAMPLES = 3


@dataclass(frozen=True)
class Placement:
    """Incidents in place.

    Attributes
    ----------
    records
        One row per report: ``key`` (incident), ``unit`` (the measured unit of this row; None where unknown),
        ``period`` (of the incident; 0 where it has none).
    involved
        One row per incident and measured unit it may enter, in the order listed: ``key``, ``unit``, ``rank``
        (0 = first), ``share`` (one over the units involved, unknown ones too).
    officers_per_incident
        Size-weighted mean number of officers of an incident: how many the officer of a random report meets,
        himself included. None where the records name no officers.
    """

    records: "pd.DataFrame"
    involved: "pd.DataFrame"
    officers_per_incident: float | None


def place(
    records: "pd.DataFrame",
    *,
    schedule: "Schedule",
    formats: Sequence[str],
    units: Collection[str],
    by_officer: bool,
    problems: ProblemList,
) -> Placement:
    """Place incidents: each belongs to the date (and the division) of its first row.

    Parameters
    ----------
    records
        One row per report, in the order of the files: file, row, repeats, incident, officer,
        unit, date.
    units
        The measured units of the allocation.
    by_officer
        Whether officers are measured, so that an incident may enter several rows.
    """
    keyed = with_keys(records, problems)
    first = ~keyed["key"].duplicated()
    keyed = keyed.assign(period=_periods(keyed, first, schedule, formats, problems))
    note_repeats(keyed, problems)
    whose = "officer" if by_officer else "unit"
    known = keyed[whose].isin(list(units))
    named = keyed if by_officer else keyed[first]
    _require_some_known(named, whose, known, units)
    _note_unknown(named, whose, known, units, problems)
    placed = keyed.assign(unit=keyed[whose].where(known, None))
    source = placed if by_officer else placed[first]
    columns = list(dict.fromkeys(["key", whose, "unit"]))
    distinct = source.loc[source[whose].notna(), columns].drop_duplicates(["key", whose])
    distinct = distinct.assign(share=1 / distinct.groupby("key")["key"].transform("size"))
    involved = distinct[distinct["unit"].notna()]
    involved = involved.assign(rank=involved.groupby("key").cumcount())[["key", "unit", "rank", "share"]]
    return Placement(placed, involved.reset_index(drop=True), mean_officers(keyed))


def with_keys(records: "pd.DataFrame", problems: ProblemList) -> "pd.DataFrame":
    """Add the key of the incident of each record; one with a blank id is an incident of its own."""
    blank = records["incident"].isna()
    problems.add_records(records[blank], "blank incident id", done="counted as an incident of its own")
    # No agency's id begins with a NUL.
    own = "\0" + records.index.astype("str").to_series(index=records.index)
    return records.assign(key=records["incident"].where(~blank, own))


def _periods(
    records: "pd.DataFrame",
    first: "pd.Series",
    schedule: "Schedule",
    formats: Sequence[str],
    problems: ProblemList,
) -> "pd.Series":
    dates = parse_dates(records["date"], formats)
    _require_some_dates(records, dates, formats)
    refuse_exchanged(records, dates, formats)
    number = period_of(dates.to_numpy(), schedule.start, schedule.period)  # type: ignore[arg-type]
    unread = dates.isna()
    outside = ~unread & ((number < 1) | (number > schedule.periods))
    written = records["date"].fillna("")
    problems.add_records(
        records[first & unread],
        ("date " + written + " cannot be read")[first & unread].where(
            written[first & unread] != "", "blank date"
        ),
        done="incident not counted",
    )
    problems.add_records(
        records[first & outside],
        ("date " + written + " is outside the schedule")[first & outside],
        done="incident not counted",
    )
    in_schedule = first & ~unread & ~outside
    of_incident = dict(zip(records.loc[in_schedule, "key"], number[in_schedule.to_numpy()], strict=True))
    note_disagreement(records, first, dates, problems)
    return records["key"].map(of_incident).fillna(0).astype("int64")


def _require_some_dates(records: "pd.DataFrame", dates: "pd.Series", formats: Sequence[str]) -> None:
    """Refuse a file in which no date can be read: its dates are written in a form that was not declared.

    Raises
    ------
    DataError
        With the first dates of the file, and where the form is declared.
    """
    written = records["date"].notna()
    for file, own in records[written].groupby("file", sort=False):
        if dates[own.index].isna().all():
            expected = listed(list(formats)) or "2024-01-31"
            shown = listed(own["date"].drop_duplicates().head(EXAMPLES).tolist())
            raise DataError(
                f"{file}: none of its dates can be read as {expected}: {shown}. Name their form in [records] "
                'of the trial, such as date_format = "%m/%d/%Y" (or "%d/%m/%Y": day first).'
            )


def note_disagreement(
    records: "pd.DataFrame", first: "pd.Series", dates: "pd.Series", problems: ProblemList
) -> None:
    """Note the rows whose date or place is not that of their incident's first row."""
    of_first = dict(zip(records.loc[first, "key"], dates[first], strict=True))
    differs = ~first & dates.notna() & (dates != records["key"].map(of_first))
    problems.add_records(
        records[differs],
        "date differs from the first row of the incident",
        done="the incident keeps the date of its first row",
    )
    unit_of_first = dict(zip(records.loc[first, "key"], records.loc[first, "unit"].fillna(""), strict=True))
    moved = ~first & records["unit"].notna() & (records["unit"] != records["key"].map(unit_of_first))
    problems.add_records(
        records[moved],
        "place differs from the first row of the incident",
        done="the incident keeps the place of its first row",
    )


def note_repeats(records: "pd.DataFrame", problems: ProblemList) -> None:
    """Note the rows that repeat an earlier one."""
    repeated = records["repeats"].astype(bool)
    problems.add_records(records[repeated], "the same as an earlier row in every column", done="kept")


def _require_some_known(
    records: "pd.DataFrame", whose: str, known: "pd.Series", units: Collection[str]
) -> None:
    """Refuse a file none of whose records names a unit of the roster: its ids are written otherwise."""
    found = known[records.index].groupby(records["file"], sort=False).any()
    for file in found.index[~found]:
        theirs = records.loc[records["file"] == file, whose].dropna().drop_duplicates().tolist()
        given = f"they name {', '.join(theirs[:EXAMPLES])}" if theirs else f"the {whose} is always blank"
        near = _near(theirs, units)
        advice = (
            f"{next(iter(near))} may be {next(iter(near.values()))}: read and write ids as text, "
            "so that their leading zeros stay. "
            if near
            else ""
        )
        raise DataError(
            f"{file}: none of its records is of a unit on the roster: {given}; "
            f"the roster has {', '.join(sorted(units)[:EXAMPLES])}. {advice}"
            "Write ids as the roster does, or leave the file out."
        )


def _near(ids: Sequence[str], units: Collection[str]) -> dict[str, str]:
    """Map ids to the roster's that differ by nothing but leading zeros or a decimal ending."""
    of_number: dict[str, str] = {}
    for unit in sorted(units):
        of_number.setdefault(_bare(unit), unit)
    return {name: of_number[_bare(name)] for name in ids if _bare(name) in of_number}


def _bare(name: str) -> str:
    return re.sub(r"^0+(?=\w)|\.0+$", "", name)


def _note_unknown(
    records: "pd.DataFrame",
    whose: str,
    known: "pd.Series",
    units: Collection[str],
    problems: ProblemList,
) -> None:
    known = known[records.index]
    with_others = records["key"].isin(records.loc[known, "key"])
    blank = records[whose].isna()
    strange = records.loc[~known & ~blank, whose].drop_duplicates().tolist()
    near = _near(strange, units)
    said = {
        name: f"{whose} {name} is not on the roster"
        + (f" (the roster has {near[name]})" if name in near else "")
        for name in strange
    }
    text = records[whose].map(said).astype(object).where(~blank, f"blank {whose}")
    for some, done in (
        (with_others, "the incident enters the rows of its other officers"),
        (~with_others, "incident not counted"),
    ):
        problems.add_records(records[~known & some], text[~known & some], done=done)


def mean_officers(records: "pd.DataFrame") -> float | None:
    """Give the size-weighted mean number of officers of an incident; None where none is named."""
    officers = records.dropna(subset=["officer"]).drop_duplicates(["key", "officer"])
    size = officers.groupby("key").size()
    return float((size**2).sum() / size.sum()) if len(size) else None
