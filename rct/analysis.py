"""Run every analysis that a trial promises: Trial + Panel + Allocation → Estimates."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from rct.analysis_checks import check, notes, rehearse
from rct.analysis_runs import ESTIMATORS, Sample, label, timing_permutations
from rct.errors import DataError, TrialError
from rct.estimates import Estimate, Estimates
from rct.randomization.assigned_rows import assignment_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rct.panel import Panel
    from rct.posterior import Posterior
    from rct.randomization import Allocation
    from rct.trial import Trial
    from rct.trial_tables import AnalysisSpec

__all__ = [
    "ESTIMATORS",
    "Sample",
    "check",
    "estimate",
    "label",
    "notes",
    "rehearse",
    "timing_permutations",
    "trial_seed",
]


def estimate(
    trial: "Trial", panel: "Panel", *, allocation: "Allocation | None" = None, seed: int | None = None
) -> Estimates:
    """Run the primary and every secondary analysis of a trial, on all outcomes.

    Parameters
    ----------
    trial : Trial
    panel : Panel
    allocation : Allocation, optional
        Needed wherever inference is by re-randomization.
    seed : int, optional
        Instead of `analysis.seed`, which is derived from the trial's hash where the file has none.

    Returns
    -------
    Estimates
        Primary rows first (`notes["role"]` is "primary"), their p-values adjusted over the outcomes.

    Raises
    ------
    TrialError, EstimationError, DataError
    """
    check(trial)
    _check_panel(trial, panel, allocation)
    sample = Sample(trial, panel, allocation, trial_seed(trial, seed))
    rows: list[Estimate] = []
    posteriors: dict[str, Posterior] = {}
    for number, spec in enumerate((trial.analysis.primary, *trial.analysis.secondary)):
        answer = ESTIMATORS[spec.estimator].run(sample, spec)
        role = "primary" if number == 0 else "secondary"
        named = [replace(r, notes={**r.notes, "role": role, "analysis": number}) for r in answer.rows]
        rows += _adjusted(named, trial.analysis.multiplicity) if role == "primary" else named
        if answer.posterior is not None:
            posteriors[_posterior_name(spec, posteriors)] = answer.posterior
    return Estimates(tuple(rows), posteriors, _provenance(sample))


def trial_seed(trial: "Trial", seed: int | None = None) -> int:
    """Give the seed of a trial's re-randomizations, bootstraps and chains."""
    if seed is not None:
        return seed
    declared = trial.analysis.seed
    if isinstance(declared, int):
        return declared
    text = declared if declared is not None else trial.hash
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _check_panel(trial: "Trial", panel: "Panel", allocation: "Allocation | None") -> None:
    lacking = [o.name for o in trial.outcomes if o.name not in panel.outcomes]
    if lacking:
        raise TrialError(
            f"the panel has no {', '.join(lacking)}, which {trial.name} promises to estimate; "
            f"it has {', '.join(panel.outcomes)}"
        )
    counted = panel.meta.get("counting_hash", trial.counting_hash)
    if counted != trial.counting_hash:
        raise DataError(
            "the panel was counted under other [[outcomes]] or [records] than the trial now declares; "
            "make it again with rct panel (build_panel), or restore the trial file"
        )
    if allocation is not None:
        assigned = assignment_hash(allocation)
        if panel.meta.get("assignment_hash", assigned) != assigned:
            raise DataError("the panel was made with another allocation than the one given; give its own")


def _adjusted(rows: list[Estimate], method: Literal["holm", "westfall-young", "none"]) -> list[Estimate]:
    from rct.frequentist import adjust

    return rows if method == "none" else list(adjust(Estimates(tuple(rows)), method=method))


def _posterior_name(spec: "AnalysisSpec", taken: "Mapping[str, object]") -> str:
    name = f"bayesian {spec.options.get('model', 'marginal')}"
    return name if name not in taken else f"{name} {len(taken) + 1}"


def _provenance(sample: Sample) -> dict[str, Any]:
    """Say what the estimates rest on, so that a stranger can check it."""
    allocation = sample.allocation
    return {
        "trial": sample.trial.name,
        "trial_hash": sample.trial.hash,
        "design_hash": sample.trial.design_hash,
        "roster_hash": allocation.certificate["roster_hash"] if allocation else "",
        "assignment_hash": sample.panel.meta.get("assignment_hash", ""),
        "panel_hash": sample.panel.hash,
        "seed": str(sample.seed),
        "simulated": bool(sample.panel.meta.get("simulated", False)),
    }
