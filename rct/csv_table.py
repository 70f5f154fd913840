"""CSV files as tables of text, each row with its number in the file; what is no such table is refused."""

import codecs
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rct.errors import DataError
from rct.identifiers import listed

if TYPE_CHECKING:
    import pandas as pd

WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How an Excel workbook begins: .xlsx, and .xls of before 2007."""
HEADER_ROW = 1
Numbered = list[tuple[int, list[str]]]
"""Rows with their numbers, as a spreadsheet shows them: the header is row 1, and a blank line counts."""


def read_csv_table(file: Path, *, what: str) -> "pd.DataFrame":
    """Read a CSV file in UTF-8 whose header names every column once, each cell as text.

    Parameters
    ----------
    what
        What the file holds, for messages ("roster").

    Returns
    -------
    pandas.DataFrame
        As :func:`table_of`.

    Raises
    ------
    DataError
        When the file is missing, empty or not UTF-8, its header has a blank or repeated column, or a row has
        more or fewer cells than the header.
    """
    if not file.is_file():
        raise DataError(f"{file}: there is no such file")
    rows = csv_rows(file, _utf8_text(file, file.read_bytes(), what))
    if not rows:
        raise DataError(f"{file}: the file is empty; give a header line and one row per unit")
    header = rows[0][1]
    refuse_other_separator(file, header)
    doubtful = [
        f'"{name}" in column {number}'
        for number, name in enumerate(header, start=1)
        if not name.strip() or header.count(name) > 1
    ]
    if doubtful:
        raise DataError(
            f"{file}: the header has blank or repeated columns: {listed(doubtful)}. "
            "The first line names each column once; no title stands above it."
        )
    return table_of(file, rows)


def table_of(file: Path, rows: Numbered) -> "pd.DataFrame":
    """Make the table of the rows of a file, the first of which is the header.

    Returns
    -------
    pandas.DataFrame
        Text columns; :func:`rows_in_file` gives the numbers of the rows.

    Raises
    ------
    DataError
        When a row has more or fewer cells than the header.
    """
    import pandas as pd

    header, body = rows[0][1], rows[1:]
    widths = {len(row) for _, row in body}
    if len(widths) == 1 and widths != {len(header)} and len(body) > 1:
        raise DataError(
            f"{file}: the first row has {_cells(len(header))} ({', '.join(header[:3])}), every other one "
            f"{widths.pop()}. The first row names the columns; no title stands above it."
        )
    ragged = [f"row {number} has {_cells(len(row))}" for number, row in body if len(row) != len(header)]
    if ragged:
        raise DataError(
            f"{file}: the header has {len(header)} columns, but {listed(ragged)}. Put text that holds "
            "commas or line ends in quotation marks, and close every one that is opened."
        )
    frame = pd.DataFrame([row for _, row in body], columns=header, dtype="str")
    frame.attrs["file"] = str(file)
    numbers = [number for number, _ in rows]
    skipped = sorted(set(range(HEADER_ROW, numbers[-1])) - set(numbers))
    if skipped:
        frame.attrs["skipped_rows"] = skipped
    return frame


def _cells(number: int) -> str:
    return f"{number} cell{'s' * (number != 1)}"


def rows_in_file(table: "pd.DataFrame") -> Sequence[int]:
    """Give the number of each row in the file that the table was read from, as a spreadsheet shows it.

    A table that was not read from a file is counted as if it stood in one with one header line.
    """
    import numpy as np
    import pandas as pd

    skipped = np.asarray(table.attrs.get("skipped_rows", []), dtype=int)
    of_file = "file" in table.attrs and table.index.dtype.kind == "i"
    places = table.index if of_file else pd.RangeIndex(len(table))
    if not len(skipped) and places.equals(pd.RangeIndex(len(table))):
        return range(HEADER_ROW + 1, len(table) + HEADER_ROW + 1)
    numbers = places.to_numpy() + HEADER_ROW + 1  # some may have been left out since they were read
    return (numbers + np.searchsorted(skipped - np.arange(len(skipped)), numbers, side="right")).tolist()


def csv_rows(file: Path, text: str) -> Numbered:
    """Read the rows of CSV that has one reading only; rows without any entry are none.

    Raises
    ------
    DataError
        For a quotation mark that is never closed, or stands within a quoted cell: a lenient reader would take
        all that follows, up to the next one, for a single cell.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, line = [], 1
    try:
        for number, row in enumerate(reader, start=HEADER_ROW):
            line = reader.line_num + 1
            if any(cell.strip() for cell in row):
                rows.append((number, row))
    except csv.Error as error:
        raise DataError(
            f"{file}, line {line}: not readable as CSV: {error}. Close every quotation mark that is opened, "
            'and double those within a quoted cell ("").'
        ) from None
    return rows


def _utf8_text(file: Path, content: bytes, what: str) -> str:
    refuse_other_format(file, content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}, line {line}: a character is not UTF-8. "
            f'Save the {what} as "CSV UTF-8", so that every name and id stays what it is.'
        ) from None


def refuse_other_format(file: Path, content: bytes) -> None:
    """Refuse an Excel workbook, whatever its name ends in, and Excel's "Unicode text".

    Raises
    ------
    DataError
        Saying how to export the table.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f'{file} is "Unicode text" (UTF-16); save it as "CSV UTF-8".')
    if content.startswith(WORKBOOKS):
        raise DataError(
            f'{file} is an Excel workbook; save its sheet as "CSV UTF-8", ids formatted as text, '
            "so that zeros in front stay."
        )


def refuse_other_separator(file: Path, header: Sequence[str]) -> None:
    """Refuse a table whose header is one cell that holds semicolons, tabs or upright strokes.

    Raises
    ------
    DataError
        Naming the separator.
    """
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "upright strokes")):
        if len(header) == 1 and separator in header[0]:
            raise DataError(
                f"{file}: the columns are separated by {name}; save the file with commas between them."
            )
