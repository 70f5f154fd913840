"""The condition of an outcome, evaluated over the incident records by a locked DuckDB.

A trial file may come from anybody, so its condition is an expression and nothing else: it is parsed, every
node of its tree must be on a short list, and the connection that evaluates it has no files, no network, no
extensions and no settings to change.
"""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from threading import Timer
from typing import TYPE_CHECKING, Any

from rct.errors import DataError
from rct.records.column_types import parts, quoted, text_ordering, typed

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd

LOCK = (
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    "python_enable_replacements = false",
    "python_scan_all_frames = false",
    "enable_external_access = false",
    "threads = 2",
    "memory_limit = '2GB'",
    "lock_configuration = true",
)
PARTS = (
    "COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "FUNCTION", "CAST", "CASE", "BETWEEN", "OPERATOR",
    "TYPE", "COLLATE",
)  # fmt: skip
CHARACTERS = 2000
SECONDS = 20.0
SHOWN = 300
# Deterministic functions of text, numbers and dates; the operators LIKE, ILIKE, ~ and || among them.
FUNCTIONS = frozenset((
    "+", "-", "*", "/", "%", "//", "||", "~~", "!~~", "~~*", "!~~*", "~~~", "abs", "round", "floor", "ceil",
    "greatest", "least", "lower", "upper", "trim", "ltrim", "rtrim", "length", "left", "right", "substr",
    "substring", "replace", "contains", "starts_with", "prefix", "ends_with", "suffix", "instr", "position",
    "strip_accents", "split_part", "string_split", "str_split", "list_contains", "list_has", "list_has_any",
    "array_contains", "list_value", "concat", "concat_ws", "nullif", "ifnull", "regexp_matches",
    "regexp_full_match", "regexp_extract", "regexp_replace", "like_escape", "not_like_escape", "ilike_escape",
    "not_ilike_escape", "strptime", "try_strptime", "date_part", "year", "month", "day", "hour", "minute",
    "dayofweek", "isodow", "date_diff",
))  # fmt: skip
ROW = "position of the record"
TYPES = (
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "NUMERIC", "REAL", "FLOAT", "DOUBLE",
    "VARCHAR", "TEXT", "STRING", "BOOLEAN", "BOOL", "DATE", "TIME", "TIMESTAMP", "DATETIME",
)  # fmt: skip
# Nested in each other, these make a text many times longer at every level.
LENGTHENING = ("replace", "regexp_replace", "concat_ws", "string_split", "str_split", "list_value")


def columns_of(condition: str, outcome: str) -> list[str]:
    """Name the columns that a condition reads, refusing whatever is not a plain expression over columns."""
    _, columns = _parsed(locked_connection(), condition, outcome)
    return columns


def satisfied(
    records: "pd.DataFrame", condition: str, outcome: str, *, places: Sequence[str]
) -> "np.ndarray":
    """Evaluate a condition for each record.

    Parameters
    ----------
    records
        Text columns, None where blank. A column that the condition sets beside a number is read as one, a
        column on its own as yes or no (yes, true, t, y, 1 and their opposites).
    condition
        An expression in DuckDB's SQL: ``force_level >= 1 AND injured = 'Yes'``.
    outcome
        Its outcome, for messages.
    places
        Where each record stands ("force.csv, row 12"), for messages.

    Returns
    -------
    object array
        True, False, or None where a blank leaves it open.

    Raises
    ------
    DataError
        For anything but one true-or-false expression over the records' columns, and for a value that cannot
        be read as the number or date that the condition takes it for.
    """
    import duckdb
    import pandas as pd

    connection = duckdb.connect(":memory:")
    cells = pd.DataFrame({name: _text_or_none(records[name]) for name in records.columns})
    connection.register("given", cells.assign(**{ROW: range(len(cells))}))
    # Every column as text, a wholly blank one too.
    as_text = f'SELECT CAST(COLUMNS(* EXCLUDE "{ROW}") AS VARCHAR), "{ROW}" FROM given'
    connection.execute(f"CREATE TABLE incidents AS {as_text}")
    connection.unregister("given")
    _lock(connection)
    query, columns = _parsed(connection, condition, outcome)
    _require_columns(columns, list(records.columns), condition, outcome)
    select = f'{query} AS holds, "{ROW}" FROM incidents'
    try:
        ((_, kind, *_), *_) = connection.execute(f"DESCRIBE {select}").fetchall()
    except duckdb.BinderException:
        raise _refused(condition, outcome, _unfitting(columns)) from None
    except duckdb.Error as error:
        raise _refused(condition, outcome, str(error).splitlines()[0]) from None
    if kind not in ("BOOLEAN", '"NULL"'):
        raise _refused(condition, outcome, f"it gives {kind}, not true or false; compare it with something")
    try:
        rows = _fetched(connection, f'{select} ORDER BY "{ROW}"')
    except duckdb.InterruptException:
        raise _refused(condition, outcome, f"it takes more than {SECONDS:g} seconds") from None
    except duckdb.Error as error:
        place = places[_first_failing(connection, select, len(cells))]
        raise _refused(condition, outcome, f"{place}: {str(error).splitlines()[0]}") from None
    return pd.Series([holds for holds, _ in rows], dtype=object).to_numpy()


def locked_connection() -> "duckdb.DuckDBPyConnection":
    """Open a DuckDB in memory that can reach nothing and whose settings cannot be changed."""
    import duckdb

    connection = duckdb.connect(":memory:")
    _lock(connection)
    return connection


def _fetched(connection: "duckdb.DuckDBPyConnection", query: str) -> list[Any]:
    """Give the rows of a query, interrupted when it takes too long."""
    timer = Timer(SECONDS, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        return connection.execute(query).fetchall()
    finally:
        timer.cancel()


def _lock(connection: "duckdb.DuckDBPyConnection") -> None:
    for setting in LOCK:
        connection.execute(f"SET {setting}")


def _text_or_none(column: "pd.Series") -> "pd.Series":
    return column.astype(object).where(column.notna(), None)


def _parsed(connection: "duckdb.DuckDBPyConnection", condition: str, outcome: str) -> tuple[str, list[str]]:
    """Give ``SELECT (condition)`` with its columns read as numbers or truths, and the columns it reads."""
    import duckdb

    if len(condition) > CHARACTERS:
        raise _refused(condition, outcome, f"it has more than {CHARACTERS:,} characters")
    try:
        return _read(connection, condition, outcome)
    except (RecursionError, duckdb.SerializationException):
        raise _refused(condition, outcome, "it is nested too deeply") from None


def _read(connection: "duckdb.DuckDBPyConnection", condition: str, outcome: str) -> tuple[str, list[str]]:
    tree = _tree(connection, condition)
    if tree.get("error"):
        raise _refused(condition, outcome, tree.get("error_message", "it is no expression"))
    plain = _tree(connection, "true")
    expression = _select(tree).get("select_list", []) if len(tree["statements"]) == 1 else []
    if len(expression) != 1 or _without_select_list(tree) != _without_select_list(plain):
        raise _refused(condition, outcome, "it is more than one expression")
    columns: list[str] = []
    for part in parts(expression[0]):
        _require_plain(part, condition, outcome)
        if part["class"] == "COLUMN_REF":
            columns.append(".".join(part["column_names"]))
    ordered = text_ordering(expression[0])
    if ordered:
        raise _refused(condition, outcome, ordered)
    casts = {
        kind: _select(_tree(connection, f"CAST(x AS {kind})"))["select_list"][0]
        for kind in ("DOUBLE", "BOOLEAN")
    }
    _select(tree)["select_list"] = [typed(expression[0], casts)]
    (query,) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchone() or (
        "",
    )
    return str(query), list(dict.fromkeys(columns))


def _tree(connection: "duckdb.DuckDBPyConnection", condition: str) -> Any:
    (text,) = connection.execute(
        "SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT (\n{condition}\n)"]
    ).fetchone() or ("",)
    return json.loads(text)


def _select(tree: Any) -> Any:
    return tree["statements"][0]["node"]


def _without_select_list(tree: Any) -> Any:
    return [
        {**tree, "statements": []},
        {**tree["statements"][0], "node": {**_select(tree), "select_list": []}},
    ]


def _require_plain(part: Any, condition: str, outcome: str) -> None:
    kind = part["class"]
    if kind not in PARTS:
        raise _refused(condition, outcome, f"a condition may not hold a {kind.lower().replace('_', ' ')}")
    if kind == "FUNCTION":
        name = part["function_name"].lower()
        if name == "row":
            raise _refused(condition, outcome, "it has nothing, or a list, where one expression is needed")
        if name not in FUNCTIONS or part.get("schema") or part.get("catalog"):
            raise _refused(
                condition, outcome, f"the function {part['function_name']} may not be used in a condition"
            )
    if kind == "TYPE" and part["type_name"].upper() not in TYPES:
        raise _refused(condition, outcome, f"a condition may not cast to {part['type_name']}")
    if _lengthens(part) and sum(map(_lengthens, parts(part))) > 1:
        raise _refused(
            condition, outcome, f"{part['function_name']} may not hold another function that lengthens text"
        )


def _lengthens(part: Any) -> bool:
    """Tell whether a function may make a text longer; replacing by something no longer does not."""
    name = part.get("function_name", "").lower()
    if name not in ("replace", "regexp_replace"):
        return name in LENGTHENING
    texts = [argument["expression"].get("literal", {}).get("text") for argument in part["arguments"][1:]]
    if None in texts or len(texts) < 2:
        return True
    old, new = texts[:2]
    return new != "" and (name == "regexp_replace" or len(new) > len(old))


def _unfitting(columns: list[str]) -> str:
    column = columns[0] if columns else "level"
    return (
        "its parts do not fit together: a column is text where it does not stand beside a number; "
        f"write CAST({quoted(column)} AS DOUBLE) where a number, or AS DATE where a date is needed"
    )


def _require_columns(wanted: list[str], there: list[str], condition: str, outcome: str) -> None:
    known = {name.lower(): name for name in there}
    for name in wanted:
        if name.lower() not in known:
            near = get_close_matches(name.lower(), known, n=1)
            meant = f" (nearest: {known[near[0]]})" if near else f"; there are {', '.join(there)}"
            raise _refused(condition, outcome, f"the records have no column {name}{meant}")


def _first_failing(connection: "duckdb.DuckDBPyConnection", select: str, rows: int) -> int:
    """Find the first row whose value cannot be read, by halving."""
    import duckdb

    whole, failing = 0, rows
    while failing - whole > 1:
        middle = (whole + failing) // 2
        try:
            _fetched(connection, f'{select} WHERE "{ROW}" >= {whole} AND "{ROW}" < {middle}')
            whole = middle
        except duckdb.Error:
            failing = middle
    return whole


def _refused(condition: str, outcome: str, reason: str) -> DataError:
    shown = condition if len(condition) <= SHOWN else f"{condition[:SHOWN]} …"
    return DataError(
        f"outcome {outcome}: where = {shown!r} cannot be evaluated: {reason}. Write one true-or-false "
        "expression over the columns of the incident records, such as force_level >= 1."
    )
