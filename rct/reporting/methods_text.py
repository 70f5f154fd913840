"""The methods paragraphs, written from the trial: what was randomized, counted, estimated and adjusted."""

from typing import TYPE_CHECKING

from rct.reporting.report_units import plural

if TYPE_CHECKING:
    from rct.estimates import Estimates
    from rct.panel import Panel
    from rct.randomization import Allocation
    from rct.reporting.assignment import Assignment
    from rct.reporting.report_units import ReportUnits
    from rct.trial import Trial
    from rct.trial_tables import AnalysisSpec

KINDS = {
    "parallel": "parallel-group trial",
    "stepped-wedge": "stepped-wedge trial",
    "staggered": "trial with staggered starts",
    "crossover": "crossover trial",
    "shifts": "trial of shifts",
}
INFERENCE = {
    "randomization": "re-randomization with the allocation's own mechanism",
    "cluster-robust": "cluster-robust standard errors",
    "wild-bootstrap": "the wild cluster bootstrap",
    "hc2": "HC2 standard errors",
}
COUNTED = {"incident": "incidents", "report": "officers' reports", "person": "persons"}


def methods_text(
    trial: "Trial",
    results: "Estimates",
    words: "ReportUnits",
    *,
    panel: "Panel | None",
    allocation: "Allocation | None",
    assignment: "Assignment | None",
) -> list[str]:
    """Give the paragraphs: design, randomization, outcomes, analyses, data left out."""
    return [
        _design(trial, words, assignment),
        *_randomization(trial, words, allocation),
        _outcomes(trial, words),
        _analyses(trial, results),
        *_data(panel),
    ]


def _design(trial: "Trial", words: "ReportUnits", assignment: "Assignment | None") -> str:
    schedule = trial.schedule
    treatments = listing([treatment.label or treatment.name for treatment in trial.arms.treatments])
    sizes = ""
    if assignment is not None:
        units = assignment.units
        within = f" with {int(units['measured'].sum()):,} {words.measured_plural}"
        within = "" if words.randomized == words.measured else within
        sizes = f" {len(units):,} {words.randomized_plural}{within} were randomized."
    start = f", starting {schedule.start.isoformat()}" if schedule.start else ""
    text = (
        f"{trial.name} is a {KINDS[schedule.kind]} of {treatments} against {trial.arms.control}.{sizes} "
        f"It runs over {schedule.periods} {plural(schedule.period)}{start}."
    )
    if schedule.kind == "stepped-wedge":
        group = f"one {words.randomized} crosses"
        if isinstance(schedule.per_step, tuple):
            group = f"{listing([str(n) for n in schedule.per_step])} {words.randomized_plural} cross"
        elif schedule.per_step > 1:
            group = f"{schedule.per_step} {words.randomized_plural} cross"
        every = schedule.period if schedule.step == 1 else f"{schedule.step} {plural(schedule.period)}"
        text += (
            f" After {schedule.baseline} {plural(schedule.period)} without training, {group} every {every}, "
            "in random order."
        )
    if schedule.transition:
        text += (
            f" The {schedule.transition} {plural(schedule.period)} between crossing and the first treated "
            "period are left out of every analysis."
        )
    return text


def _randomization(trial: "Trial", words: "ReportUnits", allocation: "Allocation | None") -> list[str]:
    if allocation is None:
        return []
    block = listing([column.replace("_", " ") for column in trial.units.block])
    within = f" within blocks of {block}" if block else ""
    drawn = "commitment" in allocation.certificate
    kind = "seed that a public draw gave, as the certificate claims" if drawn else "typed seed"
    return [
        f"The {words.randomized_plural} were ordered{within} by a keyed hash of their ids and cut at the "
        f"counts that the design declares ({trial.randomization.scheme}), from a {kind}. The certificate "
        "holds all that is needed to make the allocation again."
    ]


def _outcomes(trial: "Trial", words: "ReportUnits") -> str:
    described = []
    for outcome in trial.outcomes:
        what = "shares or rates" if outcome.fractional else COUNTED[outcome.unit_of_count]
        where = f" where {outcome.where}" if outcome.where else ""
        role = ", primary" if outcome.primary else ""
        described.append(f"{words.label(outcome.name)} ({what}{where}{role})")
    if words.randomized == words.measured:
        return f"Outcomes: {'; '.join(described)}."
    place = (
        f"stay with the {words.randomized} of the randomization"
        if trial.units.movers == "home"
        else "count where they spent most of a period"
    )
    movers = f"{words.measured_plural.capitalize()} who move {place}."
    return f"Outcomes: {'; '.join(described)}. {movers}"


def _analyses(trial: "Trial", results: "Estimates") -> str:
    analysis = trial.analysis
    promised = [_spec(spec) for spec in analysis.secondary]
    secondary = f" Secondary: {'; '.join(promised)}." if promised else ""
    covariates = f" Covariates: {listing(list(analysis.covariates))}." if analysis.covariates else ""
    number = f"{analysis.draws:,}" if isinstance(analysis.draws, int) else analysis.draws
    draws = f" ({number} draws)" if analysis.inference == "randomization" else ""
    several = len({row.outcome for row in results}) > 1
    adjusted = (
        f" p-values of the primary analysis are adjusted over the outcomes ({analysis.multiplicity.title()})."
        if several and analysis.multiplicity != "none"
        else ""
    )
    return (
        f"The estimand is the {analysis.estimand}. Primary analysis: {_spec(analysis.primary)}.{secondary}"
        f"{covariates} Inference rests on {INFERENCE[analysis.inference]}{draws} where an analysis has no "
        f"other.{adjusted} The significance level is {analysis.alpha:g}, two-sided."
    )


def _spec(spec: "AnalysisSpec") -> str:
    options = [f"{name} = {_value(value)}" for name, value in spec.options.items()]
    if spec.inference:
        options.append(f"inference by {INFERENCE[spec.inference]}")
    name = spec.estimator.replace("_", " ").capitalize()
    return f"{name} ({', '.join(options)})" if options else name


def _value(value: object) -> str:
    if isinstance(value, tuple) and len(value) == 2:
        return f"{value[0]} to {value[1]}"
    return str(value)


def _data(panel: "Panel | None") -> list[str]:
    if panel is None:
        return []
    frame = panel.frame
    transition = int(frame["treated"].isna().sum())
    unexposed = int((frame["exposure"].astype(float) == 0).sum())
    missing = {name: int(frame[name].isna().sum()) for name in panel.outcomes}
    parts = [
        f"{transition:,} in transition" if transition else "",
        f"{unexposed:,} without exposure" if unexposed else "",
        *(f"{rows:,} with a missing count of {name}" for name, rows in missing.items() if rows),
    ]
    left_out = listing([part for part in parts if part])
    rule = f"Rows left out of every analysis: {left_out}." if left_out else "Each has a count and exposure."
    rule += " What a single analysis cannot use, such as units without an event, stands in its warnings."
    return [f"The panel has {len(frame):,} rows. {rule} No count was imputed."]


def listing(items: list[str]) -> str:
    """Join items as in a sentence: "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
