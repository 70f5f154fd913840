"""Characters that no reader sees, by which two ids that look alike differ."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rct.errors import DataError
from rct.identifiers import listed

if TYPE_CHECKING:
    import pandas as pd

FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
BLANK = frozenset(FILLERS) | frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Joiners, fillers and variation selectors, which show nothing though they are letters or marks."""


def invisible_in(text: str) -> str:
    """Name what a text has of invisible characters ("zero width space, U+200B") and of spaces not plain."""
    found = dict.fromkeys(one for one in text if not one.isascii() and (_is_hidden(one) or _is_space(one)))
    return "; ".join(f"{unicodedata.name(one, 'no name').lower()}, U+{ord(one):04X}" for one in found)


def without_invisible(text: str) -> str:
    """Take invisible characters out of a text, and make every kind of space a plain one."""
    shown = "".join(" " if _is_space(one) else one for one in text if not _is_hidden(one))
    return shown.strip()


def escaped(text: object) -> str:
    r"""Write the invisible characters of a text by their numbers: ``badge\u200b``."""
    return "".join(one.encode("unicode_escape").decode() if invisible_in(one) else one for one in str(text))


def refuse_invisible(
    column: "pd.Series", *, what: str, file: str | None = None, rows: Sequence[int] | None = None
) -> None:
    """Refuse ids with a character that nobody sees: elsewhere the same id is written without it.

    Raises
    ------
    DataError
        With the ids, their rows (counted as in a file with one header line where absent) and the characters.
    """
    distinct = [value for value in column.unique() if isinstance(value, str)]
    hidden = {text: invisible_in(text) for text in distinct if not text.isascii()}
    if not any(hidden.values()):
        return
    placed = zip(rows or range(2, len(column) + 2), column.tolist(), strict=True)
    shown = [f"row {row}: {escaped(text)} ({hidden[text]})" for row, text in placed if hidden.get(text)]
    place = f"{file}, column {what}" if file else f"column {what}"
    raise DataError(
        f"{place} holds invisible characters: {listed(shown)}. Take them out: the same {what} without "
        "them, in another row or file, would be another one."
    )


def _is_hidden(one: str) -> bool:
    return one in BLANK or unicodedata.category(one) == "Cf"


def _is_space(one: str) -> bool:
    return one != " " and unicodedata.category(one) in ("Zs", "Zl", "Zp")
