"""The sections of a report, each as what its part of the template prints."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rct.reporting.analyses import along_time, is_constant, is_exposure_average, several_arms
from rct.reporting.data_quality import attribution_notes, first_problems, problem_kinds
from rct.reporting.design_tables import allocation_table, balance_table, block_table
from rct.reporting.effect_tables import effects_table, two_answers_table
from rct.reporting.figures import (
    Picture,
    forest_figure,
    love_figure,
    path_figures,
    power_figure,
    rates_figure,
    schedule_figure,
)
from rct.reporting.number_format import percent
from rct.reporting.planning_plots import two_answers_svg
from rct.reporting.power_plot import USUAL_TARGET
from rct.reporting.power_table import courses_table, power_bars, power_table
from rct.reporting.wording import Finding, assumption, exaggeration, finding

if TYPE_CHECKING:
    import pandas as pd

    from rct.estimates import Estimate
    from rct.panel import Panel
    from rct.power import Power
    from rct.randomization import Allocation
    from rct.reporting.assignment import Assignment
    from rct.reporting.report_units import ReportUnits
    from rct.trial import Trial

Section = dict[str, Any]


def headline_section(
    primary: "Sequence[Estimate]", words: "ReportUnits", *, alpha: float, power: "Power | None"
) -> Section:
    """Give the findings of the primary analysis, what they assume, and how such findings overstate."""
    arms = several_arms(primary)
    findings = [
        finding(
            row,
            label=f"{words.label(row.outcome)}, {row.arm}" if arms else words.label(row.outcome),
            alpha=alpha,
        )
        for row in primary
    ]
    return {
        "findings": findings,
        "assumption": assumption(primary, period=words.period),
        "method": primary[0].method,
        "exaggerations": _exaggerations(primary, findings, power, words),
    }


def _exaggerations(
    primary: "Sequence[Estimate]", findings: "Sequence[Finding]", power: "Power | None", words: "ReportUnits"
) -> list[str]:
    """Say by how much clear changes are overstated, where the power that was simulated is low."""
    if power is None:
        return []
    clear = {row.outcome for row, found in zip(primary, findings, strict=True) if found.verdict != "unclear"}
    return [
        exaggeration(float(row["power"]), float(row["type_m"]), label=words.label(row["outcome"]))
        for row in power.primary.to_dict("records")
        if row["outcome"] in clear and row["power"] < USUAL_TARGET and row["type_m"] > 1
    ]


def design_section(
    trial: "Trial",
    words: "ReportUnits",
    *,
    panel: "Panel | None",
    allocation: "Allocation | None",
    assignment: "Assignment | None",
) -> Section | None:
    """Give schedule, allocation, balance and verification; None where no assignment is known."""
    if assignment is None:
        return None
    tables = [allocation_table(assignment, words), block_table(assignment, words)]
    if panel is not None:
        tables.append(balance_table(panel, assignment, words))
    return {
        "schedule": schedule_figure(assignment, words, transition=trial.schedule.transition > 0),
        "tables": [table for table in tables if table is not None],
        "balance": None if allocation is None else love_figure(allocation, words),
        "verification": _verification(allocation),
    }


def _verification(allocation: "Allocation | None") -> Section | None:
    if allocation is None:
        return None
    from rct.randomization import LEVELS, verify

    certificate = allocation.certificate
    verdict = verify(certificate, allocation.roster)
    return {
        "level": verdict.level,
        "ok": verdict.ok,
        "problems": verdict.problems,
        "seed": certificate["seed"],
        "proves": LEVELS[verdict.level][0],
        "does_not_prove": verdict.does_not_prove,
    }


def effects_section(
    estimates: "Sequence[Estimate]", primary: "Sequence[Estimate]", words: "ReportUnits", *, kind: str
) -> Section:
    """Give the forest plot, the table of all estimates and, for staged starts, the two answers."""
    both = {is_exposure_average(row) for row in estimates if is_exposure_average(row) or is_constant(row)}
    staged = kind == "stepped-wedge" or (kind == "staggered" and len(both) == 2)
    return {
        "forest": forest_figure(estimates, primary, words),
        "two_answers": two_answers_table(estimates, words) if staged else None,
        "paths": path_figures(estimates, words),
        "table": effects_table([row for row in estimates if not along_time(row)], words),
        "path_table": effects_table([row for row in estimates if along_time(row)], words),
    }


def power_section(power: "Power | None", words: "ReportUnits") -> Section | None:
    """Give the power of the declared design; None where it was not computed."""
    if power is None:
        return None
    return {
        "figure": power_figure(power_bars(power, words)),
        "table": power_table(power, words),
        "told": [*([power.impossible] if power.impossible else power.verdicts), *power.notes, power.heading],
    }


def courses_section(courses: "pd.DataFrame | None", trial: "Trial", words: "ReportUnits") -> Section | None:
    """Give a staged roll-out's two answers under several courses; None where they were not simulated."""
    if courses is None:
        return None
    caption = (
        "How often each answer's interval excludes no change, and how far its estimate is from the mean "
        "effect over the window, by the course of the effect after training. The p-value, by "
        "re-randomization, is that of the hypothesis of no effect at all, so both answers share it. It is "
        "valid whatever the course, but its test looks for one constant effect: it can miss an effect that "
        "grows or comes late."
    )
    return {
        "figures": [
            Picture(two_answers_svg(courses, name, words.label(name)), caption)
            for name in (outcome.name for outcome in trial.outcomes if outcome.primary)
        ],
        "table": courses_table(courses, words),
    }


def data_section(panel: "Panel | None", words: "ReportUnits") -> Section | None:
    """Give attribution and problems of the records; None without a panel."""
    if panel is None:
        return None
    tables = [problem_kinds(panel), first_problems(panel)]
    return {
        "notes": attribution_notes(panel, words),
        "tables": [table for table in tables if table is not None],
    }


def rates_section(
    panel: "Panel | None", assignment: "Assignment | None", words: "ReportUnits"
) -> Section | None:
    """Give the observed rates over time; None without a panel or with one period only."""
    if panel is None or assignment is None or panel.periods < 2:
        return None
    return {"figure": rates_figure(panel, assignment, words)}


def simulated_truth(panel: "Panel | None", words: "ReportUnits") -> list[str]:
    """Name the changes that were put into simulated data; empty for real data."""
    effects = panel.meta.get("effects", {}) if panel is not None and panel.meta.get("simulated") else {}
    told = []
    for outcome, ratios in effects.items():
        by_arm = ratios if isinstance(ratios, Mapping) else {"": ratios}
        for arm, ratio in by_arm.items():
            which = f"{words.label(outcome)}, {arm}" if len(by_arm) > 1 else words.label(outcome)
            told.append(f"{which} {percent(100 * (float(ratio) - 1))}")
    return told
