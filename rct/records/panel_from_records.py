"""A panel from a roster, an allocation and the agency's records of incidents."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rct.errors import DataError, TrialError
from rct.identifiers import listed
from rct.panel import Panel
from rct.randomization.assigned_rows import assigned_rows, panel_meta, with_covariates
from rct.randomization.rosters import checked_roster, columns_read
from rct.records.cell_placing import place_in_cells
from rct.records.condition import columns_of, satisfied
from rct.records.counting import CountingRule, count_events
from rct.records.incident_files import read_incidents
from rct.records.measured_exposure import exposure_table, with_exposure
from rct.records.placing import Placement, place
from rct.records.problem_list import ProblemList
from rct.records.silent_periods import note_silent_periods, require_some_incident

if TYPE_CHECKING:
    import pandas as pd

    from rct.randomization import Allocation
    from rct.trial import Trial
    from rct.trial_tables import Outcome


class Counted(NamedTuple):
    """The rows of a panel with their counts, where each incident belongs, and how outcomes were counted."""

    rows: "pd.DataFrame"
    placement: Placement
    rules: dict[str, CountingRule]


def build_panel(
    trial: "Trial",
    allocation: "Allocation",
    *,
    incidents: "pd.DataFrame | str | Path | Sequence[str | Path]",
    roster: "pd.DataFrame | None" = None,
    exposure: "pd.DataFrame | str | Path | None" = None,
) -> Panel:
    """Build the panel of a trial from records of incidents, one row per officer report.

    An incident belongs to the date of its first row, in the order of the files; where divisions are
    measured, to the division of its first row too. In a trial of shifts it belongs to the cell that was on
    duty at the date, time and district of its first row, and the panel has one row for each cell. The
    outcome's ``unit_of_count`` and ``attribution`` say what of it is counted in whose row
    (:class:`rct.records.counting.CountingRule`). Nothing is dropped silently: what does not count, or is
    doubtful, stands in ``panel.problems`` with its file and row.

    Parameters
    ----------
    trial : Trial
        Its ``[records]`` names the agency's columns, its outcomes say what counts.
    allocation : Allocation
        Whose measured units and assignment the panel has: units stay with the randomized unit of the
        randomization (intention to treat).
    incidents : pandas.DataFrame, path or sequence of paths
        CSV (UTF-8, or Windows-1252, which is then noted) or Parquet.
    roster : pandas.DataFrame, optional
        Checked against the allocation's own.
    exposure : pandas.DataFrame or path, optional
        One row per unit and period: the roster's unit column, ``period`` (number or label), ``exposure``,
        and the columns that outcomes name as their own denominator; a file is CSV or Parquet. Without it
        every unit is exposed for the whole of each period.

    Raises
    ------
    TrialError
        When the trial does not say what is needed to place and count incidents.
    DataError
        For files that cannot be read or lack a column, a condition that is no expression over the records'
        columns, a roster that differs from the allocation's, and files without any incident of the
        allocation's units within the schedule: every count would be 0, as if there had been none.
    """
    if roster is not None:
        _check_roster(trial, allocation, roster)
    problems = ProblemList()
    rows, placement, rules = _counted_rows(trial, allocation, incidents, exposure, problems)
    require_some_incident(placement, rows, problems)
    note_silent_periods(placement, rows, problems)
    last = [f"exposure:{outcome.name}" for outcome in trial.outcomes if outcome.exposure]
    ordered = rows[[*(name for name in rows if name not in last), *last]].copy()
    return Panel(
        with_covariates(ordered, allocation),
        tuple(outcome.name for outcome in trial.outcomes),
        tuple(outcome.name for outcome in trial.outcomes if outcome.fractional),
        trial.analysis.covariates,
        problems.frame(),
        panel_meta(trial, allocation) | _meta(placement, rules),
    )


def records_problems(
    trial: "Trial",
    allocation: "Allocation",
    *,
    incidents: "pd.DataFrame | str | Path | Sequence[str | Path]",
    exposure: "pd.DataFrame | str | Path | None" = None,
) -> "pd.DataFrame":
    """Give the problems of files of incidents, which may be of before the trial and hold no record yet.

    Raises
    ------
    TrialError, DataError
        As :func:`build_panel`, but for files without any incident of the schedule.
    """
    problems = ProblemList()
    _counted_rows(trial, allocation, incidents, exposure, problems)
    return problems.frame()


def _counted_rows(
    trial: "Trial",
    allocation: "Allocation",
    incidents: "pd.DataFrame | str | Path | Sequence[str | Path]",
    exposure: "pd.DataFrame | str | Path | None",
    problems: ProblemList,
) -> Counted:
    _check_trial(trial, exposure)
    by_officer = trial.units.measure == "officer" and trial.schedule.kind != "shifts"
    raw = read_incidents(incidents, _columns_read(trial, by_officer), problems)
    rows = assigned_rows(allocation)
    placement = _placed(trial, raw, frozenset(rows["unit"]), problems)
    rules = {outcome.name: _rule(trial, outcome, by_officer) for outcome in trial.outcomes}
    own = {outcome.name: outcome.exposure for outcome in trial.outcomes if outcome.exposure}
    if exposure is not None:
        table = exposure_table(exposure, problems)
        rows = with_exposure(rows, table, unit=trial.units.id, own=own, problems=problems)
    for outcome in trial.outcomes:
        rows[outcome.name] = _counts(trial, outcome, rules[outcome.name], raw, placement, rows, problems)
        _note_unexposed(rows, outcome.name, problems)
    return Counted(rows, placement, rules)


def _placed(trial: "Trial", raw: "pd.DataFrame", units: frozenset[str], problems: ProblemList) -> Placement:
    named, written = _named_columns(trial, raw), trial.records.date_format
    formats = [written] if isinstance(written, str) else list(written or ())
    if trial.schedule.kind == "shifts":
        return place_in_cells(named, schedule=trial.schedule, formats=formats, problems=problems)
    return place(
        named,
        schedule=trial.schedule,
        formats=formats,
        units=units,
        by_officer=trial.units.measure == "officer",
        problems=problems,
    )


def _check_trial(trial: "Trial", exposure: "pd.DataFrame | str | Path | None") -> None:
    wrong = []
    if trial.schedule.start is None:
        wrong.append("schedule.start is needed to place dates in periods")
    shifts = trial.schedule.kind == "shifts"
    if shifts and trial.records.time is None:
        wrong.append("records.time is needed: the column of the time, by which incidents find their shift")
    if trial.schedule.districts and trial.records.district is None:
        wrong.append("records.district is needed: the column of the district, by which incidents find theirs")
    if trial.units.movers == "current":
        wrong.append('movers = "current" is not built yet; "home" follows the randomization')
    if not shifts and trial.units.measure != "officer" and trial.records.unit is None:
        wrong.append(
            f"records.unit is needed: the column that names the {trial.units.measure} of an incident"
        )
    for outcome in trial.outcomes:
        if outcome.unit_of_count == "person" and _person_column(trial, outcome) is None:
            wrong.append(
                f"outcome {outcome.name} counts persons: name their column, records.person or its own"
            )
        if outcome.exposure and exposure is None:
            wrong.append(
                f"outcome {outcome.name} has its own exposure ({outcome.exposure}): "
                "give exposure= (rct panel: --exposure FILE)"
            )
    if wrong:
        raise TrialError(f"{trial.name}: {'; '.join(wrong)}.")


def _check_roster(trial: "Trial", allocation: "Allocation", roster: "pd.DataFrame") -> None:
    checked, kept = (checked_roster(table, trial.units) for table in (roster, allocation.roster))
    if checked.hash == kept.hash:
        return
    columns = list(columns_read(trial.units))
    theirs, ours = (set(table.frame[columns].itertuples(index=False, name=None)) for table in (checked, kept))
    changed = listed(sorted({row[0] for row in theirs ^ ours}))
    raise DataError(
        f"the roster differs from the one that was randomized, in {trial.units.id} {changed}. "
        "Give the roster of the randomization: later moves and hires do not change the allocation."
    )


def _person_column(trial: "Trial", outcome: "Outcome") -> str | None:
    return outcome.person or trial.records.person


def _columns_read(trial: "Trial", by_officer: bool) -> dict[str, str]:
    """Give the columns that are read of every file, and the key of the trial that names each."""
    records = trial.records
    kinds = ["incident", "date"]
    kinds += (
        ["time", "district"] if trial.schedule.kind == "shifts" else ["officer" if by_officer else "unit"]
    )
    named = [(getattr(records, kind), f"records.{kind}") for kind in kinds]
    for outcome in trial.outcomes:
        if outcome.unit_of_count == "person":
            key = f"person of the outcome {outcome.name}" if outcome.person else "records.person"
            named.append((_person_column(trial, outcome), key))
        if outcome.where:
            columns = columns_of(outcome.where, outcome.name)
            named += [(column, f"where of the outcome {outcome.name}") for column in columns]
    keys: dict[str, str] = {}
    for column, key in named:
        if column:
            keys.setdefault(column, key)
    return keys


def _named_columns(trial: "Trial", raw: "pd.DataFrame") -> "pd.DataFrame":
    """Give the records under rct's own names; ids in their canonical form."""
    import pandas as pd

    records = trial.records
    sources = {
        "incident": records.incident,
        "officer": records.officer,
        "unit": records.district if trial.schedule.kind == "shifts" else records.unit,
        "date": records.date,
        "time": records.time,
    }
    named = {
        name: raw[column].str.normalize("NFC")
        if column in raw
        else pd.Series(None, index=raw.index, dtype=object)
        for name, column in sources.items()
    }
    found = {name: raw[f"rct:{name}"] for name in ("file", "row", "repeats")}
    table = pd.DataFrame({**found, **named}).astype(object)
    return table.where(table.notna(), None)


def _rule(trial: "Trial", outcome: "Outcome", by_officer: bool) -> CountingRule:
    about_officers = outcome.unit_of_count == "report" or (
        outcome.unit_of_count == "person" and _person_column(trial, outcome) == trial.records.officer
    )
    return CountingRule(outcome.unit_of_count, outcome.attribution, by_officer and about_officers, by_officer)


def _counts(
    trial: "Trial",
    outcome: "Outcome",
    rule: CountingRule,
    raw: "pd.DataFrame",
    placement: Placement,
    rows: "pd.DataFrame",
    problems: ProblemList,
) -> "pd.Series":
    import numpy as np
    import pandas as pd

    records = placement.records
    if outcome.where:
        places = (records["file"] + ", row " + records["row"].astype("str")).tolist()
        cells = raw[[name for name in raw if not str(name).startswith("rct:")]]
        holds = satisfied(cells, outcome.where, outcome.name, places=places)
    else:
        holds = np.full(len(records), True)
    undecided = pd.isna(holds)
    problems.add_records(
        records[undecided],
        f"outcome {outcome.name}: blank in {', '.join(columns_of(outcome.where or 'true', outcome.name))}",
        done="taken as not satisfying the condition",
    )
    satisfied_ = np.where(undecided, False, holds).astype(bool)
    column = _person_column(trial, outcome)
    person = raw[column] if rule.what == "person" and column else None
    if person is not None:
        problems.add_records(
            records[satisfied_ & person.isna().to_numpy()],
            f"outcome {outcome.name}: blank person id in {column}",
            done="all such rows of an incident count as one person",
        )
    counts = count_events(rule, satisfied_, person, placement)
    index = pd.MultiIndex.from_frame(rows[["unit", "period"]])
    filled = counts.reindex(index, fill_value=0).to_numpy()
    return pd.Series(filled, index=rows.index, dtype="float64" if rule.attribution == "share" else "int64")


def _note_unexposed(rows: "pd.DataFrame", outcome: str, problems: ProblemList) -> None:
    own = f"exposure:{outcome}"
    unexposed = rows[own if own in rows else "exposure"] == 0
    lost = rows.loc[unexposed & (rows[outcome] > 0), ["unit", "period_label", outcome]]
    for unit, label, events in lost.itertuples(index=False):
        problems.add(
            f"{events:g} {outcome} in period {label}, in which the unit has no exposure",
            done="left out by every analysis",
            file="exposure",
            unit=unit,
        )


def _meta(placement: Placement, rules: dict[str, CountingRule]) -> dict[str, Any]:
    records = placement.records
    return {
        "simulated": False,
        "attribution": {name: rule.words for name, rule in rules.items()},
        "records": len(records),
        "incidents": int(records["key"].nunique()),
        "incidents_in_schedule": int(records.loc[records["period"] > 0, "key"].nunique()),
        "officers_per_incident": placement.officers_per_incident,
    }
