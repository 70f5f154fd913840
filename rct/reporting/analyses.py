"""Which analysis an estimate is: its name in words, its role, what kind of answer it gives."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rct.reporting.forest_plot import Kind

if TYPE_CHECKING:
    from rct.estimates import Estimate

EXPOSURE_AVERAGE = "mean over exposure times"
CONSTANT = "constant effect"


def analysis_name(estimate: "Estimate", *, several_arms: bool = False) -> str:
    """Name the analysis: method, what it averages over, and the arm where there are several."""
    _, _, detail = estimate.estimand.partition(", ")
    name = f"{estimate.method}: {detail}" if detail and estimate.scale == "log" else estimate.method
    return f"{estimate.arm}, {name}" if several_arms and estimate.arm else name[:1].upper() + name[1:]


def promised_name(label: str) -> str:
    """Put the label of a promised analysis into the words of its estimates.

    >>> promised_name("poisson exposure-time mean of 1–12")
    'Poisson: mean over exposure times 1–12'
    """
    estimator, _, detail = label.partition(" ")
    for short, words in (("exposure-time mean of", EXPOSURE_AVERAGE), ("constant", CONSTANT)):
        if detail.startswith(short):
            detail = f"{words}{detail.removeprefix(short)}"
    name = estimator.replace("_", " ").capitalize()
    return f"{name}: {detail}" if detail else name


def several_arms(estimates: Iterable["Estimate"]) -> bool:
    """Whether more than one arm was compared with the control arm."""
    return len({row.arm for row in estimates if row.arm}) > 1


def along_time(estimate: "Estimate") -> bool:
    """Whether the effect is of one exposure or event time."""
    return not (math.isnan(estimate.exposure_time) and math.isnan(estimate.event_time))


def is_bayesian(estimate: "Estimate") -> bool:
    """Whether the row is a posterior."""
    return not math.isnan(estimate.probability_reduced)


def primary_rows(estimates: Sequence["Estimate"]) -> list["Estimate"]:
    """Give the headline: of each outcome and arm the first row, if possible not of one exposure time alone.

    Only rows of the primary analysis count, where the estimates say which those are; else it is the first
    analysis.
    """
    chosen: dict[tuple[str, str], Estimate] = {}
    named = [row for row in estimates if row.notes.get("role") == "primary"]
    for row in sorted(named or estimates, key=along_time):
        chosen.setdefault((row.outcome, row.arm), row)
    order = dict.fromkeys((row.outcome, row.arm) for row in named or estimates)
    return [chosen[key] for key in order]


def row_kind(estimate: "Estimate", primary: Sequence["Estimate"]) -> Kind:
    """Tell how the forest plot marks a row."""
    if any(row is estimate for row in primary):
        return "primary"
    return "bayesian" if is_bayesian(estimate) else "secondary"


def is_exposure_average(estimate: "Estimate") -> bool:
    """Whether the row is a mean over exposure times."""
    return EXPOSURE_AVERAGE in estimate.estimand and not along_time(estimate)


def averaged_times(estimate: "Estimate") -> tuple[str, str]:
    """Give the window of a mean over exposure times, and the shape that its course is given ("" for none)."""
    found = re.search(r"exposure times (\S+)(?: \((.*)\))?", estimate.estimand)
    return (found[1], found[2] or "") if found else ("", "")


def is_constant(estimate: "Estimate") -> bool:
    """Whether the row takes the effect to be the same from the first treated period on."""
    return CONSTANT in estimate.estimand and not along_time(estimate)
