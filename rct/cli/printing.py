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
        """Print a table for people, numbers on the right."""
        if self.as_json:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(Text(column), justify="right" if column in numeric else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        _console().print(table)

    def result(self, content: Mapping[str, Any]) -> None:
        """Print the result for programs, where it was asked for."""
        if self.as_json:
            print(json_text(content))


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
