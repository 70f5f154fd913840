"""What a condition takes its text columns for: numbers, true or false, or text that may not be ordered."""

from collections.abc import Mapping
from typing import Any

NUMBERS = (
    "INTEGER",
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "NUMERIC",
    "BIGINT",
    "HUGEINT",
    "SMALLINT",
    "TINYINT",
    "REAL",
)
# These take numbers only, so a column within them is one.
OF_NUMBERS = frozenset(("+", "-", "*", "/", "%", "//", "abs", "round", "floor", "ceil"))
GIVING_NUMBERS = OF_NUMBERS | {
    "length", "instr", "position", "date_part", "year", "month", "day", "hour", "minute", "dayofweek",
    "isodow", "date_diff",
}  # fmt: skip
# These give back one of their operands.
CHOOSING = ("OPERATOR_COALESCE", "CASE_EXPR", "greatest", "least", "nullif", "ifnull")


def typed(expression: Any, casts: Mapping[str, Any]) -> Any:
    """Read the columns of an expression's tree as numbers or truths where it asks for just that.

    A column is read as a number within a calculation and beside a number, in a comparison or where one of
    the two is chosen (``coalesce(level, 0)``); as true or false beside AND, OR and NOT, and on its own.
    """
    return _cast(_typed(expression, casts), casts["BOOLEAN"])


def text_ordering(expression: Any) -> str:
    """Say which columns a condition would put in order as text, where it compares nothing else; or ""."""
    for part in parts(expression):
        if _orders(part) and all(map(_is_untyped, _operands(part))):
            names = list(dict.fromkeys(_columns(_operands(part))))
            numbers = " > ".join(f"CAST({quoted(name)} AS INTEGER)" for name in names[:2])
            return (
                f"it would order {', '.join(names)} as text, in which 10 comes before 9; write "
                f"{numbers}, or AS DATE for dates"
            )
    return ""


def parts(node: Any) -> list[Any]:
    """List all nodes of an expression's tree."""
    if isinstance(node, list):
        return [part for item in node for part in parts(item)]
    if not isinstance(node, dict):
        return []
    return ([node] if "class" in node else []) + [part for item in node.values() for part in parts(item)]


def quoted(column: str) -> str:
    """Write a column's name as SQL does."""
    return column if column.isidentifier() else f'"{column}"'


def _typed(node: Any, casts: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_typed(item, casts) for item in node]
    if not isinstance(node, dict):
        return node
    below = {key: _typed(value, casts) for key, value in node.items()}
    kind, name = node.get("class"), _name(node)
    if kind == "CONJUNCTION" or name == "OPERATOR_NOT":
        return {key: _cast(value, casts["BOOLEAN"]) for key, value in below.items()}
    compares = kind in ("COMPARISON", "BETWEEN") or name in ("COMPARE_IN", "COMPARE_NOT_IN", *CHOOSING)
    if name in OF_NUMBERS or (compares and any(_is_number(operand) for operand in _operands(node))):
        return _cast_operands(below, casts["DOUBLE"])
    return below


def _name(node: Any) -> str:
    return str(node["function_name"]).lower() if node.get("class") == "FUNCTION" else str(node.get("type"))


def _operands(node: Any) -> list[Any]:
    """List what a node compares, chooses from or calculates with; of CASE, what it may give."""
    kind = node.get("class")
    if kind == "CASE":
        given = [*(check["then_expr"] for check in node["case_checks"]), node.get("else_expr")]
    elif kind == "FUNCTION":
        given = [argument["expression"] for argument in node["arguments"]]
    else:
        given = [item for value in node.values() for item in (value if isinstance(value, list) else [value])]
    return [item for item in given if isinstance(item, dict) and "class" in item]


def _is_number(node: Any) -> bool:
    kind, name = node.get("class"), _name(node)
    if kind == "CONSTANT":
        return str(node.get("literal", {}).get("kind")) in NUMBERS
    if kind == "CAST":
        return str(node.get("type_expr", {}).get("type_name")) in NUMBERS
    return name in GIVING_NUMBERS or (name in CHOOSING and any(map(_is_number, _operands(node))))


def _is_untyped(node: Any) -> bool:
    """Tell whether a node gives the bare text of a column."""
    if node.get("class") == "COLUMN_REF":
        return True
    return _name(node) in CHOOSING and not _is_number(node) and any(map(_is_untyped, _operands(node)))


def _orders(node: Any) -> bool:
    name = _name(node)
    return name.startswith(("COMPARE_GREATER", "COMPARE_LESS", "COMPARE_BETWEEN")) or name in (
        "greatest", "least",
    )  # fmt: skip


def _columns(nodes: list[Any]) -> list[str]:
    return [".".join(part["column_names"]) for part in parts(nodes) if part["class"] == "COLUMN_REF"]


def _cast_operands(node: Any, cast: Any) -> Any:
    if node.get("class") != "CASE":
        return {key: _cast(value, cast) for key, value in node.items()}
    checks = [{**check, "then_expr": _cast(check["then_expr"], cast)} for check in node["case_checks"]]
    return {**node, "case_checks": checks, "else_expr": _cast(node.get("else_expr"), cast)}


def _cast(value: Any, cast: Any) -> Any:
    if isinstance(value, list):
        return [_cast(item, cast) for item in value]
    if isinstance(value, dict) and "class" in value and _is_untyped(value):
        return {**cast, "child": value}
    if isinstance(value, dict) and "expression" in value and "class" not in value:
        return {**value, "expression": _cast(value["expression"], cast)}
    return value
