"""Problems grouped by what they are, whatever row or id they are of."""

import pytest

from rct.records.problem_list import kind_of, kinds_of


def problem(text, row=0, unit="", officer="", file="force.csv", done="not counted"):
    return {"problem": text, "row": row, "unit": unit, "officer": officer, "file": file, "done": done}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("officer 7 is not on the roster of 7 officers", "officer … is not on the roster of 7 officers"),
        ("date 5 Jan, 2024 10:30 cannot be read", "date … cannot be read"),
        ("date 2030-01-01 is outside the schedule", "date … is outside the schedule"),
        ("time 25:99 x cannot be read", "time … cannot be read"),
        ("district North End is not in the schedule", "district … is not in the schedule"),
        (
            "2 force in period 2024-01, in which the unit has no exposure",
            "… force in period …, in which the unit has no exposure",
        ),
        (
            "date differs from the first row of the incident",
            "date differs from the first row of the incident",
        ),
        ("no exposure in any period", "no exposure in any period"),
    ],
)
def test_a_kind_keeps_the_words_of_a_problem_without_what_only_its_row_has(text, kind):
    assert kind_of(problem(text, officer="7")) == kind


def test_problems_of_a_kind_are_counted_with_the_first_places():
    found = [problem(f"officer {row} is not on the roster", row=row, officer=str(row)) for row in range(2, 9)]
    found += [problem("officer 1 is not on the roster", row=2, officer="1", file="b.csv", done="others")]
    found += [problem("no exposure in any period", unit=unit, file="exposure") for unit in ("A", "B")]
    assert [tuple(kind) for kind in kinds_of(found)] == [
        ("officer … is not on the roster", "not counted", 7, "force.csv, row 2, row 3, row 4; and 4 more"),
        ("no exposure in any period", "not counted", 2, "exposure, unit A, unit B"),
        ("officer 1 is not on the roster", "others", 1, "b.csv, row 2"),
    ]
