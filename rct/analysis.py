"""Run every analysis that a trial promises: Trial + Panel + Allocation → Estimates.

`ESTIMATORS` is the registry: the names a trial file may use, and what each runs.
"""

import hashlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from rct.errors import EstimationError, TrialError
from rct.estimates import Estimate, Estimates

if TYPE_CHECKING:
    from rct.panel import Panel
    from rct.posterior import Posterior
    from rct.randomization import Allocation
    from rct.trial import Trial
    from rct.trial_tables import AnalysisSpec

GIVEN = frozenset({"panel", "outcome", "outcomes", "level", "seed", "allocation"})
FEW_CLUSTERS = 40
BUILT_INFERENCE = ("randomization", "cluster-robust")


@dataclass(frozen=True)
class Sample:
    """What an analysis is run on: the trial's promise, its data, and one seed for the whole trial."""

    trial: "Trial"
    panel: "Panel"
    allocation: "Allocation | None"
    seed: int

    @property
    def level(self) -> float:
        """Coverage of the intervals."""
        return 1 - self.trial.analysis.alpha

    @property
    def outcomes(self) -> list[str]:
        """Names of the outcomes, in the trial's order."""
        return [outcome.name for outcome in self.trial.outcomes]


@dataclass(frozen=True)
class Answer:
    """Rows of one analysis, and the posterior behind them where there is one."""

    rows: tuple[Estimate, ...]
    posterior: "Posterior | None" = None


def _poisson(sample: Sample, spec: "AnalysisSpec") -> Answer:
    from rct.frequentist import poisson, randomization_test

    inference = spec.inference or sample.trial.analysis.inference
    options = _with_covariates(sample, spec)
    rows: list[Estimate] = []
    for outcome in sample.outcomes:
        fitted = _rows(poisson(sample.panel, outcome, level=sample.level, **options))
        if inference == "randomization":
            test = _rows(
                randomization_test(
                    sample.panel,
                    outcome,
                    allocation=_allocation_of(sample),
                    draws=sample.trial.analysis.draws,
                    seed=sample.seed,
                    covariates=options.get("covariates", ()),
                    level=sample.level,
                )
            )
            constant = options.get("effect", "constant") == "constant"
            fitted = [_with_test(row, test, constant=constant) for row in fitted]
        rows += fitted
    return Answer(tuple(rows))


def _with_test(row: Estimate, tests: Sequence[Estimate], *, constant: bool) -> Estimate:
    """Give a row the randomization test's p-value, and its interval where the effect is one constant.

    The test is of the sharp null whatever the effect's course, but inverting it presumes one ratio for all
    treated periods: an average over exposure times keeps its cluster-robust interval.
    """
    test = next(t for t in tests if t.arm == row.arm)
    warnings = " ".join(dict.fromkeys(w for w in (test.warning, "" if constant else row.warning) if w))
    tested = replace(
        row,
        p_value=test.p_value,
        null_draws=test.null_draws,
        draws_hash=test.draws_hash,
        warning=warnings,
        inference=f"p-value: {test.inference} of the sharp null; "
        f"standard error and interval: {row.inference}",
    )
    if not constant:
        return tested
    return replace(
        tested,
        estimate=test.estimate,
        conf_low=test.conf_low,
        conf_high=test.conf_high,
        df=float("nan"),
        inference=f"{test.inference}; interval by inversion of the test; standard error: {row.inference}",
    )


def _staggered(sample: Sample, spec: "AnalysisSpec") -> Answer:
    from rct.frequentist import staggered

    rows: list[Estimate] = []
    for outcome in sample.outcomes:
        rows += _rows(staggered(sample.panel, outcome, level=sample.level, seed=sample.seed, **spec.options))
    return Answer(tuple(rows))


def _randomization_test(sample: Sample, spec: "AnalysisSpec") -> Answer:
    from rct.frequentist import randomization_test

    options = {"draws": sample.trial.analysis.draws} | _with_covariates(sample, spec)
    rows: list[Estimate] = []
    for outcome in sample.outcomes:
        rows += _rows(
            randomization_test(
                sample.panel,
                outcome,
                allocation=_allocation_of(sample),
                seed=sample.seed,
                level=sample.level,
                **options,
            )
        )
    return Answer(tuple(rows))


def _bayesian(sample: Sample, spec: "AnalysisSpec") -> Answer:
    from rct.bayesian import fit

    options = {"priors": dict(sample.trial.analysis.priors) or None} | spec.options
    posterior = fit(sample.panel, sample.outcomes, seed=sample.seed, level=sample.level, **options)
    frame = posterior.frame.drop(columns=["irr", "percent_change"])
    rows = (Estimate(**{str(key): value for key, value in r.items()}) for r in frame.to_dict("records"))
    return Answer(tuple(rows), posterior)


@dataclass(frozen=True)
class Estimator:
    """One entry of the registry: what runs, and the function of the public API whose options it takes."""

    run: Callable[[Sample, "AnalysisSpec"], Answer]
    home: str
    function: str

    def signature(self) -> inspect.Signature:
        """Signature of the public function, its string annotations resolved where they can be."""
        from importlib import import_module

        return inspect.signature(getattr(import_module(self.home), self.function))


ESTIMATORS: dict[str, Estimator] = {
    "poisson": Estimator(_poisson, "rct.frequentist", "poisson"),
    "staggered": Estimator(_staggered, "rct.frequentist", "staggered"),
    "randomization_test": Estimator(_randomization_test, "rct.frequentist", "randomization_test"),
    "bayesian": Estimator(_bayesian, "rct.bayesian", "fit"),
}


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
    _check_panel(trial, panel)
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


def label(spec: "AnalysisSpec") -> str:
    """Name an analysis in tables: estimator and what makes it this one."""
    window = spec.options.get("average")
    details = [
        str(spec.options[key]) for key in ("effect", "model", "estimator", "aggregate") if key in spec.options
    ]
    if window:
        details.append(f"mean of {window[0]}–{window[1]}")
    return " ".join([spec.estimator, *details])


def notes(trial: "Trial", allocation: "Allocation") -> tuple[str, ...]:
    """Say in plain sentences what the design cannot answer, before any data exist."""
    found = []
    alpha, clusters = trial.analysis.alpha, len(allocation.frame)
    if allocation.smallest_p > alpha:
        found.append(
            f"This design cannot reach significance at {alpha:g}: with {allocation.space:,} distinct "
            f"allocations the smallest possible randomization p-value is {allocation.smallest_p:.3g}. "
            "Randomize more units."
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


def trial_seed(trial: "Trial", seed: int | None = None) -> int:
    """Give the seed of a trial's re-randomizations, bootstraps and chains."""
    if seed is not None:
        return seed
    declared = trial.analysis.seed
    if isinstance(declared, int):
        return declared
    text = declared if declared is not None else trial.hash
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _check_spec(place: str, spec: "AnalysisSpec") -> None:
    if spec.estimator not in ESTIMATORS:
        raise TrialError(
            f"{place}: there is no estimator {spec.estimator!r}{_nearest(spec.estimator, ESTIMATORS)}"
        )
    estimator = ESTIMATORS[spec.estimator]
    parameters = estimator.signature().parameters
    for name, value in spec.options.items():
        if name not in parameters or name in GIVEN:
            raise TrialError(
                f"{place}: {spec.estimator} has no option {name!r}{_nearest(name, set(parameters) - GIVEN)}"
            )
        allowed = _literals(parameters[name].annotation)
        if isinstance(value, str) and allowed and value not in allowed:
            raise TrialError(f"{place}: {name} = {value!r} is not known{_nearest(value, allowed)}")


def _literals(annotation: Any) -> list[str]:
    """Give the texts that an annotation allows; none where it allows any text."""
    if typing.get_origin(annotation) is typing.Literal:
        return [value for value in typing.get_args(annotation) if isinstance(value, str)]
    parts = typing.get_args(annotation)
    return [] if str in parts else [text for part in parts for text in _literals(part)]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"


def _check_panel(trial: "Trial", panel: "Panel") -> None:
    lacking = [o.name for o in trial.outcomes if o.name not in panel.outcomes]
    if lacking:
        raise TrialError(
            f"the panel has no {', '.join(lacking)}, which {trial.name} promises to estimate; "
            f"it has {', '.join(panel.outcomes)}"
        )


def _with_covariates(sample: Sample, spec: "AnalysisSpec") -> dict[str, Any]:
    declared = sample.trial.analysis.covariates
    return ({"covariates": tuple(declared)} if declared else {}) | spec.options


def _allocation_of(sample: Sample) -> "Allocation":
    if sample.allocation is None:
        raise EstimationError(
            'inference = "randomization" draws again with the mechanism of the allocation, which was '
            'not given: add --allocation FOLDER (allocation=…), or declare inference = "cluster-robust"'
        )
    return sample.allocation


def _rows(result: "Estimate | Estimates") -> list[Estimate]:
    return [result] if isinstance(result, Estimate) else list(result)


def _adjusted(rows: list[Estimate], method: Literal["holm", "none"]) -> list[Estimate]:
    from rct.frequentist import adjust

    return rows if method == "none" else list(adjust(Estimates(tuple(rows)), method=method))


def _posterior_name(spec: "AnalysisSpec", taken: Mapping[str, object]) -> str:
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
        "panel_hash": sample.panel.hash,
        "seed": str(sample.seed),
        "simulated": bool(sample.panel.meta.get("simulated", False)),
    }
