"""What verbs print: results on stdout, as text or as one JSON object; notes and progress on stderr."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

WIDTH_OF_A_FILE = 150
"""Columns of a table that is piped or written to a file, where there is no terminal to measure."""

LARGEST_JSON_INTEGER = 2**53 - 1
"""Above it, readers that hold every number as a double would change it."""


@dataclass(frozen=True, kw_only=True)
class Printer:
    """How one verb speaks.

    Attributes
    ----------
    as_json
        The result is one JSON object on stdout; everything meant for people is left out or on stderr.
    quiet
        No notes and no progress on stderr.
    """

    as_json: bool = False
    quiet: bool = False

    def say(self, text: str, *, style: str = "") -> None:
        """Print a line of the result for people."""
        if not self.as_json:
            _console().print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print what is good to know, but is not the result."""
        if not self.quiet:
            _console(stderr=True).print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Say on stderr what is being done while it is done: with a spinner on a terminal, else as a line."""
        console = _console(stderr=True)
        if self.quiet:
            yield
        elif console.is_terminal:
            with console.status(text):
                yield
        else:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
            yield

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Sequence[str] = ()
    ) -> None:
        """Print a table for people, numbers on the right; a list where the terminal is too narrow for one.

        Words are broken over lines before anything is cut, and numbers are never either.
        """
        if self.as_json:
            return
        console, cells = _console(), [tuple(row) for row in rows]
        widths = _widths(columns, cells, numeric, console.width)
        if widths is None:
            _print_as_list(console, columns, cells, numeric)
        else:
            _print_as_table(console, columns, cells, numeric, widths)

    def result(self, content: Mapping[str, Any]) -> None:
        """Print the result for programs, where it was asked for."""
        if self.as_json:
            print(json_text(content))


def _print_as_table(
    console: "Console",
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[str],
    widths: Sequence[int],
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(Text(column), justify="right" if column in numeric else "left", width=width)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _print_as_list(
    console: "Console", columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[str]
) -> None:
    """Print for each row what it is about, the words before its first number, and then a line a number."""
    about = next((place for place, column in enumerate(columns) if column in numeric), 1)
    width = max(map(len, columns[about:]), default=0)
    for row in rows:
        lines = [", ".join(filter(None, row[:about]))]
        lines += [
            f"  {name:<{width}}  {cell}" for name, cell in zip(columns[about:], row[about:], strict=True)
        ]
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    console.print()


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[str], room: int
) -> list[int] | None:
    """Give each column its widest cell if there is room, else less; None where its longest word is too wide.

    Numbers are kept on one line. What room there is beyond goes to headings and words from the left.
    """
    least, whole = [], []
    for heading, *cells in zip(columns, *rows, strict=True):
        pieces = cells if heading in numeric else [word for cell in cells for word in cell.split()]
        least.append(max(map(len, [*heading.split(), *pieces]), default=0))
        whole.append(max(map(len, [heading, *cells])))
    spare = room - sum(least) - _BETWEEN * len(least)
    if spare < 0:
        return None
    for place, (narrow, wide) in enumerate(zip(least, whole, strict=True)):
        least[place] = narrow + min(wide - narrow, spare)
        spare -= least[place] - narrow
    return least


_BETWEEN = 3
"""Blank columns between the columns of a table, its margins counted as one such space."""


def json_text(content: Mapping[str, Any]) -> str:
    """Write a JSON object; numbers that do not exist are null, integers too large for a double text."""
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)


def records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Give a frame as a list of rows."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):  # NumPy's scalars
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > LARGEST_JSON_INTEGER:
        return str(value)
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return str(value)


def error_line(message: str) -> None:
    """Print an error on stderr."""
    console = _console(stderr=True)
    console.print("error: ", style="bold red", end="", highlight=False)
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else WIDTH_OF_A_FILE)
