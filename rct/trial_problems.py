"""Messages about a trial file: each with the file, the line and how to mend it, all of them at once."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from rct.errors import TrialError
from rct.trial_values import as_written

Place = tuple[str | int, ...]
Complaint = Mapping[str, Any]
"""One of pydantic's, as ``ValidationError.errors`` gives it."""
SHOWN = 10
WANTED = {
    "string_type": "text in quotation marks",
    "tuple_type": "a list in brackets",
    "is_instance_of": "a list in brackets",
    "sequence_str": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "too_short": "a list of {min_length} or more",
    "literal_error": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
    "union_tag_not_found": "a table with {discriminator}",
}
"""What a value should be, in the words of TOML, by the type of pydantic's complaint."""
SIZES = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "too_short"})
"""Complaints about values of the right type."""


def trial_error(name: str, text: str, problems: Iterable[tuple[Place, str]]) -> TrialError:
    """Make one error of all problems, in the order of the file's lines."""
    placed = sorted({(line_of(text, place), message) for place, message in problems})
    lines = [f"{name}, line {line}: {message}" if line else f"{name}: {message}" for line, message in placed]
    rest = len(lines) - SHOWN
    return TrialError("\n".join(lines[:SHOWN] + ([f"and {rest} more problems"] if rest > 0 else [])))


def validation_problems(
    model: type[BaseModel], error: ValidationError, document: Mapping[str, Any]
) -> list[tuple[Place, str]]:
    """Give the place and a plain sentence for each of pydantic's complaints about a document.

    A value that may be of several types has a complaint of each of them, which become one sentence.
    """
    items = error.errors()
    lacking = [item["loc"] for item in items if item["type"] == "missing"]
    at_place: dict[Place, list[Complaint]] = {}
    for item in items:
        at_place.setdefault(_written_place(item, document), []).append(item)
    return [
        (place[:-1] if here[0]["type"] == "missing" else place, sentence)
        for place, here in at_place.items()
        if not any(other[: len(place)] == place and other != place for other in at_place)
        for sentence in _sentences(model, place, here, lacking)
    ]


def _written_place(item: Complaint, document: Mapping[str, Any]) -> Place:
    """Give the place of a complaint without the types and tags that pydantic tried there."""
    kept: list[str | int] = []
    here: Any = document
    for part in item["loc"]:
        if isinstance(here, Mapping) and part in here:
            here = here[str(part)]
        elif isinstance(here, list | tuple) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            continue
        kept.append(part)
    return (*kept, item["loc"][-1]) if item["type"] == "missing" else tuple(kept)


def _sentences(
    model: type[BaseModel], place: Place, here: Sequence[Complaint], lacking: Sequence[Place]
) -> list[str]:
    shown = ".".join(str(part) for part in place if isinstance(part, str))
    kinds, given = {item["type"] for item in here}, as_written(here[0]["input"])
    wanted = _wanted(here)
    if "extra_forbidden" in kinds:
        return [_unknown_key(model, place, lacking)]
    if "missing" in kinds:
        return [f"{shown} is missing"]
    if any(kind.startswith("date_") for kind in kinds):
        return [f"{shown}: write a date such as 2024-01-31, without quotation marks, not {given}"]
    if wanted and "value_error" not in kinds:
        return [f"{shown}: should be {wanted}, not {given}"]
    said = [item["msg"].removeprefix("Value error, ") for item in here if item["type"] not in WANTED]
    return [f"{shown}: {message}" if shown else message for message in said]


def _wanted(here: Sequence[Complaint]) -> str:
    """Say in words what a value should be: its size, where it is of one of the right types."""
    sized = [item for item in here if item["type"] in SIZES]
    words = [
        WANTED[item["type"]].format(**{key: _plain(value) for key, value in item.get("ctx", {}).items()})
        for item in sized or here
        if item["type"] in WANTED
    ]
    return " or ".join(dict.fromkeys(words))


def type_complaint(kind: Any, value: object) -> str:
    """Say what a value should be that is not of a type, strictly taken; "" where it is."""
    try:
        TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value, strict=True)
    except ValidationError as error:
        return f"should be {_wanted(error.errors()) or 'of another type'}, not {as_written(value)}"
    return ""


def shape_complaints(error: ValidationError) -> list[str]:
    """Give a sentence for each complaint about the content of a JSON file: where, and what is wrong there."""
    found = []
    for item in error.errors():
        place = ".".join(map(str, item["loc"])) or "the file"
        if item["type"] == "missing":
            found.append(f"{place} is missing")
        elif wanted := _wanted([item]):
            found.append(f"{place} should be {wanted}, not {as_written(item['input'])}")
        else:
            found.append(f"{place}: {item['msg'].removeprefix('Value error, ')}")
    return found


def _plain(bound: object) -> object:
    """Write a bound without decimals where it has none."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


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
