"""Shifts from end to end: the calendar is randomized, incidents find their cell, the promise is kept."""

import pandas as pd
import pytest

import rct
from rct import analysis
from rct.randomization import shift_cells
from rct.records.incident_times import parse_times

TEXT = """
format = 1
name = "cameras"
[units]
randomize = "cell"
measure = "shift"
id = "cell"
block = ["shift", "district", "weekday"]
[arms]
control = "no camera"
treatments = ["camera"]
[schedule]
kind = "shifts"
start = 2026-01-05
period = "day"
periods = 28
shifts = ["07:00", "15:00", "23:00"]
districts = ["North", "South"]
[records]
incident = "case"
date = "day"
{records}
[[outcomes]]
name = "force"
primary = true
[[outcomes]]
name = "injury"
unit_of_count = "report"
where = "hurt = 'yes'"
[analysis]
primary = {{ estimator = "randomization_test" }}
secondary = [{{ estimator = "poisson", fixed_effects = ["block"] }}]
draws = 199
[power]
rates = {{ force = 3, injury = 1 }}
effects = {{ force = 0.5 }}
"""
COLUMNS = ["case", "day", "clock", "area", "hurt"]
RECORDS = [
    ("A", "2026-01-06", "02:15", "North", "yes"),
    ("A", "2026-01-06", "02:20", "North", "yes"),
    ("B", "2026-01-06", "15:00", "South", "no"),
    ("C", "2026-01-06", "1459", "South", "yes"),
    ("D", "2026-01-05", "03:00", "North", "no"),
    ("E", "2026-02-02", "06:59 AM", "North", "no"),
    ("F", "2026-01-07", "noon", "North", "no"),
    ("G", "2026-01-07", "12:00", "West", "no"),
    ("H", "January", "12:00", "North", "no"),
    ("I", "2026-01-07", None, "North", "no"),
]


def declared(records='time = "clock"\ndistrict = "area"'):
    return rct.Trial.parse(TEXT.format(records=records))


@pytest.fixture
def allocation():
    trial = declared()
    return rct.randomize(trial, shift_cells(trial), seed=1)


def test_incidents_find_the_cell_on_duty_by_date_time_and_district(allocation):
    panel = rct.build_panel(
        declared(), allocation, incidents=pd.DataFrame(RECORDS, columns=COLUMNS), roster=allocation.roster
    )
    assert len(panel.frame) == panel.frame["unit"].nunique() == 28 * 3 * 2
    counted = panel.frame[panel.frame[["force", "injury"]].any(axis=1)]
    assert counted[["unit", "force", "injury"]].to_numpy().tolist() == [
        ["2026-01-05 23:00 North", 1, 2],
        ["2026-01-06 07:00 South", 1, 1],
        ["2026-01-06 15:00 South", 1, 0],
        ["2026-02-01 23:00 North", 1, 0],
    ]
    given = allocation.frame.set_index("unit")["sequence"]
    assert (panel.frame.set_index("unit")["treated"] == given).all()


def test_an_incident_without_a_cell_is_told_with_its_cause(allocation):
    panel = rct.build_panel(declared(), allocation, incidents=pd.DataFrame(RECORDS, columns=COLUMNS))
    lost = panel.problems[panel.problems["done"] == "incident not counted"]
    assert lost[["incident", "problem"]].to_numpy().tolist() == [
        ["D", "date 2026-01-05 is outside the schedule"],
        ["F", "time noon cannot be read"],
        ["G", "district West is not in the schedule"],
        ["H", "date January cannot be read"],
        ["I", "blank time"],
    ]


def test_records_of_which_none_finds_a_cell_are_refused(allocation):
    wrong = pd.DataFrame([("A", "2020-01-06", "02:15", "North", "yes")], columns=COLUMNS)
    with pytest.raises(rct.DataError, match=r"none of 1 incidents falls into a cell.*2020-01-06, 02:15"):
        rct.build_panel(declared(), allocation, incidents=wrong)


def test_the_trial_must_name_the_columns_of_time_and_district():
    trial = declared("")
    allocation = rct.randomize(trial, shift_cells(trial), seed=1)
    with pytest.raises(rct.TrialError, match=r"records.time is needed.*records.district is needed"):
        rct.build_panel(trial, allocation, incidents=pd.DataFrame(RECORDS, columns=COLUMNS))


def test_a_simulated_trial_of_shifts_is_estimated_as_promised(allocation):
    trial = declared()
    analysis.rehearse(trial, allocation)
    panel = rct.simulate(trial, allocation, seed=2)
    assert len(panel.frame) == len(allocation.frame)
    results = rct.estimate(trial, panel, allocation=allocation)
    force = next(row for row in results if row.outcome == "force")
    assert force.p_value < 0.05
    # 168 cells of 3 events, half of them halved: the log ratio has a standard error of about 0.11.
    assert force.irr == pytest.approx(0.5, rel=0.3)


def test_times_are_read_as_agencies_write_them():
    written = ["02:15", "2:15:30", "0215", "2:15 PM", "12:05 am", "2026-01-05 23:10", "2026-01-05T07:00:00",
               "24:00", "13:00 PM", "0", "", None, "23:59:59.5", "1/5/2026 3:07:00 PM"]  # fmt: skip
    assert parse_times(written) == [
        "02:15", "02:15", "02:15", "14:15", "00:05", "23:10", "07:00", "", "", "", "", "", "23:59", "15:07",
    ]  # fmt: skip
