"""Any analysis of one replicate, by its own estimator on a panel made for it."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rct import analysis
from rct.estimates import Estimates
from rct.frequentist import adjust
from rct.power.replicates import mean_share
from rct.power.trial_draws import draw_trial
from rct.randomization.assigned_rows import assigned_rows, moved_rows, with_covariates
from rct.simulation.departures import moves_on_record
from rct.trial_tables import Course

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.estimates import Estimate
    from rct.panel import Panel
    from rct.power.study import Study
    from rct.randomization import Allocation
    from rct.trial_tables import AnalysisSpec


def panel_rows(study: "Study", specs: "list[AnalysisSpec]", replicate: int) -> "pd.DataFrame":
    """Give one row per analysis, outcome and arm of a replicate."""
    import numpy as np
    import pandas as pd

    panel, allocation = replicate_panel(study, replicate)
    seen = [o for o in study.trial.outcomes if panel.rows(o.name)["count"].sum() > 0]
    trial = study.trial.model_copy(update={"outcomes": tuple(seen)})
    sample = analysis.Sample(trial, panel, allocation, study.seed)
    found = _without_events(study, specs, [o.name for o in study.trial.outcomes if o not in seen], replicate)
    for spec in specs if seen else ():
        window = spec.options.get("average", study.window)
        average = mean_share(study.truth.course, tuple(window))
        for row in _adjusted(study, spec, analysis.ESTIMATORS[spec.estimator].run(sample, spec).rows):
            if (
                row.notes.get("sharp_null") is False
            ):  # a refresher against a first training: no declared effect
                continue
            share, name = _share(study, spec, row, average)
            ratio = study.truth.ratios[row.outcome][row.arm or study.truth.treatments[0]]
            truth = _truth(study, row.outcome, ratio, share, on_log_scale=row.scale == "log")
            found.append(
                {
                    "replicate": replicate, "analysis": name, "outcome": row.outcome,
                    "arm": row.arm, "effect": ratio, "truth": truth, "estimate": row.estimate,
                    "std_error": row.std_error,
                    "covered": np.nan if np.isnan(truth) else float(row.conf_low <= truth <= row.conf_high),
                    "excludes_null": not row.conf_low <= 0 <= row.conf_high, "p_value": row.p_value,
                    "p_adjusted": row.p_adjusted,
                }
            )  # fmt: skip
    declared = [o.name for o in study.trial.outcomes]
    found.sort(key=lambda row: declared.index(row["outcome"]))
    return pd.DataFrame(found)


def _without_events(
    study: "Study", specs: "list[AnalysisSpec]", outcomes: list[str], replicate: int
) -> "list[dict[str, Any]]":
    """Give rows that found nothing, for outcomes that did not happen: there is no rate to compare."""
    nan = math.nan
    return [
        {
            "replicate": replicate, "analysis": analysis.label(spec), "outcome": outcome, "arm": arm,
            "effect": ratio, "truth": nan, "estimate": nan, "std_error": nan, "covered": nan,
            "excludes_null": False, "p_value": nan, "p_adjusted": nan,
        }
        for spec in specs for outcome in outcomes for arm, ratio in study.truth.ratios[outcome].items()
    ]  # fmt: skip


def _adjusted(study: "Study", spec: "AnalysisSpec", rows: "Sequence[Estimate]") -> "Sequence[Estimate]":
    """Adjust the primary analysis's p-values where that needs its draws; Holm's needs p-values alone."""
    declared = study.trial.analysis
    if spec != declared.primary or declared.multiplicity != "westfall-young":
        return rows
    return adjust(Estimates(tuple(rows)), method="westfall-young").rows


def _share(study: "Study", spec: "AnalysisSpec", row: "Estimate", average: float) -> tuple[float, str]:
    """Give the share of the full effect that a row is about, and its analysis's name with its time."""
    name = analysis.label(spec)
    if not math.isnan(row.event_time):
        time = int(row.event_time)
        share = mean_share(study.truth.course, (time + 1, time + 1)) if time >= 0 else 0.0
        return share, f"{name}, event time {time}"
    if not math.isnan(row.exposure_time):
        time = int(row.exposure_time)
        return mean_share(study.truth.course, (time, time)), f"{name}, exposure time {time}"
    if "long_run" in spec.options and study.truth.course != Course():
        return math.nan, name  # how long the last exposure times are depends on the draw
    return average, name


def replicate_panel(study: "Study", replicate: int) -> "tuple[Panel, Allocation]":
    """Give the panel that a replicate would record, and its allocation."""
    from rct.panel import Panel

    drawn = draw_trial(study, replicate)
    allocation = _assigned(study.allocation, drawn.sequence)
    rows = assigned_rows(allocation)
    if drawn.conduct is not None and moves_on_record(study.trial):
        rows = moved_rows(rows, allocation, drawn.conduct.place)
    for number, name in enumerate(study.truth.outcomes):
        rows[name] = drawn.counts[number].ravel()
    if drawn.conduct is not None:
        rows["received"] = drawn.conduct.received.ravel()
    if drawn.exposure is not None:
        rows["exposure"] = drawn.exposure.ravel()
    rows = with_covariates(rows, allocation)
    fractional = tuple(o.name for o in study.trial.outcomes if o.fractional)
    meta = {"simulated": True, "control": study.trial.arms.control}
    panel = Panel(rows, study.truth.outcomes, fractional, study.trial.analysis.covariates, meta=meta)
    return panel, allocation


def _truth(study: "Study", outcome: str, ratio: float, share: float, *, on_log_scale: bool) -> float:
    """Give the true effect; a difference of rates is one number only where all rates stay as they are."""
    import numpy as np

    if on_log_scale:
        return float(np.log(ratio) * share)
    if ratio == 1:
        return 0.0
    rate = study.truth.rates[study.truth.outcomes.index(outcome)]
    steady = share == 1 and not study.truth.calendar(2).any() and study.history is None
    return rate * (ratio - 1) if steady else float("nan")


def _assigned(allocation: "Allocation", sequence: "npt.NDArray[np.int16]") -> "Allocation":
    """Give the allocation in which each unit follows the drawn sequence."""
    import numpy as np

    arms = allocation.sequences.drop_duplicates("sequence").sort_values("sequence")["arm"].to_numpy()
    shares = allocation.probabilities.to_numpy()
    frame = allocation.frame.assign(
        sequence=sequence.astype("int64"),
        arm=arms[sequence],
        starts=allocation.starts(sequence),
        probability=shares[np.arange(len(sequence)), sequence],
    )
    return replace(allocation, frame=frame)
