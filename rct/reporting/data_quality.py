"""What is known of the data: problems by kind, how incidents were attributed, officers per incident."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rct.reporting.number_format import count
from rct.reporting.table import Table

if TYPE_CHECKING:
    from rct.panel import Panel
    from rct.reporting.report_units import ReportUnits

SHOWN = 10


def problem_kinds(panel: "Panel") -> Table | None:
    """Count the problems by kind; None where there are none."""
    if not len(panel.problems):
        return None
    from rct.records.problem_list import kinds_of

    kinds = kinds_of(panel.problems.to_dict("records"))
    rows = tuple((kind.problem, kind.done, count(kind.rows), kind.places) for kind in kinds)
    columns = ("problem", "what was done", "rows", "first of them")
    return Table("Problems in the records, by kind.", columns, rows, frozenset({"rows"}))


def first_problems(panel: "Panel") -> Table | None:
    """List the first ten problems with their places; None where there are none."""
    if not len(panel.problems):
        return None
    columns = tuple(str(name) for name in panel.problems.columns)
    shown = panel.problems.head(SHOWN).astype("str").replace({"nan": "–", "None": "–", "<NA>": "–"})
    rows = tuple(tuple(row) for row in shown.itertuples(index=False))
    total = len(panel.problems)
    caption = f"The first {SHOWN} of {total:,} problems." if total > SHOWN else "Every problem."
    return Table(caption, columns, rows)


def attribution_notes(panel: "Panel", words: "ReportUnits") -> list[str]:
    """Say how incidents became counts of a row, outcome by outcome, and how many officers they had."""
    notes = []
    attribution = panel.meta.get("attribution", "")
    if isinstance(attribution, Mapping):
        notes += [f"{words.label(str(outcome))}: {text}" for outcome, text in attribution.items()]
    elif attribution:
        notes.append(str(attribution))
    officers = panel.meta.get("officers_per_incident")
    if officers is not None:
        notes.append(
            f"Officers per incident: {_several(officers)}. Where incidents have several officers, errors "
            "clustered by officer are too small."
        )
    return notes


def _several(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_several(item)}" for name, item in value.items())
    return f"{value:.2f}" if isinstance(value, float) else str(value)
