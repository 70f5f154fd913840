"""Messages about a trial file: each with the file, the line and how to mend it, all of them at once."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from rct.errors import TrialError

Place = tuple[str | int, ...]
SHOWN = 10
BRANCH = r"constrained-\w+|literal\[.*\]|tuple\[.*\]"
"""What pydantic adds to the place of a value that may be of several types: no key of any file."""
KINDS = ((r"a valid (tuple|list)", "a list in brackets"), (r"a valid dictionary.*", "a table"))
"""Types in the words of TOML."""


def trial_error(name: str, text: str, problems: Iterable[tuple[Place, str]]) -> TrialError:
    """Make one error of all problems, in the order of the file's lines."""
    placed = sorted({(line_of(text, place), message) for place, message in problems})
    lines = [f"{name}, line {line}: {message}" if line else f"{name}: {message}" for line, message in placed]
    rest = len(lines) - SHOWN
    return TrialError("\n".join(lines[:SHOWN] + ([f"and {rest} more problems"] if rest > 0 else [])))


def validation_problems(model: type[BaseModel], error: ValidationError) -> list[tuple[Place, str]]:
    """Give the place and a plain sentence for each of pydantic's complaints."""
    lacking = [item["loc"] for item in error.errors() if item["type"] == "missing"]
    return [
        _problem(model, item["loc"], item["type"], item["msg"], item["input"], lacking)
        for item in error.errors()
    ]


def _problem(
    model: type[BaseModel], place: Place, kind: str, message: str, given: object, lacking: Sequence[Place]
) -> tuple[Place, str]:
    place = tuple(part for part in place if not re.fullmatch(BRANCH, str(part)))
    shown = ".".join(str(part) for part in place if isinstance(part, str))
    if kind == "extra_forbidden":
        return place, _unknown_key(model, place, lacking)
    if kind.startswith("date_"):
        return place, f"{shown}: write a date such as 2024-01-31, without quotation marks, not {given!s:.60}"
    if kind == "missing":
        return place[:-1], f"{shown} is missing"
    if kind == "union_tag_invalid":
        message = f"kind should be one of {message.rpartition('expected tags: ')[2]}"
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    for python, toml in KINDS:
        message = re.sub(python, toml, message)
    said = "" if kind == "value_error" or isinstance(given, dict | list) else f", not {given!s:.60}"
    return place, f"{shown}: {message}{said}" if shown else message


def _unknown_key(model: type[BaseModel], place: Place, lacking: Sequence[Place]) -> str:
    """Name the nearest key, one that the table lacks before one that it may have."""
    key = str(place[-1])
    known = list(_table_at(model, place[:-1]).model_fields)
    missing = [str(other[-1]) for other in lacking if other[:-1] == place[:-1]]
    near = [
        found
        for names in (missing, known)
        for found in difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    ]
    table = ".".join(str(part) for part in place[:-1] if isinstance(part, str))
    where = f"a key of [{table}]" if table else "a table or key of this file"
    advice = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
    return f'"{key}" is not {where}; {advice}'


def _table_at(model: type[BaseModel], place: Place) -> type[BaseModel]:
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            found = _models_in(model.model_fields[part].annotation)
            model = found[0] if found else model
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]


def line_of(text: str, place: Sequence[str | int]) -> int:
    """Find the line of a key in a TOML text, or of the table around it; 0 when neither is there.

    The text is searched as it stands, since the parser keeps no positions: headers give the table and its
    number among those of one name, the last part of the place the key.
    """
    names = [str(part) for part in place if isinstance(part, str)]
    numbers = [part for part in place if isinstance(part, int)]
    best, depth, table = 0, 0, list[str]()
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[(\[?)([^\[\]]+)\]", line)
        if header:
            table = [part.strip().strip("\"'") for part in header[2].split(".")]
            seen[header[2]] = seen.get(header[2], -1) + 1
        if table != names[: len(table)]:
            continue
        if numbers and table and _is_array(text, table) and seen.get(".".join(table)) != numbers[0]:
            continue
        found = len(table) if header else len(table) + _keys_on(line, names[len(table) :])
        if found > depth:
            best, depth = number, found
    return best


def _is_array(text: str, table: Sequence[str]) -> bool:
    return f"[[{'.'.join(table)}]]" in text


def _keys_on(line: str, names: Sequence[str]) -> int:
    """Count how many of the successive key names stand on this line, the first of them before an ``=``."""
    found, position = 0, 0
    code = line.split("#", 1)[0]
    for name in names:
        match = re.compile(rf"(?<![\w-])[\"']?{re.escape(name)}[\"']?\s*=").search(code, position)
        if not match:
            break
        found, position = found + 1, match.end()
    return found
