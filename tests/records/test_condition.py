"""Conditions are expressions over the records and reach nothing else."""

import duckdb
import pandas as pd
import pytest

import rct
from rct.records.condition import columns_of, locked_connection, satisfied

RECORDS = pd.DataFrame(
    {
        "level": ["1", None, "0.4", "10"],
        "injured": ["Yes", "no", None, "true"],
        "Force Type": ["Taser, Baton", "Baton", "OC", None],
    }
)
PLACES = [f"force.csv, row {row}" for row in (2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("level >= 1", [True, None, False, True]),
        ("level > 0.1", [True, None, True, True]),
        ("level = '1'", [True, None, False, False]),
        ("level IN (1, 10)", [True, None, False, True]),
        ("level BETWEEN 0 AND 2 OR level IS NULL", [True, True, True, False]),
        ("level + 1 > -2", [True, None, True, True]),
        ("injured", [True, False, None, True]),
        ("NOT injured AND level IS NULL", [False, True, False, False]),
        ("injured = 'Yes' -- as typed", [True, False, None, False]),
        ("list_contains(string_split(\"Force Type\", ', '), 'Baton')", [True, True, False, None]),
        ("\"Force Type\" LIKE '%Baton'", [True, True, False, None]),
    ],
)
def test_a_condition_reads_text_as_it_is_used(condition, expected):
    assert satisfied(RECORDS, condition, "force", places=PLACES).tolist() == expected


@pytest.mark.parametrize(
    "condition",
    [
        "read_text('/etc/passwd') = 'x'",
        "(SELECT content FROM read_text('/etc/passwd')) = 'x'",
        "EXISTS (FROM glob('/*'))",
        "EXISTS (FROM '/etc/passwd')",
        "level IN (SELECT * FROM read_csv('/etc/passwd'))",
        "1) FROM read_csv('/etc/passwd') WHERE (true",
        "true) ORDER BY (1",
        "true); COPY incidents TO 'x.csv'; SELECT (true",
        "true); ATTACH 'x.db'; SELECT (true",
        "true); SET threads = 1; SELECT (true",
        "true); PRAGMA database_list; SELECT (true",
        "PRAGMA database_list",
        "true, true",
        "getenv('HOME') = 'x'",
        "current_setting('threads') = '2'",
        "glob('*')",
        "query('SELECT 1')",
        "random() > 0.5",
        "now() > '2024-01-01'",
        "count(*) > 1",
        "row_number() OVER () = 1",
        "level = $1",
        "*",
        "COLUMNS('level')",
        "rowid = 1",
        "level",
        "'Yes'",
        "",
    ],
)
def test_whatever_is_no_condition_over_the_records_is_refused(condition, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rct.DataError, match="outcome force: where"):
        satisfied(RECORDS, condition, "force", places=PLACES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "COPY (SELECT 1) TO 'x.csv'",
        "ATTACH 'x.db'",
        "SET threads = 1",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM RECORDS",
    ],
)
def test_the_connection_itself_reaches_nothing(statement, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(duckdb.Error):
        locked_connection().execute(statement).fetchall()
    assert not list(tmp_path.iterdir())


def test_a_value_that_cannot_be_read_is_named_with_its_row():
    with pytest.raises(rct.DataError, match=r"force.csv, row 4: .*'OC'"):
        satisfied(RECORDS.assign(level=["1", None, "OC", "x"]), "level >= 1", "force", places=PLACES)


def test_a_misspelt_column_gets_the_nearest():
    with pytest.raises(rct.DataError, match="no column injurd .nearest: injured"):
        satisfied(RECORDS, "injurd", "force", places=PLACES)


def test_the_columns_of_a_condition_are_known_before_the_files_are_read():
    assert columns_of("level >= 1 AND \"Force Type\" = 'OC'", "force") == ["level", "Force Type"]
