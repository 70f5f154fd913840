"""Every warning once, with the analyses that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.analyses import analysis_name, several_arms

if TYPE_CHECKING:
    from rct.estimates import Estimate
    from rct.reporting.report_units import ReportUnits

MOST_NAMED = 12


@dataclass(frozen=True)
class Warned:
    """One warning, and the analyses it is about."""

    text: str
    analyses: tuple[str, ...]


def warning_groups(estimates: Sequence["Estimate"], words: "ReportUnits") -> list[Warned]:
    """Group equal warnings, in the order of the estimates; of many analyses the first are named."""
    arms = several_arms(estimates)
    groups: dict[str, list[str]] = {}
    for row in estimates:
        if row.warning:
            name = f"{words.label(row.outcome)}: {analysis_name(row, several_arms=arms)}"
            groups.setdefault(row.warning, []).append(name)
    return [Warned(text, _first(list(dict.fromkeys(names)))) for text, names in groups.items()]


def _first(names: list[str]) -> tuple[str, ...]:
    rest = len(names) - MOST_NAMED
    return tuple(names) if rest <= 0 else (*names[:MOST_NAMED], f"and {rest} more")
