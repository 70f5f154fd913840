"""Messy records: nothing is dropped silently."""

import pandas as pd
import pytest

import rct

COLUMNS = ["case", "badge", "day", "level"]


def listed(panel: rct.Panel) -> list[tuple[int, str]]:
    return list(zip(panel.problems["row"], panel.problems["problem"], strict=True))


def records(*rows: tuple[str | None, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def test_an_officer_who_is_not_on_the_roster_is_listed(declared, built, counted):
    panel = built(
        declared(),
        records(
            ("I1", "99", "2024-01-05", "1"), ("I1", "02", "2024-01-05", "1"), ("I2", "98", "2024-01-05", "1")
        ),
    )
    assert listed(panel) == [(2, "officer 99 is not on the roster"), (4, "officer 98 is not on the roster")]
    assert panel.problems["officer"].tolist() == ["99", "98"]
    assert panel.problems["incident"].tolist() == ["I1", "I2"]
    assert panel.problems["done"].tolist() == [
        "the incident enters the rows of its other officers",
        "incident not counted",
    ]
    assert counted(panel) == {("02", 1): 1}


@pytest.mark.parametrize("written", ["1", "001", "1.0"])
def test_an_id_that_lost_its_zeros_is_listed_with_the_one_of_the_roster(declared, built, counted, written):
    panel = built(declared(), records(("I1", written, "2024-01-05", "1"), ("I2", "02", "2024-01-05", "1")))
    assert listed(panel) == [(2, f"officer {written} is not on the roster (the roster has 01)")]
    assert counted(panel) == {("02", 1): 1}


def test_a_file_none_of_whose_ids_is_on_the_roster_is_refused_with_examples(declared, built, tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("case,badge,day\nI1,01,2024-01-05\n")
    bad.write_text("case,badge,day\nI2,1,2024-01-05\nI3,2.0,2024-01-05\nI4,,2024-01-05\n")
    said = r"bad.csv: none of its records .*: they name 1, 2.0; the roster has 01, 02, 03. 1 may be 01"
    with pytest.raises(rct.DataError, match=said):
        built(declared(), [good, bad])
    bad.write_text("case,badge,day\nI2,,2024-01-05\n")
    with pytest.raises(rct.DataError, match="bad.csv: .* the officer is always blank"):
        built(declared(), [good, bad])
    with pytest.raises(rct.DataError, match=r"incidents: .* they name C; the roster has A, B\. Write ids"):
        built(
            declared(squads=True), pd.DataFrame([("I1", "2024-01-05", "C")], columns=["case", "day", "place"])
        )


def test_an_empty_file_beside_another_is_listed(declared, built, counted, tmp_path):
    empty, full = tmp_path / "2023.csv", tmp_path / "2024.csv"
    empty.write_text("case,badge,day\n\n")
    full.write_text("case,badge,day\nI1,01,2024-01-05\n")
    panel = built(declared(), [empty, full])
    assert panel.problems[["file", "row", "problem"]].values.tolist() == [
        [str(empty), 0, "no record in the file"]
    ]
    assert counted(panel) == {("01", 1): 1}


def test_rows_of_records_are_those_a_spreadsheet_shows(declared, built, tmp_path):
    path = tmp_path / "force.csv"
    path.write_text('\ncase,badge,day,note\n\nI1,01,2024-01-05,"two\nlines"\nI2,09,2024-01-05,x\n')
    assert listed(built(declared(), path)) == [(5, "officer 09 is not on the roster")]


def test_invisible_characters_are_read_away_and_said(declared, built, counted, tmp_path):
    path = tmp_path / "force.csv"
    rows = ["I1,01\u200b,2024-01-05\ufeff,2", "I2,02,2024-01-05,no\xa0force", "I3,\xad01,2024-01-06,2"]
    path.write_text("\n".join(["case,badge,day,level", *rows]), encoding="utf-8")
    panel = built(declared("where = \"level <> 'no force'\""), path)
    assert counted(panel) == {("01", 1): 2}
    marks = "zero width space, U+200B; soft hyphen, U+00AD"
    assert sorted(listed(panel)) == [
        (2, f"column badge has invisible characters in 2 rows ({marks}); the first is 01\\u200b"),
        (2, "column day has invisible characters in 1 row (zero width no-break space, U+FEFF); the first is "
            "2024-01-05\\ufeff"),
        (3, "column level has invisible characters in 1 row (no-break space, U+00A0); the first is "
            "no\\xa0force"),
    ]  # fmt: skip
    with pytest.raises(
        rct.TrialError, match=r"the condition holds invisible characters \(no-break space, U\+00A0"
    ):
        declared("where = \"level <> 'no\xa0force'\"")
    path.write_text("case\u200b,badge,day\nI1,01,2024-01-05\n", encoding="utf-8")
    with pytest.raises(rct.DataError, match=r"lacks the column case, .* \(nearest: case\\u200b\)"):
        built(declared(), path)


def test_dates_with_day_and_month_exchanged_are_refused_not_half_read(declared, built, counted):
    """Else 01/02 would be counted in February, and 01/31 be one of a few dates that cannot be read."""
    us = records(("I1", "01", "01/02/2024", "1"), ("I2", "01", "01/31/2024", "1"), ("I3", "02", None, "1"))
    with pytest.raises(
        rct.DataError, match=r"1 of its 2 dates cannot be read as %d/%m/%Y \(01/31/2024\), and all"
    ):
        built(declared(records='date_format = "%d/%m/%Y"'), us)
    assert counted(built(declared(records='date_format = "%m/%d/%Y"'), us)) == {("01", 1): 2}
    mixed = pd.concat([us, records(("I4", "01", "31/01/2024", "1"))], ignore_index=True)
    assert "date 31/01/2024 cannot be read" in set(
        built(declared(records='date_format = "%m/%d/%Y"'), mixed).problems["problem"]
    )


def test_records_that_would_make_a_panel_of_zeros_are_refused(declared, built, tmp_path):
    empty = tmp_path / "force.csv"
    empty.write_text("case,badge,day\n")
    with pytest.raises(rct.DataError, match=r"force.csv: there is no record in it\. Every count would be 0"):
        built(declared(), empty)
    with pytest.raises(rct.DataError, match="incidents: there is no record in it"):
        built(declared(), records())
    outside = records(("I1", "01", "2023-12-31", "1"), ("I2", "02", "2024-04-01", "1"))
    said = (
        "incidents: none of its 2 incidents is of a unit on the roster and of the schedule, 2024-01 to "
        "2024-03. The first: incidents, row 2: date 2023-12-31 is outside the schedule"
    )
    with pytest.raises(rct.DataError, match=said):
        built(declared(), outside)
    apart = records(("I1", "01", "2023-12-31", "1"), ("I2", "99", "2024-01-05", "1"))
    with pytest.raises(rct.DataError, match="none of its 2 incidents is of a unit on the roster and of"):
        built(declared(), apart)
    rare = built(declared('where = "level > 8"'), records(("I1", "01", "2024-01-05", "1")))
    assert rare.frame["force"].sum() == 0


def test_periods_that_chance_would_hardly_leave_without_a_record_are_noted(declared, built):
    def noted(january: int, march: int, **options: object) -> list[str]:
        days = ["2024-01-05"] * january + ["2024-03-05"] * march
        rows = [(f"I{number}", "01", day, "1") for number, day in enumerate(days)]
        panel = built(declared(), records(*rows), **options)
        return panel.problems.loc[panel.problems["row"] == 0, "problem"].tolist()

    # 3 × (2/3)^n falls below .001 at n = 20, 3 × (1/3)^n at n = 8.
    assert noted(10, 9) == []
    assert noted(10, 10) == ["no record in the period 2024-02: did the export leave it out?"]
    assert noted(7, 0) == []
    assert noted(8, 0) == ["no record in the period 2024-02 to 2024-03: did the export leave it out?"]
    january = pd.DataFrame(
        {"officer_id": ["01", "02", "03", "04"], "period": ["1"] * 4, "exposure": ["1"] * 4}
    )
    assert noted(8, 0, exposure=january) == []


def test_a_date_outside_the_schedule_or_unreadable_is_listed(declared, built, counted):
    panel = built(
        declared(),
        records(
            ("I1", "01", "2023-12-31", "1"), ("I2", "01", "2024-04-01", "1"), ("I3", "01", "31.1.2024", "1"),
            ("I4", "01", "", "1"), ("I5", "01", "2024-03-31", "1"),
        ),
    )  # fmt: skip
    assert listed(panel) == [
        (2, "date 2023-12-31 is outside the schedule"),
        (3, "date 2024-04-01 is outside the schedule"),
        (4, "date 31.1.2024 cannot be read"),
        (5, "blank date"),
    ]
    assert set(panel.problems["done"]) == {"incident not counted"}
    assert counted(panel) == {("01", 3): 1}


def test_rows_without_incident_id_are_incidents_of_their_own(declared, built, counted):
    panel = built(declared(), records((None, "01", "2024-01-05", "1"), (" ", "01", "2024-01-05", "1")))
    assert [problem for _, problem in listed(panel)][:2] == ["blank incident id"] * 2
    assert counted(panel) == {("01", 1): 2}


def test_a_repeated_row_is_kept_and_listed(declared, built, counted):
    row = ("I1", "01", "2024-01-05", "1")
    panel = built(declared('unit_of_count = "report"'), records(row, row, ("I1", "01", "2024-01-05", "2")))
    assert listed(panel) == [(3, "the same as an earlier row in every column")]
    assert counted(panel) == {("01", 1): 3}


def test_a_blank_in_the_condition_does_not_count_and_is_listed(declared, built, counted):
    panel = built(
        declared('where = "level >= 1"'),
        records(("I1", "01", "2024-01-05", ""), ("I2", "02", "2024-01-05", "1")),
    )
    assert listed(panel) == [(2, "outcome force: blank in level")]
    assert counted(panel) == {("02", 1): 1}


def test_an_odd_or_blank_division_is_listed(declared, built, counted):
    frame = pd.DataFrame(
        [("I1", "2024-01-05", "A"), ("I2", "2024-01-05", "O/T"), ("I3", "2024-01-05", ""),
         ("I4", "2024-01-05", "B"), ("I4", "2024-02-05", "A")],
        columns=["case", "day", "place"],
    )  # fmt: skip
    panel = built(declared(squads=True), frame)
    assert listed(panel) == [
        (3, "unit O/T is not on the roster"),
        (4, "blank unit"),
        (6, "date differs from the first row of the incident"),
        (6, "place differs from the first row of the incident"),
    ]
    assert counted(panel) == {("A", 1): 1, ("B", 1): 1}


def test_persons_without_id_count_as_one_an_incident(declared, built, counted):
    frame = records(
        ("I1", "01", "2024-01-05", None), ("I1", "02", "2024-01-05", None), ("I1", "02", "2024-01-05", "p")
    )
    panel = built(declared('unit_of_count = "person"\nperson = "level"'), frame)
    assert counted(panel) == {("01", 1): 2}
    assert [problem for _, problem in listed(panel)] == ["outcome force: blank person id in level"] * 2


def test_files_are_read_one_after_the_other_with_their_rows(declared, built, counted, tmp_path):
    trial = declared(records='date_format = ["%m/%d/%Y", "%m/%d/%Y %I:%M:%S %p"]')
    one, two = tmp_path / "2023.csv", tmp_path / "2024.csv"
    one.write_bytes(b"\xef\xbb\xbfcase,badge,day,level\nI1,01,01/05/2024,1\n,,,\n\nI2,01,x,1\n")
    two.write_bytes("case,badge,day,level\nI3,02,02/05/2024 12:00:00 AM,Señor\n".encode("cp1252"))
    panel = built(trial, [one, two])
    assert counted(panel) == {("01", 1): 1, ("02", 2): 1}
    assert list(zip(panel.problems["file"], listed(panel), strict=True)) == [
        (str(one), (5, "date x cannot be read")),
        (str(two), (0, "not UTF-8, read as Windows-1252")),
    ]


def test_a_file_that_is_given_twice_is_refused(declared, built, tmp_path):
    path = tmp_path / "force.csv"
    path.write_text("case,badge,day\nI1,01,2024-01-05\n")
    with pytest.raises(rct.DataError, match="is given twice"):
        built(declared(), [path, tmp_path / "." / "force.csv"])


def test_parquet_is_read_too(declared, built, counted, tmp_path):
    path = tmp_path / "force.parquet"
    records(("I1", "01", "2024-01-05", "1")).to_parquet(path)
    assert counted(built(declared(), path)) == {("01", 1): 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "case,bagde,day\nI1,01,2024-01-05\n",
            "the column badge, which records.officer names .nearest: bagde",
        ),
        ("case,badge,day\nI1,01,2024-01-05,x\n", "the header has 3 columns, but row 2 has 4 cells"),
        ("", "force.csv is empty"),
        (
            'case,badge,day,note\nI1,01,2024-01-05,"said\nI2,01,2024-01-06,x\n',
            "force.csv, line 2: not readable as",
        ),
        (
            'case,badge,day,note\nI1,01,2024-01-05,"a\nI2,01,2024-01-06,"b"\n',
            "force.csv, line 2: not readable as",
        ),
        ("case;badge;day\nI1;01;2024-01-05\n", "separated by semicolons"),
        (
            "case,badge,day\nI1,01,01/05/2024\nI2,01,\n",
            "none of its dates can be read as 2024-01-31: 01/05/2024.*date_format",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(declared, built, tmp_path, content, message):
    path = tmp_path / "force.csv"
    path.write_text(content)
    with pytest.raises(rct.DataError, match=message):
        built(declared(), path)


def test_a_missing_file_and_ids_that_are_decimals_are_refused(declared, built, tmp_path):
    with pytest.raises(rct.DataError, match="no such file"):
        built(declared(), tmp_path / "nowhere.csv")
    with pytest.raises(rct.DataError, match="column badge holds decimal numbers"):
        built(declared(), records(("I1", "01", "2024-01-05", "1")).assign(badge=1.0))


def test_another_roster_than_the_randomized_one_is_refused(declared, built, officers):
    frame = records(("I1", "01", "2024-01-05", "1"))
    assert built(declared(), frame, roster=officers.iloc[::-1]) == built(declared(), frame)
    with pytest.raises(rct.DataError, match="in officer_id 04"):
        built(declared(), frame, roster=officers.assign(squad=["A", "A", "B", "A"]))


def test_a_roster_in_another_form_of_the_same_characters_is_the_randomized_one(declared):
    composed = pd.DataFrame({"officer_id": ["Zoë", "Åsa"], "squad": ["É", "B"]})
    decomposed = composed.apply(lambda column: column.str.normalize("NFD"))
    assert decomposed.values.tolist() != composed.values.tolist()
    trial = declared()
    allocation = rct.randomize(trial, decomposed, seed="records")
    frame = records(("I1", "Zoë", "2024-01-05", "1"))
    for roster in (composed, decomposed):
        panel = rct.build_panel(trial, allocation, incidents=frame, roster=roster)
        assert panel.frame["force"].sum() == 1


def test_exposure_may_be_a_file(declared, built, tmp_path):
    table = pd.DataFrame(
        {"officer_id": ["01", "01", "02"], "period": ["1", "2024-02", "1"], "calls": ["3", "4.5", "0"]}
    )
    path = tmp_path / "exposure.csv"
    path.write_text(table.to_csv(index=False) + "\n")
    trial, frame = declared('exposure = "calls"'), records(("I1", "02", "2024-01-05", "1"))
    assert built(trial, frame, exposure=path) == built(trial, frame, exposure=table)
    with pytest.raises(rct.DataError, match="no such file of exposure"):
        built(trial, frame, exposure=tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("badge,period,exposure\n01,1,1\n", "lacks the column officer_id; it has badge, period, exposure"),
        ("officer_id,period,exposure\n\n01,1,1\n02,x,1\n", "outside the schedule: x in row 4"),
        ("officer_id,period,exposure\n\n01,1,1\n02,1,much\n", "column exposure: no .*: much in row 4"),
        ("officer_id,period,exposure\n01,1,1\n\n01,2024-01,1\n", "same officer_id and period: 01 in row 4"),
        ("officer_id,period,exposure\n\n01,1,1\n 02,1,1\n", "row 4: ' 02' begins"),
        ("officer_id,period,exposure\n01,1,1\n0\u200b2,1,1\n", r"row 3: 0\\u200b2 \(zero width space"),
        ("officer_id,period,exposure\n\n", "there is no row in it"),
        (
            "officer_id,period,exposure\n1,1,1\n",
            "no unit of the roster has any.* names 1, the roster 01, 02, 03",
        ),
        ("officer_id,period,exposure\n01,1,0\n", "column exposure: no unit of the roster has any"),
    ],
)
def test_a_file_of_exposure_that_cannot_be_used_is_named_with_its_rows(
    declared, built, tmp_path, content, message
):
    path = tmp_path / "hours.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(rct.DataError, match=f"hours.csv.*{message}"):
        built(declared(), records(("I1", "02", "2024-01-05", "1")), exposure=path)


def test_exposure_comes_from_its_table(declared, built):
    exposure = pd.DataFrame(
        {
            "officer_id": ["01", "01", "02"],
            "period": ["1", "2024-02", "1"],
            "exposure": ["0.5", "1", "0"],
            "calls": [3, 4, 5],
        }
    )
    frame = records(("I1", "02", "2024-01-05", "1"))
    panel = built(declared('exposure = "calls"'), frame, exposure=exposure)
    rows = panel.frame.set_index(["unit", "period"])
    assert rows.loc[("01", 1), "exposure"] == 0.5
    assert rows.loc[("01", 3), "exposure"] == 0
    assert rows.loc[("02", 1), "exposure:force"] == 5
    assert panel.problems["unit"].tolist() == ["03", "04"]
    plain = built(declared(), frame, exposure=exposure)
    assert (
        "1 force in period 2024-01, in which the unit has no exposure" in plain.problems["problem"].tolist()
    )
    with pytest.raises(rct.TrialError, match="give exposure= .rct panel: --exposure FILE"):
        built(declared('exposure = "calls"'), frame)
    with pytest.raises(rct.DataError, match="column exposure: no number of 0 or more: -1 in row 2"):
        built(declared(), frame, exposure=exposure.assign(exposure=[-1, 1, 1]))


def test_a_panel_with_problems_reads_back_equal(declared, built, tmp_path):
    panel = built(declared(), records(("I1", "99", "2024-01-05", "1"), ("I2", "01", "2024-01-05", "1")))
    panel.write(tmp_path / "panel.parquet")
    assert rct.Panel.read(tmp_path / "panel.parquet") == panel
