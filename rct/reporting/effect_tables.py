"""Tables of the effects: every estimate, and a wedge's two answers side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rct.reporting.analyses import (
    averaged_times,
    is_bayesian,
    is_constant,
    is_exposure_average,
    several_arms,
)
from rct.reporting.number_format import NONE, count, decimal, p_value, percent_with_interval, probability
from rct.reporting.table import Table
from rct.reporting.wording import ASSUMES_CONSTANT, answer, assumes_of_average

if TYPE_CHECKING:
    from rct.estimates import Estimate
    from rct.reporting.report_units import ReportUnits

COLUMNS = (
    "outcome", "method, estimand, inference, sample", "rate ratio", "percent change (interval)", "p",
    "adjusted p", "P(reduction)",
)  # fmt: skip
NUMERIC = frozenset(COLUMNS[2:])


def effects_table(estimates: Sequence["Estimate"], words: "ReportUnits") -> Table:
    """List the estimates in the order in which they were made; columns that hold no number are left out."""
    arms = several_arms(estimates)
    levels = {row.level for row in estimates}
    level = f"{100 * levels.pop():g} % limits" if len(levels) == 1 else "limits at each row's level"
    caption = (
        f"Rate ratio: events with training per event without, at equal exposure. Intervals are {level}, in "
        "percent. Adjusted p (of the primary analysis) allows for several outcomes. P(reduction): posterior "
        "probability that the ratio is below one."
    )
    rows = [_effect_row(row, words, arms) for row in estimates]
    used = [place for place in range(len(COLUMNS)) if any(row[place] != NONE for row in rows)]
    columns = tuple(COLUMNS[place] for place in used)
    return Table(caption, columns, tuple(tuple(row[place] for place in used) for row in rows), NUMERIC)


def _effect_row(row: "Estimate", words: "ReportUnits", arms: bool) -> tuple[str, ...]:
    method = f"{row.arm}: {row.method}" if arms and row.arm else row.method
    sample = f"{count(row.n_units)} units, {count(row.n_clusters)} clusters, {count(row.n_events)} events"
    return (
        words.label(row.outcome),
        f"{method}\n{row.estimand}\n{row.inference}\n{sample}",
        decimal(row.irr),
        percent_with_interval(row.percent_change, *row.percent_interval),
        p_value(row.p_value),
        p_value(row.p_adjusted),
        probability(row.probability_reduced),
    )


def two_answers_table(estimates: Sequence["Estimate"], words: "ReportUnits") -> Table | None:
    """Set the average over exposure times beside the constant effect; None where neither was estimated."""
    averages = [row for row in estimates if is_exposure_average(row) and not is_bayesian(row)]
    constants = [row for row in estimates if is_constant(row) and not is_bayesian(row)]
    if not averages and not constants:
        return None
    arms = several_arms([*averages, *constants])
    span, shape = averaged_times(averages[0]) if averages else ("", "")
    headers = ("", f"average over exposure times {span}".strip(), "constant effect")
    keys = dict.fromkeys((row.outcome, row.arm) for row in [*averages, *constants])
    found = [
        (
            f"{words.label(outcome)}, {arm}" if arms else words.label(outcome),
            _answer(averages, outcome, arm),
            _answer(constants, outcome, arm),
        )
        for outcome, arm in keys
    ]
    return Table(
        "The two answers of a trial in which units cross at different times. Both belong in the report: they "
        "agree where the effect is the same at all times, and differ where it is not.",
        headers,
        (*found, *_what_each_assumes(words.period, shape)),
    )


def _answer(rows: Sequence["Estimate"], outcome: str, arm: str) -> str:
    found = [row for row in rows if (row.outcome, row.arm) == (outcome, arm)]
    return answer(found[0]) if found else "not estimated"


def _what_each_assumes(period: str, shape: str) -> tuple[tuple[str, str, str], ...]:
    return (
        ("It assumes", _sentence(assumes_of_average(shape)), _sentence(ASSUMES_CONSTANT)),
        (
            "If the effect grows or fades",
            f"the average effect over those {period}s in training, as far as the shape is right"
            if shape
            else f"still the average effect over those {period}s in training; the price is a wider interval",
            "not the average effect: it can be far too small where the effect grows or starts late, and too "
            "large where it fades",
        ),
        (
            "The p-value by randomization",
            "valid either way: it tests that training changed nothing for anyone",
            "valid either way: it is the same test",
        ),
    )


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]
