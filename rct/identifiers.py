"""Identifiers as canonical text: what may name an officer, a block or a seed, and the bytes for it.

The rules are those of ``docs/allocation-bytes.md``, sections 1 and 2.
"""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from rct.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10


def canonical_text(value: object, *, where: str) -> str:
    """Give the canonical text of one identifier.

    Parameters
    ----------
    value
        Text, or an integer, which becomes its decimal text.
    where
        Place of the value, for the message ("roster.csv, row 214, officer_id").

    Raises
    ------
    DataError
        For a float, boolean, missing or blank value, and for text with white space at an end or a
        control character.
    """
    problem = _problem(value)
    if problem:
        raise DataError(f"{where}: {problem}. Write every id as text, exactly as the agency does.")
    return unicodedata.normalize("NFC", str(value))


def canonical_column(
    column: "pd.Series", *, what: str, file: str | None = None, rows: Sequence[int] | None = None
) -> "pd.Series":
    """Give a column of identifiers as canonical text, or say all that is wrong with it at once.

    ``rows`` are those of the file; counted as in one with one header line where absent.
    """
    import pandas as pd

    if column.dtype.kind in "iu" and not column.hasnans:
        codes, numbers = pd.factorize(column)
        texts = pd.array([str(number) for number in numbers.tolist()], dtype="str")
        return pd.Series(texts.take(codes), index=column.index, name=column.name)
    if column.dtype == "str" and _are_plain(column.unique().tolist()):
        return column
    values = column.tolist()
    if _are_plain(values):
        return column.astype("str")
    text: dict[object, str] = {}
    problems: list[str] = []
    for row, value in zip(rows or range(2, len(values) + 2), values, strict=True):
        key = (type(value), value)
        if key in text:
            continue
        problem = _problem(value)
        if problem:
            problems.append(f"row {row}: {problem}")
        else:
            text[key] = unicodedata.normalize("NFC", str(value))
    if problems:
        place = f"{file}, column {what}" if file else f"column {what}"
        raise DataError(
            f"{place}: {listed(problems)}. Give every {what} as text, exactly as the agency writes it "
            "(read files with every column as text)."
        )
    return pd.Series([text[type(v), v] for v in values], index=column.index, name=column.name, dtype="str")


def listed(items: Sequence[object]) -> str:
    """Join the first ten items and say how many more there are."""
    shown = "; ".join(str(item) for item in items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown}; and {len(items) - SHOWN} more"


def field(content: bytes) -> bytes:
    """Prefix bytes with their length, so that joined fields cannot be confused."""
    return len(content).to_bytes(4, "big") + content


def fields(texts: Sequence[str]) -> list[bytes]:
    """Give the field of each of many texts."""
    contents = list(map(str.encode, texts))
    prefixes = {length: length.to_bytes(4, "big") for length in set(map(len, contents))}
    if len(prefixes) == 1:
        (prefix,) = prefixes.values()
        return [prefix + content for content in contents]
    return [prefixes[len(content)] + content for content in contents]


def join(*parts: str | bytes) -> bytes:
    """Concatenate the fields of texts (as UTF-8) and bytes."""
    return b"".join(field(part.encode() if isinstance(part, str) else part) for part in parts)


def _are_plain(values: Sequence[object]) -> bool:
    """Say whether all values are at once seen to be canonical: texts of printable ASCII without spaces."""
    try:
        together = "".join(cast("Sequence[str]", values))
    except TypeError:  # some value is no text
        return False
    return together.isascii() and together.isprintable() and " " not in together and "" not in values


def _problem(value: Any) -> str | None:
    import numpy as np
    import pandas as pd

    if isinstance(value, (bool, np.bool_)):
        return f"{value} is a boolean, not an id"
    if isinstance(value, (int, np.integer)):
        return None
    if isinstance(value, str):
        return _text_problem(value)
    if isinstance(value, (float, np.floating)) and not np.isnan(value):
        return f"{value} is a decimal number, so leading zeros or digits may be lost"
    if value is None or pd.isna(value) is True:
        return "a missing id"
    return f"{value!r} is a {type(value).__name__}, not text"


def _text_problem(text: str) -> str | None:
    if text == "" or text.isspace():
        return "a blank id"
    if text[0].isspace() or text[-1].isspace():
        return f"{text!r} begins or ends with white space"
    if any(unicodedata.category(character) == "Cc" for character in text):
        return f"{text!r} holds a control character"
    return None
