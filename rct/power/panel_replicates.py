"""Any analysis of one replicate, by its own estimator on a panel made for it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rct import analysis
from rct.power.replicates import mean_share
from rct.power.trial_draws import draw_trial
from rct.randomization.assigned_rows import assigned_rows, with_covariates

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.panel import Panel
    from rct.power.study import Study
    from rct.randomization import Allocation
    from rct.trial_tables import AnalysisSpec


def panel_rows(study: "Study", specs: "list[AnalysisSpec]", replicate: int) -> "pd.DataFrame":
    """Give one row per analysis, outcome and arm of a replicate."""
    import pandas as pd

    panel, allocation = replicate_panel(study, replicate)
    sample = analysis.Sample(study.trial, panel, allocation, study.seed)
    found = []
    for spec in specs:
        window = spec.options.get("average", study.window)
        share = mean_share(study.truth.course, tuple(window))
        for row in analysis.ESTIMATORS[spec.estimator].run(sample, spec).rows:
            ratio = study.truth.ratios[row.outcome][row.arm or study.truth.treatments[0]]
            truth = _truth(study, row.outcome, ratio, share, on_log_scale=row.scale == "log")
            found.append(
                {
                    "replicate": replicate, "analysis": analysis.label(spec), "outcome": row.outcome,
                    "arm": row.arm, "effect": ratio, "truth": truth, "estimate": row.estimate,
                    "std_error": row.std_error, "covered": row.conf_low <= truth <= row.conf_high,
                    "excludes_null": not row.conf_low <= 0 <= row.conf_high, "p_value": row.p_value,
                }
            )  # fmt: skip
    return pd.DataFrame(found)


def replicate_panel(study: "Study", replicate: int) -> "tuple[Panel, Allocation]":
    """Give the panel that a replicate would record, and its allocation."""
    from rct.panel import Panel

    drawn = draw_trial(study, replicate, measured=True)
    allocation = _assigned(study.allocation, drawn.sequence)
    rows = assigned_rows(allocation)
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
