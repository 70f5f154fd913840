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
        ("abs(level) > 1", [False, None, False, True]),
        ("level % 2 = 0", [False, None, False, True]),
        ("coalesce(level, 0) >= 1", [True, False, False, True]),
        ("nullif(level, '1') > 1", [None, None, False, True]),
        ("CASE WHEN injured = 'Yes' THEN level ELSE 3 END > 1", [False, True, True, True]),
        ("greatest(level, 3) > 3", [False, False, False, True]),
        ("level > length('ab')", [False, None, False, True]),
        ("level > CAST(level AS INTEGER) - 1", [True, None, True, True]),
        ("level = injured", [False, None, None, False]),
        ("level > '1'", [False, None, False, True]),
        ("replace(replace(injured, 'Y', 'y'), 'es', '') = 'y'", [True, False, None, False]),
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
        "-- nothing",
        "level::BLOB::BIT::VARCHAR = 'x'",
        "concat_ws(concat_ws(level, 1, 1, 1), 1, 1, 1) = 'x'",
        "replace(replace(level, '1', '11'), '1', '11') = 'x'",
        "replace(level, '1') = 'x'",
        "NOT " * 400 + "injured",
        "-(" * 500 + "level" + ")" * 500 + " > 1",
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


@pytest.mark.parametrize(
    "condition",
    [
        "level > injured",
        "level BETWEEN injured AND level",
        "coalesce(level, injured) <= injured",
        "greatest(level, injured) > 3",
        "CASE WHEN level >= injured THEN true END",
    ],
)
def test_columns_are_not_put_in_order_as_text(condition):
    said = r"would order .* as text, .* write CAST\(level AS INTEGER\) > CAST\(injured AS INTEGER\)|CAST"
    with pytest.raises(rct.DataError, match=said):
        satisfied(RECORDS, condition, "force", places=PLACES)


def test_columns_are_compared_as_numbers_where_the_condition_says_so():
    records = RECORDS.assign(other=["9", "9", "9", "9"])
    condition = "CAST(level AS DOUBLE) > CAST(other AS DOUBLE)"
    assert satisfied(records, condition, "force", places=PLACES).tolist() == [False, None, False, True]


def test_parts_that_do_not_fit_are_told_in_plain_words():
    with pytest.raises(
        rct.DataError, match=r'write CAST\("Force Type" AS DOUBLE\) where a number, or AS DATE'
    ):
        satisfied(RECORDS, 'year("Force Type") > 2000', "force", places=PLACES)


def test_a_condition_of_endless_length_is_refused_and_not_repeated_whole():
    condition = " OR ".join(["level = 1"] * 20_000)
    with pytest.raises(rct.DataError, match="more than 2,000 characters") as caught:
        columns_of(condition, "force")
    assert len(str(caught.value)) < 1000


def test_a_condition_that_takes_too_long_is_interrupted(monkeypatch):
    monkeypatch.setattr("rct.records.condition.SECONDS", 0.05)
    many = pd.DataFrame({"text": ["ab" * 200] * 20_000})
    condition = " OR ".join(f"regexp_extract(text, '((a|b)*)(b|a)*{c}?$', 2) = 'c'" for c in "cdefghij")
    with pytest.raises(rct.DataError, match="it takes more than 0.05 seconds"):
        satisfied(many, condition, "force", places=[])
