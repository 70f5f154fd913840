"""The calendar of cells, its balance, and the cell of an incident, also after midnight."""

import numpy as np
import pandas as pd
import pytest

from rct.errors import AllocationError, DataError, TrialError
from rct.randomization import cells_of, randomize, shift_cells, verify
from rct.randomization.assigned_rows import assigned_rows

SHIFTS = (
    'kind = "shifts"\nstart = 2026-01-05\nperiod = "day"\nperiods = 84\n'
    'shifts = ["07:00", "15:00", "23:00"]\ndistricts = ["North", "South"]'
)


def weekly(declared, block='["shift", "district", "weekday"]'):
    return declared(SHIFTS, block=block)


def test_the_calendar_has_a_cell_for_each_day_shift_and_district(declared):
    cells = shift_cells(weekly(declared))
    assert len(cells) == 84 * 3 * 2
    assert cells.iloc[0].tolist() == [
        "2026-01-05 07:00 North", "2026-01-05", "07:00", "North", "Monday", "1", "2026-01", "1",
    ]  # fmt: skip
    assert cells["officer_id"].is_monotonic_increasing


def test_arms_are_balanced_on_every_weekday_of_every_shift_and_district(declared):
    trial = weekly(declared)
    frame = randomize(trial, shift_cells(trial), seed=1).frame
    assert set(
        frame.groupby("block")["sequence"].agg(["sum", "size"]).itertuples(index=False, name=None)
    ) == {(6, 12)}


def test_cells_can_be_balanced_by_weekday_and_month_to_within_one(declared):
    trial = weekly(declared, '["weekday", "month"]')
    frame = randomize(trial, shift_cells(trial), seed=1).frame
    treated = frame.groupby("block")["sequence"].agg(["sum", "size"])
    assert ((2 * treated["sum"] - treated["size"]).abs() <= 1).all()


def test_blocks_of_two_days_let_no_arm_last_longer_than_two_days(declared):
    trial = weekly(declared, '["shift", "district", "couple"]')
    cells = shift_cells(trial)
    allocation = randomize(trial, cells, seed=1)
    draws = allocation.draws(200, seed=1)
    for _, own in cells.groupby(["shift", "district"]):
        series = draws[:, own.index]
        assert not ((series[:, 2:] == series[:, 1:-1]) & (series[:, 1:-1] == series[:, :-2])).any()


def test_an_incident_belongs_to_the_shift_on_duty_also_after_midnight(declared):
    schedule = weekly(declared).schedule
    dates = ["2026-01-06", "2026-01-06", "2026-01-06", "2026-01-05", "2026-03-30", "2026-03-30", "NaT"]
    times = ["07:00", "06:59", "23:30:10", "01:00", "03:00", "12:00", "12:00"]
    assert cells_of(schedule, dates, times=times, districts=["North"] * 6 + ["South"]) == [
        "2026-01-06 07:00 North",
        "2026-01-05 23:00 North",
        "2026-01-06 23:00 North",
        "",
        "2026-03-29 23:00 North",
        "",
        "",
    ]
    assert cells_of(schedule, dates[:2], times=["", "12:00"], districts=["North", "West"]) == ["", ""]


def test_every_cell_is_found_by_its_own_date_time_and_district(declared):
    trial = weekly(declared)
    cells = shift_cells(trial)
    found = cells_of(
        trial.schedule, cells["date"], times=cells["shift"].tolist(), districts=cells["district"].tolist()
    )
    assert found == cells["officer_id"].tolist()


def test_an_unreadable_time_or_a_missing_district_is_refused(declared):
    schedule = weekly(declared).schedule
    with pytest.raises(DataError, match=r"cannot be read: noon"):
        cells_of(schedule, ["2026-01-06"], times=["noon"], districts=["North"])
    with pytest.raises(DataError, match="give the district"):
        cells_of(schedule, ["2026-01-06"], times=["12:00"])


def test_a_roster_that_is_not_the_calendar_is_refused_and_the_calendar_verifies(declared):
    trial = weekly(declared)
    cells = shift_cells(trial)
    with pytest.raises(AllocationError, match="1 cells lack .*2026-01-05 07:00 North"):
        randomize(trial, cells.iloc[1:], seed=1)
    assert verify(randomize(trial, cells, seed=1).certificate, cells.iloc[::-1]).ok


def test_a_cell_has_one_row_whose_treatment_is_its_arm(declared):
    trial = weekly(declared)
    allocation = randomize(trial, shift_cells(trial), seed=1)
    rows = assigned_rows(allocation)
    assert rows["unit"].tolist() == allocation.frame["unit"].tolist()
    assert (rows["treated"] == allocation.frame["sequence"]).all()


def test_weekdays_and_months_are_balanced_while_no_arm_lasts_longer_than_two_days(declared):
    rule = (
        '\n[randomization]\nscheme = "constrained"\ncovariates = ["weekday", "month"]\n'
        'categorical = ["weekday", "month"]\ncandidates = 1000\nkeep = 10'
    )
    schedule = SHIFTS.replace(', "15:00", "23:00"', "").replace('"North", "South"', '"North"')
    trial = declared(schedule + rule, block='["shift", "district", "couple"]')
    cells = shift_cells(trial)
    allocation = randomize(trial, cells, seed=1)
    accepted = allocation.draws("exact")
    assert not ((accepted[:, 2:] == accepted[:, 1:-1]) & (accepted[:, 1:-1] == accepted[:, :-2])).any()
    unrestricted = declared(schedule, block='["shift", "district", "couple"]')
    free = randomize(unrestricted, cells, seed=1).draws(500, seed=1)

    def off(draws):
        by = [cells[column] == level for column in ("weekday", "month") for level in cells[column].unique()]
        return np.mean([(draws[:, own].sum(axis=1) - own.sum() / 2) ** 2 for own in by])

    assert off(accepted) < 0.5 * off(free)
    assert verify(allocation.certificate, cells).ok


def test_a_certificate_of_another_calendar_is_not_verified(declared):
    trial = weekly(declared)
    cells = shift_cells(trial)
    certificate = randomize(trial, cells, seed=1).certificate
    fewer = {**certificate, "units": certificate["units"][1:]}
    assert not verify(fewer, cells.iloc[1:]).ok


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('period = "day"', 'period = "week"', 'needs start, period = "day" and shifts'),
        ('"07:00", "15:00"', '"15:00", "07:00"', "must rise"),
        ('kind = "shifts"', 'kind = "parallel"', "belong to kind = shifts"),
        ("periods = 84", "periods = 84\nbaseline = 3", "neither baseline nor transition"),
        ('"07:00"', '"7am"', "07:00|pattern"),
    ],
)
def test_a_calendar_that_contradicts_itself_is_refused(declared, old, new, said):
    with pytest.raises(TrialError, match=said):
        declared(SHIFTS.replace(old, new))


def test_cells_are_blocked_only_by_what_the_calendar_has(declared):
    with pytest.raises(TrialError, match="sergeant is no column of the cells"):
        declared(SHIFTS, block='["sergeant"]')


def test_the_calendar_written_and_read_gives_the_same_draw(declared, tmp_path):
    trial = weekly(declared)
    cells = shift_cells(trial)
    cells.to_csv(tmp_path / "cells.csv", index=False)
    read = pd.read_csv(tmp_path / "cells.csv", dtype="str")
    assert randomize(trial, read, seed=2).certificate == randomize(trial, cells, seed=2).certificate
