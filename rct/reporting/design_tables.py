"""Tables of the design: who was assigned to what, and how alike the groups were before."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rct.reporting.number_format import count, decimal, share
from rct.reporting.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from rct.panel import Panel
    from rct.reporting.assignment import Assignment
    from rct.reporting.report_units import ReportUnits

MOST_UNITS = 60


def allocation_table(assignment: "Assignment", words: "ReportUnits") -> Table:
    """List the randomized units in the order of crossing; their sequences where there are too many units."""
    units = assignment.units
    if len(units) > MOST_UNITS:
        return _sequence_sizes(assignment, words)
    blocked = units["block"].ne("").any()
    sized = words.randomized != words.measured
    columns = (
        words.randomized,
        "arm",
        "first treated period",
        "probability of this sequence",
        *((words.measured_plural,) if sized else ()),
    )
    rows = tuple(
        (
            str(row["unit"]),
            str(row["arm"]),
            assignment.first_treated(int(row["starts"])),
            share(float(row["probability"])),
            *((count(float(row["measured"])),) if sized else ()),
            *((str(row["block"]),) if blocked else ()),
        )
        for row in _in_order_of_crossing(units.sort_values("unit"))
    )
    caption = f"What each {words.randomized} was assigned to, in the order of crossing."
    return Table(caption, columns + (("block",) if blocked else ()), rows, frozenset(columns[3:]))


def _sequence_sizes(assignment: "Assignment", words: "ReportUnits") -> Table:
    columns = ("arm", "first treated period", *_size_headers(words))
    caption = (
        f"How many {words.randomized_plural} were assigned to each sequence, in the order of crossing "
        f"({len(assignment.units):,} in all)."
    )
    rows = tuple(_size_cells(row, assignment, words) for row in _sequences(assignment))
    return Table(caption, columns, rows, frozenset(columns[2:]))


def block_table(assignment: "Assignment", words: "ReportUnits") -> Table | None:
    """Count randomized and measured units by block and arm; None where there is one block only."""
    units = assignment.units
    if units["block"].nunique() < 2:
        return None
    columns = ("block", "arm", *_size_headers(words))
    grouped = units.groupby(["block", "arm"]).agg(size=("unit", "size"), measured=("measured", "sum"))
    rows = tuple(
        (str(row["block"]), str(row["arm"]), *_sizes(row, words))
        for row in grouped.reset_index().to_dict("records")
    )
    return Table("Units by block and arm.", columns, rows, frozenset(columns[2:]))


def balance_table(panel: "Panel", assignment: "Assignment", words: "ReportUnits") -> Table | None:
    """Give each sequence's rates before any treatment; None where no period is free of it."""
    baseline = assignment.baseline_periods
    if not baseline:
        return None
    rates = [_rates(panel, outcome, baseline, words) for outcome in panel.outcomes]
    headers = [f"{words.label(outcome)} per {words.rate_unit(outcome)}" for outcome in panel.outcomes]
    columns = ("arm", "first treated period", *_size_headers(words), *headers)
    rows = tuple(
        (
            *_size_cells(row, assignment, words),
            *(decimal(float(rate.get(row["sequence"], float("nan"))), decimals=1) for rate in rates),
        )
        for row in _sequences(assignment)
    )
    first, last = assignment.period_name(baseline[0]), assignment.period_name(baseline[-1])
    caption = (
        f"Before anyone was treated, in periods {first} to {last}: observed rates by sequence. With few "
        "units they differ by chance; a randomized comparison allows for that."
    )
    return Table(caption, columns, rows, frozenset(columns[2:]))


def _rates(panel: "Panel", outcome: str, baseline: list[int], words: "ReportUnits") -> "pd.Series":
    rows = panel.rows(outcome)
    before = rows.loc[rows["period"].isin(baseline)].groupby("sequence")[["count", "exposure"]].sum()
    return words.rate_factor(outcome) * before["count"] / before["exposure"]


def _sequences(assignment: "Assignment") -> list[dict[str, Any]]:
    """Give the sequences with their numbers of units, in the order of crossing."""
    keys = ["sequence", "arm", "starts"]
    grouped = assignment.units.groupby(keys).agg(size=("unit", "size"), measured=("measured", "sum"))
    return _in_order_of_crossing(grouped.reset_index())


def _in_order_of_crossing(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.to_dict("records")  # type: ignore[assignment]
    return sorted(rows, key=lambda row: (row["starts"] or math.inf, row["arm"]))


def _size_headers(words: "ReportUnits") -> tuple[str, ...]:
    """Head the columns of sizes; where the measured units are the randomized ones, one column says it."""
    same = words.randomized == words.measured
    return (words.randomized_plural,) if same else (words.randomized_plural, words.measured_plural)


def _sizes(row: Mapping[Any, Any], words: "ReportUnits") -> tuple[str, ...]:
    names = ("size", "measured")[: len(_size_headers(words))]
    return tuple(count(float(row[name])) for name in names)


def _size_cells(row: dict[str, Any], assignment: "Assignment", words: "ReportUnits") -> tuple[str, ...]:
    first = assignment.first_treated(int(row["starts"]))
    return (str(row["arm"]), first, *_sizes(row, words))
