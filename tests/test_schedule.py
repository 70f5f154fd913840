import math
from datetime import date

import numpy as np
import pandas as pd
import pytest

from rct.errors import TrialError
from rct.schedule import (
    crossed,
    crossing_periods,
    design_matrix,
    period_labels,
    period_of,
    sequence_table,
    treated_from,
    untreated,
)

DOSES = {"A": 1.0, "B": 3.0}


def test_a_wedge_crosses_one_step_after_another_from_the_end_of_the_baseline():
    assert crossing_periods(4, baseline=12, step=2) == [13, 15, 17, 19]


def test_a_design_matrix_has_a_row_a_sequence_and_nan_in_transition():
    rows = [treated_from("A", start, dose=1, periods=4, transition=1) for start in (3, 4)]
    matrix = design_matrix([untreated("usual", 4), *rows])
    np.testing.assert_array_equal(matrix, [[0, 0, 0, 0], [0, math.nan, 1, 1], [0, 0, math.nan, 1]])


def test_starts_is_the_first_treated_period_after_the_transition():
    assert treated_from("A", 5, dose=2, periods=6, transition=2).starts == 5
    assert untreated("usual", 6).starts == 0


@pytest.mark.parametrize("starts", [0, 1, 7])
def test_a_start_that_leaves_no_room_is_refused(starts):
    with pytest.raises(TrialError, match=f"cannot start in period {starts}"):
        treated_from("A", starts, dose=1, periods=6, transition=1)


def test_a_crossover_names_the_arm_given_or_to_come_and_switches():
    sequence = crossed(["usual", "B", "usual"], doses=DOSES, control="usual", periods=6, transition=0)
    assert sequence.arms == ("B", "B", "B", "B", "usual", "usual")
    assert sequence.doses == (0, 0, 3, 3, 0, 0)
    assert (sequence.starts, sequence.switches) == (3, True)


def test_a_crossover_leaves_out_the_beginning_of_each_changed_stretch():
    sequence = crossed(["A", "A", "B"], doses=DOSES, control="usual", periods=6, transition=1)
    np.testing.assert_array_equal(sequence.doses, [1, 1, 1, 1, math.nan, 3])


@pytest.mark.parametrize(("periods", "transition"), [(7, 0), (6, 2)])
def test_a_crossover_that_does_not_divide_is_refused(periods, transition):
    with pytest.raises(TrialError, match="do not divide into 3 equal stretches"):
        crossed(["A", "usual", "B"], doses=DOSES, control="usual", periods=periods, transition=transition)


def test_one_way_sequences_do_not_switch():
    assert not treated_from("A", 3, dose=1, periods=6, transition=1).switches
    assert not untreated("usual", 6).switches


def test_the_sequence_table_has_one_row_per_sequence_and_period():
    table = sequence_table([untreated("usual", 2), treated_from("A", 2, dose=1, periods=2, transition=0)])
    assert table.to_dict("list") == {
        "sequence": [0, 0, 1, 1],
        "period": [1, 2, 1, 2],
        "arm": ["usual", "usual", "A", "A"],
        "dose": [0.0, 0.0, 0.0, 1.0],
    }


@pytest.mark.parametrize(
    ("unit", "dates", "periods"),
    [
        ("day", ["2018-11-01", "2018-11-02", "2018-10-31"], [1, 2, 0]),
        ("week", ["2018-11-07", "2018-11-08", "2018-10-31"], [1, 2, 0]),
        ("month", ["2018-11-30", "2018-12-01", "2018-10-31", "2020-10-31"], [1, 2, 0, 24]),
        ("quarter", ["2019-01-31", "2019-02-01", "2018-10-31"], [1, 2, 0]),
    ],
)
def test_dates_fall_into_their_period_and_outside_of_it_are_out_of_range(unit, dates, periods):
    got = period_of(pd.to_datetime(pd.Series(dates)), date(2018, 11, 1), unit)
    assert got.tolist() == periods


def test_a_missing_date_has_period_zero_and_the_time_of_day_does_not_matter():
    dates = pd.Series(pd.to_datetime(["2018-11-30 23:59:59", None]))
    assert period_of(dates, date(2018, 11, 1), "month").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("unit", "start", "labels"),
    [
        ("month", date(2018, 11, 1), ["2018-11", "2018-12", "2019-01"]),
        ("quarter", date(2018, 10, 1), ["2018-Q4", "2019-Q1", "2019-Q2"]),
        ("quarter", date(2018, 11, 1), ["2018-11", "2019-02", "2019-05"]),
        ("week", date(2018, 12, 24), ["2018-12-24", "2018-12-31", "2019-01-07"]),
        ("day", date(2019, 2, 27), ["2019-02-27", "2019-02-28", "2019-03-01"]),
        ("month", None, ["1", "2", "3"]),
    ],
)
def test_periods_are_labelled_as_people_say_them(unit, start, labels):
    assert period_labels(3, start, unit) == labels


def test_every_label_of_a_month_is_the_period_its_first_day_falls_in():
    labels = period_labels(30, date(2018, 11, 1), "month")
    first_days = [f"{label}-01" for label in labels]
    assert period_of(first_days, date(2018, 11, 1), "month").tolist() == list(range(1, 31))
