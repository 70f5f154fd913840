"""A trial in plain sentences: who is randomized, when, what is measured and how it will be analysed."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rct.randomization import Allocation
    from rct.reporting.report_units import ReportUnits
    from rct.trial import Trial

SHOWN_IN_FULL = 10**15
MULTIPLICITY = {
    "holm": "Holm's adjustment over the outcomes",
    "westfall-young": "Westfall and Young's adjustment over the outcomes",
    "none": "no adjustment over the outcomes",
}


def trial_in_words(trial: "Trial", allocation: "Allocation | None", *, assumed: bool) -> list[str]:
    """Say what a trial promises.

    Parameters
    ----------
    allocation
        A trial run of its randomization, where the units are known.
    assumed
        Whether the units are assumed, not from a roster.
    """
    from rct.reporting.report_units import report_units

    words = report_units(trial)
    return [
        *([trial.question] if trial.question else []),
        _units(trial, words, allocation, assumed=assumed),
        _arms(trial),
        _schedule(trial, allocation),
        *_outcomes(trial, words),
        *_analyses(trial),
        *([] if allocation is None else [_space(trial, allocation)]),
    ]


def records_in_words(trial: "Trial") -> str:
    """Name the columns that the records of incidents must have.

    Raises
    ------
    DataError
        For an outcome whose condition is no expression over columns.
    """
    from rct.records.condition import columns_of

    records = trial.records
    whose = records.officer if trial.units.measure == "officer" else records.unit
    columns = [records.incident, whose, records.date]
    for outcome in trial.outcomes:
        columns += [outcome.person or records.person] if outcome.unit_of_count == "person" else []
        columns += columns_of(outcome.where, outcome.name) if outcome.where else []
    return f"Columns needed in the records: {', '.join(dict.fromkeys(name for name in columns if name))}."


def assumptions_in_words(trial: "Trial") -> list[str]:
    """Give the assumptions of the power study, one a line under a heading."""
    assumptions = trial.power.assumptions
    return (
        ["Power and simulation assume:", *(f"  {sentence}" for sentence in assumptions)]
        if assumptions
        else []
    )


def size_in_words(number: int) -> str:
    """Print a number of allocations: in full, or its power of ten."""
    return f"{number:,}" if number < SHOWN_IN_FULL else f"about 10^{math.floor(math.log10(number))}"


def _units(trial: "Trial", words: "ReportUnits", allocation: "Allocation | None", *, assumed: bool) -> str:
    units = trial.units
    same = units.randomize == units.id
    blocks = f", within {' and '.join(units.block)}" if units.block else ""
    if allocation is None:
        each = words.measured if same else words.randomized
        return f"Randomized: each {each}{blocks}; measured: each {words.measured}."
    randomized, measured = len(allocation.frame), len(allocation.roster)
    counted = f"{randomized:,} {words.measured_plural if same else words.randomized_plural}{blocks}"
    source = "assumed by the trial" if assumed else "from the roster"
    if same:
        return f"Randomized and measured: {counted} ({source})."
    return f"Randomized: {counted}; measured: {measured:,} {words.measured_plural} ({source})."


def _arms(trial: "Trial") -> str:
    treatments = ", ".join(
        f"{treatment.name} (dose {treatment.dose:g})" if treatment.dose != 1 else treatment.name
        for treatment in trial.arms.treatments
    )
    return f"Arms: {trial.arms.control} (control), {treatments}."


def _schedule(trial: "Trial", allocation: "Allocation | None") -> str:
    schedule = trial.schedule
    begin = f" from {schedule.start.isoformat()}" if schedule.start else ""
    text = f"Schedule: {schedule.kind}, {schedule.periods} {schedule.period}s{begin}"
    if allocation is None:
        return f"{text}."
    starts = sorted({sequence.starts for sequence in allocation.plan.sequences if sequence.starts})
    crossing = f"first treated {schedule.period} {starts[0]}" if len(starts) == 1 else ""
    if len(starts) > 1:
        crossing = f"first treated {schedule.period}s {starts[0]} to {starts[-1]}"
    left_out = f", {schedule.transition} left out at each crossing" if schedule.transition else ""
    return f"{text}, {len(allocation.plan.sequences)} sequences, {crossing}{left_out}."


def _outcomes(trial: "Trial", words: "ReportUnits") -> list[str]:
    lines = []
    for outcome in trial.outcomes:
        rank = "Primary outcome" if outcome.primary else "Outcome"
        counted = f", counted by {outcome.unit_of_count}" if not outcome.fractional else ""
        lines.append(
            f"{rank}: {words.label(outcome.name)} ({outcome.name}), hoped to {outcome.direction}{counted}."
        )
    return lines


def _analyses(trial: "Trial") -> list[str]:
    from rct.analysis import label

    analysis = trial.analysis
    inference = analysis.primary.inference or analysis.inference
    of_draws = ""
    if inference == "randomization":
        of_draws = ", the whole space" if analysis.draws == "exact" else f", {analysis.draws:,} draws"
    primary = (
        f"Primary analysis: {label(analysis.primary)}; inference: {inference}{of_draws}; "
        f"alpha {analysis.alpha:g}, {MULTIPLICITY[analysis.multiplicity]}."
    )
    return [primary, *(f"Secondary analysis: {label(spec)}." for spec in analysis.secondary)]


def _space(trial: "Trial", allocation: "Allocation") -> str:
    smallest = allocation.smallest_p
    shown = f"{smallest:.3g}" if smallest > 1e-6 else "below one in a million"
    reach = "above" if smallest > trial.analysis.alpha else "below"
    limit = f", {reach} alpha" if smallest > 1e-6 else ""
    size = size_in_words(allocation.space)
    return f"Distinct allocations: {size}; smallest attainable p-value: {shown}{limit}."
