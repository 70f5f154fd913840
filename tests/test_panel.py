"""Panel: what any tidy frame becomes, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rct import DataError, Panel


def small(**changes):
    frame = pd.DataFrame(
        {
            "officer": ["0412", "0412", "0412", "7", "7", "7", "a", "a", "a"],
            "month": [3, 5, 9] * 3,
            "first": [5, 5, 5, 9, 9, 9, np.nan, np.nan, np.nan],
            "force": [1, 0, 2, 0, 0, 1, 3, 0, 0],
            "days": [30.0, 31.0, 0.0, 30.0, 31.0, 30.0, 30.0, 31.0, 30.0],
        }
    )
    return frame.assign(**changes)


def make(frame, **options):
    columns = {"unit": "officer", "period": "month", "outcomes": ["force"], "starts": "first"} | options
    return Panel.from_frame(frame, **columns)


def test_periods_are_numbered_and_their_labels_kept():
    panel = make(small())
    assert panel.frame["period"].tolist() == [1, 2, 3] * 3
    assert panel.frame["period_label"].tolist() == [3, 5, 9] * 3
    assert panel.periods == 3


def test_every_row_carries_its_assignment():
    frame = make(small()).frame
    assert frame["unit"].tolist() == ["0412"] * 3 + ["7"] * 3 + ["a"] * 3
    assert frame["starts"].tolist() == [2, 2, 2, 3, 3, 3, 0, 0, 0]
    assert frame["treated"].tolist() == [0, 1, 1, 0, 0, 1, 0, 0, 0]
    assert frame["sequence"].tolist() == [1, 1, 1, 2, 2, 2, 0, 0, 0]
    assert frame["arm"].tolist() == ["treated"] * 6 + ["control"] * 3


@pytest.mark.parametrize("never", [0.0, np.inf, np.nan, 99.0])
def test_missing_infinite_zero_and_later_starts_are_never_treated(never):
    panel = make(small(first=[5.0, 5, 5, 9, 9, 9, never, never, never]))
    assert panel.frame.loc[panel.frame["unit"] == "a", "treated"].sum() == 0


def test_a_dose_column_says_the_same_as_starts():
    by_start = make(small()).frame
    by_dose = make(small(dose=[0, 1, 1, 0, 0, 1, 0, 0, 0]), starts=None, treated="dose").frame
    pd.testing.assert_frame_equal(by_dose, by_start)


def test_row_order_changes_nothing():
    shuffled = small().sample(frac=1, random_state=3)
    assert make(shuffled) == make(small())


def test_transition_rows_are_kept_and_masked_by_the_analysis():
    panel = make(small(), transition=1)
    dose = panel.frame["treated"]
    assert dose.isna().tolist() == [True, False, False, False, True, False, False, False, False]
    assert len(panel.rows("force")) == 7


def test_rows_without_exposure_do_not_enter_an_analysis():
    frame = small(force=[1, 0, 0, 0, 0, 1, 3, 0, 0])
    rows = make(frame, exposure={"force": "days"}).rows("force")
    assert len(rows) == 8
    assert rows["exposure"].tolist() == [30.0, 31.0, 30.0, 31.0, 30.0, 30.0, 31.0, 30.0]
    assert rows["count"].tolist() == [1, 0, 0, 0, 1, 3, 0, 0]


@pytest.mark.parametrize("exposure", ["days", {"force": "days"}])
def test_events_without_exposure_are_refused_where_they_are(exposure):
    with pytest.raises(
        DataError, match=r"in 1 place: 2 force of 0412 in 9\. Give their exposure, or a missing"
    ):
        make(small(), exposure=exposure)
    left_out = make(small(force=[1, 0, np.nan, 0, 0, 1, 3, 0, 0]), exposure=exposure)
    assert len(left_out.rows("force")) == 8
    two = small(injury=[0] * 8 + [1], hours=[1.0] * 8 + [0.0])
    with pytest.raises(DataError, match="2 places: 2 force of 0412 in 9; 1 injury of a in 9"):
        make(two, outcomes=["force", "injury"], exposure={"force": "days", "injury": "hours"})


@pytest.mark.parametrize("amount", [-1.0, np.nan, np.inf, "much"])
def test_an_exposure_that_is_none_is_refused_with_its_row(amount):
    frame = small(days=[1, 1, 1, amount, 1, 1, 1, 1, 1])
    with pytest.raises(
        DataError, match=f"column days: exposure that is no number of 0 or more: {amount} in row 5"
    ):
        make(frame, exposure="days")


@pytest.mark.parametrize("hidden", ["7\u200b", "\ufeff7", "\xad7", "7\u2060", "7\xa07", "7\ufe0f"])
def test_an_id_with_an_invisible_character_is_refused(hidden):
    """Else the rows of one officer would be those of two."""
    name = hidden.encode("unicode_escape").decode().replace("\\", "\\\\")
    frame = small(officer=["0412"] * 3 + ["7", "7", hidden] + ["a"] * 3)
    with pytest.raises(
        DataError, match=rf"column officer holds invisible characters: row 7: {name} \(.*, U\+"
    ):
        make(frame)


def test_assignment_at_a_higher_level_is_held_by_every_measured_unit():
    frame = small(squad=["x"] * 6 + ["y"] * 3, first=[5.0] * 6 + [0.0] * 3)
    panel = make(frame, randomized="squad")
    assert panel.randomized_units == ["x", "y"]
    assert panel.frame["cluster"].tolist() == ["x"] * 6 + ["y"] * 3
    assert panel.sequences["dose"].tolist() == [0, 0, 0, 0, 1, 1]


def test_several_arms_have_sequences_of_their_own():
    frame = small(which=["B"] * 3 + ["A"] * 3 + ["none"] * 3, first=[5.0] * 6 + [0.0] * 3)
    panel = make(frame, arm="which")
    assert panel.control == "none"
    assert panel.treatments == ["A", "B"]
    assert panel.frame.drop_duplicates("unit")["sequence"].tolist() == [2, 1, 0]


def test_one_row_per_unit_is_a_panel_of_one_period():
    frame = pd.DataFrame({"officer": ["1", "2"], "Z": [0, 1], "force": [3, 2]})
    panel = Panel.from_frame(frame, unit="officer", period=None, outcomes=["force"], treated="Z")
    assert panel.frame[["period", "treated"]].to_numpy().tolist() == [[1, 0], [1, 1]]


def test_what_is_written_is_read_back_equal(tmp_path):
    panel = make(small(age=range(9)), covariates={"years": "age"}, transition=1)
    panel.write(tmp_path / "panel.parquet")
    again = Panel.read(tmp_path / "panel.parquet")
    pd.testing.assert_frame_equal(again.frame, panel.frame)
    assert again == panel
    assert again != make(small())


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"officer": [1.0, 1, 1, 2, 2, 2, 3, 3, 3]}, {}, "row 2: 1.0 is a decimal number"),
        ({"officer": ["a", "a", "a", " ", " ", " ", "c", "c", "c"]}, {}, "row 5: a blank id"),
        ({"force": [1, -2, 0, 0, 0, 0, 0, 0, 0]}, {}, "force = -2 for unit 0412 in period 5"),
        ({"month": [3, 3, 9] * 3}, {}, "more than one row"),
        ({}, {"outcomes": ["forse"]}, "did you mean 'force'"),
        ({}, {"starts": None}, "exactly one of starts"),
        ({"first": [5, 9, 5, 9, 9, 9, 0, 0, 0]}, {}, "varies within randomized unit 0412"),
        ({"squad": ["x"] * 6 + ["y"] * 3, "dose": [0, 1, 1, 0, 0, 1, 0, 0, 0]},
         {"starts": None, "treated": "dose", "randomized": "squad"}, "both treated and untreated rows"),
        ({"force": list("abcdefghi")}, {}, "not numeric"),
        ({"arm": ["x"] * 9}, {"covariates": ["arm"]}, "keeps for itself"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_as_declared_is_refused(changes, options, message):
    with pytest.raises(DataError, match=message):
        make(small(**changes), **options)


def test_fractions_are_refused_by_name_unless_declared():
    frame = small(force=[0.5, 0, 0, 0, 0, 0, 0, 0, 0])
    with pytest.raises(DataError, match=r"fractional values \(first: 0.5, unit 0412, period 3\)"):
        make(frame).require_counts("force", asked_by="a Poisson likelihood")
    make(frame, fractional=["force"]).require_counts("force", asked_by="a Poisson likelihood")


def test_what_a_panel_tells_of_its_frame_is_that_of_the_frame_as_it_is():
    panel = make(small())
    told = ("treatments", "randomized_units", "hash")
    before = {name: getattr(panel, name) for name in told}
    sequences = panel.sequences
    edited = panel.frame
    edited["arm"] = edited["arm"].replace("treated", "ICAT")
    edited.loc[edited["randomized"] == before["randomized_units"][0], "randomized"] = "another"
    fresh = replace(panel)
    assert all(getattr(panel, name) == getattr(fresh, name) != before[name] for name in told)
    assert panel.treatments == ["ICAT"]
    assert panel.sequences.equals(fresh.sequences)
    assert not panel.sequences.equals(sequences)
