"""A table as the report prints it: caption, headers, rows of finished text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Finished cells; the first cell of a row is its header.

    Attributes
    ----------
    caption
        What the table shows, in a sentence.
    columns
        Headers, one for each cell of a row.
    rows
        Cells as text.
    numeric
        Columns whose cells are numbers, and so stand to the right.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[str] = frozenset()
