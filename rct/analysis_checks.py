"""What a trial may promise and what its design can answer, told before anything runs."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rct.analysis_runs import ESTIMATORS
from rct.errors import TrialError

if TYPE_CHECKING:
    from rct.randomization import Allocation
    from rct.trial import Trial
    from rct.trial_tables import AnalysisSpec

FEW_CLUSTERS = 40
BUILT_INFERENCE = ("randomization", "cluster-robust")


def check(trial: "Trial") -> None:
    """Refuse a trial that promises an analysis rct cannot run, before anything runs.

    Raises
    ------
    TrialError
        Naming the analysis, the unknown estimator, option or value, and the nearest known one.
    """
    analysis = trial.analysis
    named = [("analysis.primary", analysis.primary)]
    named += [(f"analysis.secondary[{number}]", spec) for number, spec in enumerate(analysis.secondary)]
    for place, spec in named:
        _check_spec(place, spec)
        inference = spec.inference or analysis.inference
        if inference not in BUILT_INFERENCE:
            raise TrialError(
                f"{place}: inference = {inference!r} is not available yet; use {' or '.join(BUILT_INFERENCE)}"
            )


def notes(trial: "Trial", allocation: "Allocation") -> tuple[str, ...]:
    """Say in plain sentences what the design cannot answer, before any data exist."""
    from rct.randomization import restriction_notes

    found = [*restriction_notes(allocation)]
    alpha, clusters = trial.analysis.alpha, len(allocation.frame)
    if allocation.smallest_p > alpha:
        remedy = "Randomize" if allocation.accepted is None else "Keep more candidates, or randomize"
        found.append(
            f"This design cannot reach significance at {alpha:g}: with {allocation.space:,} distinct "
            f"allocations the smallest possible randomization p-value is {allocation.smallest_p:.3g}. "
            f"{remedy} more units."
        )
    if clusters < FEW_CLUSTERS:
        found.append(
            f"{clusters} randomized units are few: the plain cluster-robust standard error is too small "
            f"below {FEW_CLUSTERS}; re-randomization, or CR2 with Satterthwaite degrees of freedom, is used "
            "instead."
        )
    effects = {
        spec.options.get("effect", "constant")
        for spec in (trial.analysis.primary, *trial.analysis.secondary)
        if spec.estimator == "poisson"
    }
    if trial.schedule.kind == "stepped-wedge" and effects and effects != {"constant", "exposure-time"}:
        found.append(
            "A stepped wedge has two answers, the average over exposure times and the constant effect, and "
            f"this trial promises only the {effects.pop()} one; add the other under analysis.secondary."
        )
    return tuple(found)


def _check_spec(place: str, spec: "AnalysisSpec") -> None:
    if spec.estimator not in ESTIMATORS:
        raise TrialError(
            f"{place}: there is no estimator {spec.estimator!r}{_nearest(spec.estimator, ESTIMATORS)}"
        )
    known = ESTIMATORS[spec.estimator].options()
    for name, value in spec.options.items():
        if name not in known:
            raise TrialError(f"{place}: {spec.estimator} has no option {name!r}{_nearest(name, known)}")
        if isinstance(value, str) and known[name] and value not in known[name]:
            raise TrialError(f"{place}: {name} = {value!r} is not known{_nearest(value, known[name])}")


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"
