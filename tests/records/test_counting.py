"""What an incident counts, and in whose row: small records with exact counts."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rct

# I1, January: officers 01 (twice, two subjects) and 02 of squad A, and 03 of squad B. I2, February: 04.
# I3, March: 02, whose report says no force. I4, March: 03 and 01, one of them with force.
RECORDS = pd.DataFrame(
    [
        ("I1", "01", "2024-01-05", "A", "2", "s1"),
        ("I1", "01", "2024-01-05", "A", "2", "s2"),
        ("I1", "02", "2024-01-05", "A", "0", "s1"),
        ("I1", "03", "2024-01-05", "A", "1", "s2"),
        ("I2", "04", "2024-02-29", "B", "1", "s3"),
        ("I3", "02", "2024-03-01", "A", "0", "s4"),
        ("I4", "03", "2024-03-31", "B", "0", "s5"),
        ("I4", "01", "2024-03-31", "B", "3", "s5"),
    ],
    columns=["case", "badge", "day", "place", "level", "subject"],
)
FORCE = 'where = "level >= 1"\n'

BY_OFFICER = {
    # unit_of_count, attribution → counts by officer and period
    ("incident", "first"): {("01", 1): 1, ("04", 2): 1, ("03", 3): 1},
    ("incident", "every"): {
        ("01", 1): 1, ("02", 1): 1, ("03", 1): 1, ("04", 2): 1, ("01", 3): 1, ("03", 3): 1
    },
    ("incident", "share"): {
        ("01", 1): 1 / 3, ("02", 1): 1 / 3, ("03", 1): 1 / 3, ("04", 2): 1, ("01", 3): 1 / 2, ("03", 3): 1 / 2
    },
    ("report", "first"): {("01", 1): 2, ("03", 1): 1, ("04", 2): 1, ("01", 3): 1},
    ("person", "first"): {("01", 1): 2, ("04", 2): 1, ("03", 3): 1},
    ("person", "every"): {
        ("01", 1): 2, ("02", 1): 2, ("03", 1): 2, ("04", 2): 1, ("01", 3): 1, ("03", 3): 1
    },
    ("person", "share"): {
        ("01", 1): 2 / 3, ("02", 1): 2 / 3, ("03", 1): 2 / 3, ("04", 2): 1, ("01", 3): 1 / 2, ("03", 3): 1 / 2
    },
}  # fmt: skip


def outcome(what: str, attribution: str = "first", person: str = "subject") -> str:
    named = f'person = "{person}"\n' if what == "person" else ""
    fractional = "fractional = true\n" if attribution == "share" else ""
    return f'{FORCE}unit_of_count = "{what}"\nattribution = "{attribution}"\n{named}{fractional}'


@pytest.mark.parametrize(("what", "attribution"), BY_OFFICER)
def test_every_rule_counts_in_the_rows_it_names(declared, built, counted, what, attribution):
    panel = built(declared(outcome(what, attribution)), RECORDS)
    assert counted(panel) == pytest.approx(BY_OFFICER[what, attribution])
    assert not len(panel.problems)


def test_an_injured_officer_counts_in_his_own_row_once_an_incident(declared, built, counted):
    panel = built(declared(outcome("person", person="badge")), RECORDS)
    assert counted(panel) == {("01", 1): 1, ("03", 1): 1, ("04", 2): 1, ("01", 3): 1}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("incident", {("A", 1): 1, ("B", 2): 1, ("B", 3): 1}),
        ("report", {("A", 1): 3, ("B", 2): 1, ("B", 3): 1}),
        ("person", {("A", 1): 2, ("B", 2): 1, ("B", 3): 1}),
    ],
)
def test_a_measured_squad_counts_what_happened_in_it(declared, built, counted, what, expected):
    assert counted(built(declared(outcome(what), squads=True), RECORDS)) == expected


def test_without_a_condition_every_incident_counts(declared, built, counted):
    assert counted(built(declared(squads=True), RECORDS)) == {
        ("A", 1): 1,
        ("B", 2): 1,
        ("A", 3): 1,
        ("B", 3): 1,
    }


def test_the_panel_is_complete_and_carries_the_assignment(declared, built):
    panel = built(declared(FORCE), RECORDS)
    assert len(panel.frame) == 12
    assert panel.frame["force"].dtype == "int64"
    assert panel.frame["period_label"].tolist()[:3] == ["2024-01", "2024-02", "2024-03"]
    assert set(panel.frame["starts"]) == {2, 3}
    assert (panel.frame["exposure"] == 1).all()
    assert panel.meta["simulated"] is False
    assert "first officer listed" in panel.meta["attribution"]["force"]


def test_co_involvement_is_the_size_weighted_mean(declared, built):
    panel = built(declared(FORCE), RECORDS)
    assert panel.meta["officers_per_incident"] == pytest.approx((9 + 1 + 1 + 4) / (3 + 1 + 1 + 2))


SCHEDULE = rct.load("louisville_icat").schedule.model_copy(
    update={"start": pd.Timestamp("2024-01-01").date(), "periods": 3}
)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(4)))
def test_the_order_of_incidents_changes_nothing(order):
    from rct.records.counting import CountingRule, count_events
    from rct.records.placing import place
    from rct.records.problem_list import ProblemList

    named = RECORDS.rename(columns={"case": "incident", "badge": "officer", "day": "date", "place": "unit"})
    shuffled = pd.concat(
        [named[named["incident"] == f"I{number + 1}"] for number in order], ignore_index=True
    ).assign(file="f", row=2, repeats=False)
    placement = place(
        shuffled, schedule=SCHEDULE, formats=(), units={"01", "02", "03", "04"}, by_officer=True,
        problems=ProblemList(),
    )  # fmt: skip
    for (what, attribution), expected in BY_OFFICER.items():
        rule = CountingRule(what, attribution, own_row=what == "report", by_officer=True)
        holds = (shuffled["level"].astype(int) >= 1).to_numpy()
        person = shuffled["subject"] if what == "person" else None
        assert count_events(rule, holds, person, placement).to_dict() == pytest.approx(expected)
