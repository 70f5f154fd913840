import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

import rct
from rct.errors import AllocationError, DataError
from rct.identifiers import join
from rct.randomization.rosters import checked_roster, read_roster, roster_hash
from rct.trial_tables import Units

VECTORS = json.loads((Path(__file__).parent / "allocation_vectors.json").read_text(encoding="utf-8"))
OFFICERS = Units(randomize="officer_id", measure="officer", id="officer_id")
SQUADS = Units(randomize="squad", measure="officer", id="officer_id", block=("shift", "district"))


def written(folder, content, encoding="utf-8"):
    path = folder / "roster.csv"
    path.write_bytes(content.encode(encoding))
    return path


def test_every_column_is_read_as_text(tmp_path):
    roster = read_roster(written(tmp_path, "officer_id,age,note\n0412,41,NA\n412,1e5,\n"))
    assert roster.to_dict("list") == {
        "officer_id": ["0412", "412"],
        "age": ["41", "1e5"],
        "note": ["NA", ""],
    }


def test_byte_order_mark_carriage_returns_blank_lines_and_quotes_change_nothing(tmp_path):
    plain = read_roster(written(tmp_path, 'officer_id,name\n1,"Doe, J"\n2,X\n'))
    windows = read_roster(written(tmp_path, 'officer_id,name\r\n1,"Doe, J"\r\n\r\n2,X\r\n', "utf-8-sig"))
    assert windows.equals(plain)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("officer_id,squad\n1,A\n2\n3,B,C\n", "2 columns, but row 3 has 1 cell; row 4 has 3 cells"),
        (
            "Roster of 2024\nid,squad\n1,A\n2,B\n",
            r"first row has 1 cell \(Roster of 2024\), every .* 2\..*no title",
        ),
        ("", "empty"),
        ('officer_id,squad\n1,A\n2,"B\n3,C\n', r"line 3: not readable as CSV: .* Close every quotation mark"),
        ('officer_id,squad\n1,"A "one""\n', r'line 2: .*double those within a quoted cell \(""\)'),
        ("id,id\n1,2\n", 'repeated columns: "id" in column 1; "id" in column 2'),
        ("id,\n1,2\n", 'blank or repeated columns: "" in column 2.*no title stands above'),
    ],
)
def test_a_malformed_file_is_refused_with_its_rows(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_roster(written(tmp_path, content))


def test_a_missing_file_and_a_foreign_encoding_are_said(tmp_path):
    with pytest.raises(DataError, match=r"nobody\.csv: there is no such file"):
        read_roster(tmp_path / "nobody.csv")
    with pytest.raises(DataError, match='is "Unicode text" .UTF-16.; save it as "CSV UTF-8"'):
        read_roster(written(tmp_path, "officer_id\n1\n", "utf-16"))
    with pytest.raises(DataError, match="line 2: a character is not UTF-8"):
        read_roster(written(tmp_path, "officer_id\nJosé\n", "latin-1"))


def test_rows_are_numbered_as_a_spreadsheet_shows_them_blank_lines_and_lines_in_cells_too(tmp_path):
    content = '\nofficer_id,name\n\n1,"Doe,\nJ"\n2,X\n , \n,\n1,Y\n'
    roster = read_roster(written(tmp_path, content))
    assert roster["officer_id"].tolist() == ["1", "2", "1"]
    with pytest.raises(DataError, match='"1" in rows 4, 8'):
        checked_roster(roster, OFFICERS)
    with pytest.raises(DataError, match='"1" in rows 4, 8'):
        checked_roster(roster[roster["officer_id"] == "1"], OFFICERS)
    with pytest.raises(DataError, match="row 4 has 1 cell"):
        read_roster(written(tmp_path, "officer_id,name\n1,X\n\n2\n"))
    with pytest.raises(DataError, match="row 4: ' 2' begins"):
        checked_roster(read_roster(written(tmp_path, "officer_id,name\n1,X\n\n 2,Y\n")), OFFICERS)
    text = "officer_id,squad,shift,district\n1,A,day,7\n\n2,B,,7\n"
    with pytest.raises(DataError, match="shift is empty in row 4"):
        checked_roster(read_roster(written(tmp_path, text)), SQUADS)
    text = "officer_id,squad,shift,district\n2,A,day,7\n\n1,A,night,7\n"
    with pytest.raises(DataError, match=r"A: day/7 \(row 2\), night/7 \(row 4\)"):
        checked_roster(read_roster(written(tmp_path, text)), SQUADS)


def test_empty_rows_at_the_end_of_an_export_are_no_units(tmp_path):
    roster = read_roster(written(tmp_path, "officer_id,squad\r\n1,A\r\n,\r\n,\r\n\r\n"))
    assert len(checked_roster(roster, OFFICERS).frame) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("officer_id;squad\n1;A\n", "separated by semicolons"),
        ("officer_id\tsquad\n1\tA\n", "separated by tabs"),
        ("officer_id|squad\n1|A\n", "separated by upright strokes"),
        ("PK\x03\x04 and more", "is an Excel workbook"),
    ],
)
def test_what_excel_writes_is_refused_with_how_to_save_it(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_roster(written(tmp_path, content))


def test_the_roster_hash_is_that_of_the_vector():
    commitment = VECTORS["commitment"]
    roster = pd.DataFrame(commitment["roster"], columns=["officer_id", "division"])
    units = Units(randomize="division", measure="officer", id="officer_id")
    assert checked_roster(roster.iloc[::-1], units).hash == commitment["roster_hash"]


def test_the_roster_hash_reads_what_the_mechanism_reads_and_nothing_else():
    roster = pd.DataFrame(
        {"officer_id": ["1", "2"], "squad": ["A", "B"], "shift": "day", "district": "7", "age": ["40", "50"]}
    )
    base = roster_hash(roster, SQUADS)
    assert roster_hash(roster.assign(age="?"), SQUADS) == base
    for column in ("squad", "shift", "district"):
        assert roster_hash(roster.assign(**{column: "other"}), SQUADS) != base


def test_the_hashed_columns_stand_in_the_order_id_unit_then_blocks_by_name():
    roster = pd.DataFrame({"officer_id": ["b", "a"], "shift": "day", "squad": ["A", "B"], "district": "7"})
    rows = [
        join("officer_id", "squad", "district", "shift"),
        join("a", "B", "7", "day"),
        join("b", "A", "7", "day"),
    ]
    assert checked_roster(roster, SQUADS).hash == hashlib.sha256(join(*rows)).hexdigest()


def test_a_column_that_appears_twice_is_refused():
    roster = pd.DataFrame([["1", "2"]], columns=["officer_id", "officer_id"])
    with pytest.raises(DataError, match="more than once: officer_id"):
        checked_roster(roster, OFFICERS)


def test_a_missing_column_is_named_with_the_nearest_one(tmp_path):
    roster = read_roster(written(tmp_path, "officerid,squad\n1,A\n"))
    with pytest.raises(
        DataError, match=r'roster\.csv: there is no column "officer_id".*Did you mean "officerid"'
    ):
        checked_roster(roster, OFFICERS)


def test_repeated_ids_are_listed_with_their_rows_the_first_ten():
    roster = pd.DataFrame({"officer_id": [f"{i}" for i in range(12)] * 2})
    with pytest.raises(DataError, match='12 of the ids.*"0" in rows 2, 14.*and 2 more'):
        checked_roster(roster, OFFICERS)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.0, 2.0], "row 2: 1.0 is a decimal number"),
        (["1", ""], "row 3: a blank id"),
        (["1", None], "row 3: a missing id"),
        (["1", " 2"], "begins or ends with white space"),
    ],
)
def test_ids_that_are_decimals_blank_or_missing_are_refused_with_their_row(ids, message):
    with pytest.raises(DataError, match=message):
        checked_roster(pd.DataFrame({"officer_id": ids}), OFFICERS)


def test_integer_ids_become_their_text():
    assert checked_roster(pd.DataFrame({"officer_id": [10, 9]}), OFFICERS).frame["officer_id"].tolist() == [
        "10",
        "9",
    ]


def test_a_block_that_varies_within_a_randomized_unit_is_refused_with_both_rows():
    roster = pd.DataFrame(
        {
            "officer_id": ["1", "2", "3"],
            "squad": ["A", "A", "B"],
            "shift": ["day", "night", "day"],
            "district": "7",
        }
    )
    with pytest.raises(DataError, match=r"varies within a squad: A: day/7 \(row 2\), night/7 \(row 3\)"):
        checked_roster(roster, SQUADS)


def test_an_empty_block_is_refused_with_its_row():
    roster = pd.DataFrame(
        {"officer_id": ["1", "2"], "squad": ["A", "B"], "shift": ["day", ""], "district": "7"}
    )
    with pytest.raises(DataError, match="block column shift is empty in row 3"):
        checked_roster(roster, SQUADS)


def test_a_roster_without_rows_is_refused():
    with pytest.raises(AllocationError, match="no unit to randomize"):
        checked_roster(pd.DataFrame({"officer_id": []}, dtype="str"), OFFICERS)


def test_columns_that_are_not_read_are_kept_as_text():
    roster = pd.DataFrame({"officer_id": ["b", "a"], "years": [1.5, None]})
    kept = checked_roster(roster, OFFICERS).frame
    assert kept.to_dict("list") == {"officer_id": ["a", "b"], "years": ["", "1.5"]}


def test_whole_numbers_that_a_spreadsheet_turned_into_decimals_are_refused():
    """One id such as 2.0 among whole numbers is enough; an id such as v1.0 is a name like any other."""
    trial = rct.load("louisville_icat")
    names = [f"Division {number}" for number in range(1, 10)]
    shortened = pd.DataFrame({"officer_id": ["1", "1.2E+05", *"3456789"], "division": names})
    with pytest.raises(rct.DataError, match=r"ids in officer_id are decimal numbers: 1\.2E\+05 in row 3"):
        rct.randomize(trial, shortened, seed="a")
    mixed = pd.DataFrame({"officer_id": ["1", "2.0", *"3456789"], "division": names})
    with pytest.raises(rct.DataError, match=r"ids in officer_id are decimal numbers: 2\.0 in row 3"):
        rct.randomize(trial, mixed, seed=1)
    versions = pd.DataFrame({"officer_id": ["v1.0", "2.0", *"3456789"], "division": names})
    assert len(rct.randomize(trial, versions, seed=1).frame) == 9


def test_what_nobody_sees_in_an_id_is_refused_before_randomizing_with_row_and_name():
    """``A1`` of another file would not be found; what was randomized earlier can still be verified."""
    trial = rct.load("louisville_icat")
    names = [f"Division {number}" for number in range(1, 10)]
    ids = pd.DataFrame({"officer_id": [*"12345678", "9\u200b"], "division": names})
    said = r"column officer_id holds invisible characters: row 10: 9\\u200b \(zero width space, U\+200B\)"
    with pytest.raises(rct.DataError, match=said):
        rct.randomize(trial, ids, seed=1)
    divisions = pd.DataFrame({"officer_id": list("123456789"), "division": [*names[:8], "Division\xa09"]})
    with pytest.raises(
        rct.DataError, match=r"column division .*row 10: Division\\xa09 \(no-break space, U\+00A0"
    ):
        rct.commit(trial, divisions, source="lottery", round="2030-01-01")
    assert checked_roster(ids, trial.units).frame["officer_id"].iloc[-1] == "9\u200b"


def test_a_column_name_with_an_invisible_character_is_shown_with_it(tmp_path):
    roster = read_roster(written(tmp_path, "officer_id\u200b,squad\n1,A\n"))
    with pytest.raises(DataError, match=r'Did you mean "officer_id\\u200b"\?'):
        checked_roster(roster, OFFICERS)


def test_a_column_name_with_a_space_at_its_end_is_named(tmp_path):
    roster = read_roster(written(tmp_path, "officer_id ,squad\n1,A\n"))
    with pytest.raises(DataError, match='"officer_id " has white space at an end; take it out'):
        checked_roster(roster, OFFICERS)
