"""The condition of an outcome, evaluated over the incident records by a locked DuckDB.

A trial file may come from anybody, so its condition is an expression and nothing else: it is parsed, every
node of its tree must be on a short list, and the connection that evaluates it has no files, no network, no
extensions and no settings to change.
"""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from rct.errors import DataError

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
ARITHMETIC = ("+", "-", "*", "/")
# Deterministic functions of text, numbers and dates; the operators LIKE, ILIKE, ~ and || among them.
FUNCTIONS = frozenset((
    *ARITHMETIC, "%", "//", "||", "~~", "!~~", "~~*", "!~~*", "~~~", "abs", "round", "floor", "ceil",
    "greatest", "least", "lower", "upper", "trim", "ltrim", "rtrim", "length", "left", "right", "substr",
    "substring", "replace", "contains", "starts_with", "prefix", "ends_with", "suffix", "instr", "position",
    "strip_accents", "split_part", "string_split", "str_split", "list_contains", "list_has", "list_has_any",
    "array_contains", "list_value", "concat", "concat_ws", "nullif", "ifnull", "regexp_matches",
    "regexp_full_match", "regexp_extract", "regexp_replace", "like_escape", "not_like_escape", "ilike_escape",
    "not_ilike_escape", "strptime", "try_strptime", "date_part", "year", "month", "day", "hour", "minute",
    "dayofweek", "isodow", "date_diff",
))  # fmt: skip
ROW = "position of the record"
NUMBERS = ("INTEGER", "DECIMAL", "DOUBLE", "FLOAT", "NUMERIC", "BIGINT", "HUGEINT")


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
    except duckdb.Error as error:
        raise _refused(condition, outcome, str(error).splitlines()[0]) from None
    if kind not in ("BOOLEAN", '"NULL"'):
        raise _refused(condition, outcome, f"it gives {kind}, not true or false; compare it with something")
    try:
        rows = connection.execute(f'{select} ORDER BY "{ROW}"').fetchall()
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


def _lock(connection: "duckdb.DuckDBPyConnection") -> None:
    for setting in LOCK:
        connection.execute(f"SET {setting}")


def _text_or_none(column: "pd.Series") -> "pd.Series":
    return column.astype(object).where(column.notna(), None)


def _parsed(connection: "duckdb.DuckDBPyConnection", condition: str, outcome: str) -> tuple[str, list[str]]:
    """Give ``SELECT (condition)`` with its columns read as numbers or truths, and the columns it reads."""
    tree = _tree(connection, condition)
    if tree.get("error"):
        raise _refused(condition, outcome, tree.get("error_message", "it is no expression"))
    plain = _tree(connection, "true")
    expression = _select(tree).get("select_list", []) if len(tree["statements"]) == 1 else []
    if len(expression) != 1 or _without_select_list(tree) != _without_select_list(plain):
        raise _refused(condition, outcome, "it is more than one expression")
    columns: list[str] = []
    for part in _parts(expression[0]):
        _require_plain(part, condition, outcome)
        if part["class"] == "COLUMN_REF":
            columns.append(".".join(part["column_names"]))
    casts = {
        kind: _select(_tree(connection, f"CAST(x AS {kind})"))["select_list"][0]
        for kind in ("DOUBLE", "BOOLEAN")
    }
    _select(tree)["select_list"] = [_cast_columns(_typed(expression[0], casts), casts["BOOLEAN"])]
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


def _parts(node: Any) -> list[Any]:
    """List all nodes of an expression's tree."""
    if isinstance(node, list):
        return [part for item in node for part in _parts(item)]
    if not isinstance(node, dict):
        return []
    return ([node] if "class" in node else []) + [part for item in node.values() for part in _parts(item)]


def _require_plain(part: Any, condition: str, outcome: str) -> None:
    kind = part["class"]
    if kind not in PARTS:
        raise _refused(condition, outcome, f"a condition may not hold a {kind.lower().replace('_', ' ')}")
    if kind == "FUNCTION":
        name = part["function_name"].lower()
        if name not in FUNCTIONS or part.get("schema") or part.get("catalog"):
            raise _refused(
                condition, outcome, f"the function {part['function_name']} may not be used in a condition"
            )


def _typed(node: Any, casts: Mapping[str, Any]) -> Any:
    """Read columns as numbers beside a number, and as true or false where the condition asks just that."""
    if isinstance(node, list):
        return [_typed(item, casts) for item in node]
    if not isinstance(node, dict):
        return node
    below = {key: _typed(value, casts) for key, value in node.items()}
    kind, name = node.get("class"), node.get("type")
    if kind == "CONJUNCTION" or (kind == "OPERATOR" and name == "OPERATOR_NOT"):
        return {key: _cast_columns(value, casts["BOOLEAN"]) for key, value in below.items()}
    compares = kind in ("COMPARISON", "BETWEEN") or (
        kind == "OPERATOR" and name in ("COMPARE_IN", "COMPARE_NOT_IN")
    )
    sums = kind == "FUNCTION" and node["function_name"] in ARITHMETIC
    if sums or (compares and any(_is_number(operand) for operand in _operands(node))):
        return {key: _cast_columns(value, casts["DOUBLE"]) for key, value in below.items()}
    return below


def _operands(node: Any) -> list[Any]:
    listed = [item for value in node.values() for item in (value if isinstance(value, list) else [value])]
    return [item for item in listed if isinstance(item, dict)]


def _is_number(node: Any) -> bool:
    if node.get("class") == "CONSTANT":
        return str(node.get("literal", {}).get("kind")) in NUMBERS
    return node.get("class") == "FUNCTION" and node["function_name"] in ARITHMETIC


def _cast_columns(value: Any, cast: Any) -> Any:
    if isinstance(value, list):
        return [_cast_columns(item, cast) for item in value]
    if isinstance(value, dict) and value.get("class") == "COLUMN_REF":
        return {**cast, "child": value}
    if isinstance(value, dict) and "expression" in value and "class" not in value:
        return {**value, "expression": _cast_columns(value["expression"], cast)}
    return value


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
            connection.execute(f'{select} WHERE "{ROW}" >= {whole} AND "{ROW}" < {middle}').fetchall()
            whole = middle
        except duckdb.Error:
            failing = middle
    return whole


def _refused(condition: str, outcome: str, reason: str) -> DataError:
    return DataError(
        f"outcome {outcome}: where = {condition!r} cannot be evaluated: {reason}. Write one true-or-false "
        "expression over the columns of the incident records, such as force_level >= 1."
    )
