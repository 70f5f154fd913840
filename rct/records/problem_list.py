"""What was doubtful or not counted, row by row."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("file", "row", "unit", "incident", "officer", "problem", "done")

PLACES_SHOWN = 3


class Kind(NamedTuple):
    """Problems that differ in nothing but their place: what, what was done, how many, and where at first."""

    problem: str
    done: str
    rows: int
    places: str


@dataclass
class ProblemList:
    """Problems in the order they were found; :meth:`frame` sorts them by place."""

    found: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        problem: str,
        *,
        done: str,
        file: str = "",
        row: int = 0,
        unit: str = "",
        incident: str = "",
        officer: str = "",
    ) -> None:
        """Note one problem: what it is, and what was done about it."""
        self.found.append(
            {"file": file, "row": row, "unit": unit, "incident": incident, "officer": officer,
             "problem": problem, "done": done}
        )  # fmt: skip

    def add_records(self, records: "pd.DataFrame", problem: "str | pd.Series", *, done: str) -> None:
        """Note the same problem of several records, which have file, row, unit, incident and officer."""
        texts = [problem] * len(records) if isinstance(problem, str) else problem.tolist()
        for record, text in zip(records.to_dict("records"), texts, strict=True):
            self.add(
                text,
                done=done,
                file=record["file"],
                row=record["row"],
                unit=record["unit"] or "",
                incident=record["incident"] or "",
                officer=record["officer"] or "",
            )

    def frame(self) -> "pd.DataFrame":
        """Give the problems as a table, by file and row."""
        import pandas as pd

        table = pd.DataFrame(self.found, columns=list(COLUMNS))
        return table.sort_values(["file", "row"], kind="stable", ignore_index=True)


def kinds_of(problems: Iterable[Mapping[Any, Any]]) -> list[Kind]:
    """Group problems that differ in nothing but row, id, date or number; the most frequent first.

    A problem that is alone of its kind keeps its whole text.
    """
    groups: dict[tuple[str, str], list[Mapping[Any, Any]]] = {}
    for problem in problems:
        groups.setdefault((kind_of(problem), str(problem["done"])), []).append(problem)
    kinds = [
        Kind(kind if len(those) > 1 else str(those[0]["problem"]), done, len(those), _places(those))
        for (kind, done), those in groups.items()
    ]
    return sorted(kinds, key=lambda kind: -kind.rows)


def kind_of(problem: Mapping[Any, Any]) -> str:
    """Give a problem's text without the id, date, period or number that only this row has."""
    text = str(problem["problem"])
    for name in ("officer", "incident", "unit"):
        value = str(problem.get(name) or "")
        text = re.sub(rf"\b{name} {re.escape(value)}(?!\w)", f"{name} …", text) if value else text
    text = re.sub(r"\(the roster has .*\)$", "(the roster has …)", text)
    text = re.sub(
        r"^(date|time|district) .+ (cannot be read|is (?:outside|not in) the schedule)$", r"\1 … \2", text
    )
    text = re.sub(r"^\d\S*(?= \w+ in period )", "…", text)
    return re.sub(r"\b(date|period) [^\s,:]*\d[^\s,:]*", r"\1 …", text)


def _places(problems: list[Mapping[Any, Any]]) -> str:
    """Name the first few places: the file, and its rows or the units."""
    shown: dict[str, list[str]] = {}
    for problem in problems[:PLACES_SHOWN]:
        row, unit = problem.get("row"), problem.get("unit")
        where = f"row {int(row)}" if row and row == row else f"unit {unit}" if unit else ""  # noqa: PLR0124
        shown.setdefault(str(problem.get("file") or ""), []).append(where)
    named = [", ".join(filter(None, [file, *places])) for file, places in shown.items()]
    rest = len(problems) - PLACES_SHOWN
    return "; ".join(named) + (f"; and {rest:,} more" if rest > 0 else "")
