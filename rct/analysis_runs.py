"""How each estimator that a trial may promise is run, outcome by outcome: the registry of estimators."""

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rct.errors import EstimationError
from rct.estimates import NAN, Estimate, Estimates

if TYPE_CHECKING:
    from rct.panel import Panel
    from rct.posterior import Posterior
    from rct.randomization import Allocation
    from rct.trial import Trial
    from rct.trial_tables import AnalysisSpec

LABELS = ("random_effects", "effect", "curve", "model", "estimator", "aggregate", "correlation", "adjust")
DIFFERENCES = frozenset({"staggered", "linear", "first_differences", "difference_in_means"})
GIVEN = frozenset({"panel", "outcome", "outcomes", "level", "seed", "allocation"})


@dataclass(frozen=True)
class Sample:
    """What an analysis is run on: the trial's promise, its data, one seed for the whole trial.

    `tests` keeps the randomization tests, since one serves every analysis of an outcome.
    """

    trial: "Trial"
    panel: "Panel"
    allocation: "Allocation | None"
    seed: int
    tests: dict[str, list[Estimate]] = field(default_factory=dict)

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


def label(spec: "AnalysisSpec") -> str:
    """Name an analysis in tables: the estimator, and what makes it this one."""
    options = dict(spec.options)
    details = [str(options.pop(key)) for key in LABELS if key in options]
    if "average" in options:
        details.append("mean of {}–{}".format(*options.pop("average")))
    options.pop("baseline", None)  # changes the percent, not the analysis
    details += [f"{name}={_plainly(value)}" for name, value in options.items()]
    return " ".join([spec.estimator, *details, *([f"({spec.inference})"] if spec.inference else [])])


def _plainly(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _poisson(sample: Sample, spec: "AnalysisSpec") -> Answer:
    from rct.frequentist import poisson

    if "random_effects" in spec.options:
        return _own_inference(sample, spec)
    constant = spec.options.get("effect", "constant") == "constant" and "trends" not in spec.options
    return _rate_ratios(sample, spec, poisson, constant=constant)


def _exposure_curve(sample: Sample, spec: "AnalysisSpec") -> Answer:
    from rct.frequentist import exposure_curve

    return _rate_ratios(sample, spec, exposure_curve, constant=False)


def _rate_ratios(
    sample: Sample,
    spec: "AnalysisSpec",
    estimator: "Callable[..., Estimate | Estimates]",
    *,
    constant: bool,
) -> Answer:
    """Fit each outcome, and set the trial's inference beside it; only a constant has the test's interval."""
    inference = spec.inference or sample.trial.analysis.inference
    options = _with_covariates(sample, spec)
    if inference == "randomization" and sample.panel.frame["block"].nunique() > 1:
        # The test holds periods within blocks; a fit beside it that did not would be another model.
        options = {"fixed_effects": ("unit", "block:period")} | options

    def tests(outcome: str) -> list[Estimate]:
        shared = {key: value for key, value in options.items() if key in ("covariates", "fixed_effects")}
        return _rerandomized(sample, outcome, shared)

    def one(outcome: str) -> list[Estimate]:
        fitted = _rows(estimator(sample.panel, outcome, level=sample.level, **options))
        if inference == "wild-bootstrap" and spec.estimator == "poisson":
            return _bootstrapped(sample, outcome, options, fitted)
        if inference != "randomization":
            return fitted
        tested = tests(outcome)
        return [
            _with_test(row, tested, constant=constant) if row.notes.get("sharp_null", True) else row
            for row in fitted
        ]

    def without(outcome: str, reason: str) -> list[Estimate]:
        blank = _without_estimate(sample, spec, outcome, reason)
        if inference != "randomization" or not (sample.panel.frame[outcome] > 0).any():
            return blank
        tested = tests(outcome)
        return [_with_test(row, tested, constant=False) for row in blank]

    return Answer(_over_outcomes(sample, one, without))


def _bootstrapped(
    sample: Sample, outcome: str, options: dict[str, Any], fitted: Sequence[Estimate]
) -> list[Estimate]:
    """Give each row the bootstrap's p-value and interval; the standard error stays the fit's own."""
    from rct.frequentist import wild_bootstrap

    known = {name: value for name, value in options.items() if name != "correction"}
    tested = wild_bootstrap(
        sample.panel,
        outcome,
        draws=sample.trial.analysis.draws,
        seed=sample.seed,
        level=sample.level,
        **known,
    )
    return [
        replace(
            test,
            std_error=row.std_error,
            inference=f"{test.inference}; interval by inversion; standard error: {row.inference}",
            notes={**row.notes, **test.notes},
        )
        for row, test in zip(fitted, _rows(tested), strict=True)
    ]


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
        notes={**test.notes, **row.notes},
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


def _rerandomized(sample: Sample, outcome: str, options: dict[str, Any]) -> list[Estimate]:
    from rct.frequentist import randomization_test

    given = {"draws": sample.trial.analysis.draws} | options
    allocation = _allocation_of(sample)
    key = f"{outcome} {sorted(given.items())}"
    if key not in sample.tests:
        test = randomization_test(
            sample.panel, outcome, allocation=allocation, seed=sample.seed, level=sample.level, **given
        )
        sample.tests[key] = _rows(test)
    return sample.tests[key]


def _randomization_test(sample: Sample, spec: "AnalysisSpec") -> Answer:
    options = _with_covariates(sample, spec)

    def one(outcome: str) -> list[Estimate]:
        return _rerandomized(sample, outcome, options)

    def without(outcome: str, reason: str) -> list[Estimate]:
        return _without_estimate(sample, spec, outcome, reason)

    return Answer(_over_outcomes(sample, one, without))


def timing_permutations(trial: "Trial", spec: "AnalysisSpec") -> int:
    """Give the permutations behind a p-value of randomized timing: the trial's draws, if it has any.

    The space of a staggered roll-out is never small, so "exact" stands for 9,999 of its permutations.
    """
    if "permutations" in spec.options:
        return int(spec.options["permutations"])
    if (spec.inference or trial.analysis.inference) != "randomization":
        return 0
    return 9999 if trial.analysis.draws == "exact" else trial.analysis.draws


def _staggered(sample: Sample, spec: "AnalysisSpec") -> Answer:
    from rct.frequentist import staggered

    options = {**spec.options, "permutations": timing_permutations(sample.trial, spec)}

    def one(outcome: str) -> list[Estimate]:
        return _rows(staggered(sample.panel, outcome, level=sample.level, seed=sample.seed, **options))

    def without(outcome: str, reason: str) -> list[Estimate]:
        return _without_estimate(sample, spec, outcome, reason)

    return Answer(_over_outcomes(sample, one, without))


def _own_inference(sample: Sample, spec: "AnalysisSpec") -> Answer:
    """Run an estimator whose uncertainty is its own, whatever the inference of the trial."""
    entry = ESTIMATORS[spec.estimator]
    estimator = getattr(import_module(entry.home), entry.function)
    options = _with_covariates(sample, spec)

    def one(outcome: str) -> list[Estimate]:
        return _rows(estimator(sample.panel, outcome, level=sample.level, **options))

    def without(outcome: str, reason: str) -> list[Estimate]:
        return _without_estimate(sample, spec, outcome, reason)

    return Answer(_over_outcomes(sample, one, without))


def _over_outcomes(
    sample: Sample,
    one: Callable[[str], list[Estimate]],
    without: Callable[[str, str], list[Estimate]],
) -> tuple[Estimate, ...]:
    """Estimate each outcome; one that has no estimate says so in its row and does not undo the others.

    Raises
    ------
    EstimationError
        Where no outcome can be estimated: then the design is at fault, not how rare one outcome is.
    """
    rows: list[Estimate] = []
    failures: list[EstimationError] = []
    for outcome in sample.outcomes:
        try:
            rows += one(outcome)
        except EstimationError as error:
            failures.append(error)
            if len(failures) == len(sample.outcomes):
                raise EstimationError(f"{outcome}: {error}") from error
            rows += without(outcome, str(error))
    return tuple(rows)


def _without_estimate(sample: Sample, spec: "AnalysisSpec", outcome: str, reason: str) -> list[Estimate]:
    return [
        Estimate(
            outcome=outcome,
            term=treatment.name,
            arm=treatment.name,
            reference=sample.trial.arms.control,
            method=label(spec),
            inference="none, for there is no estimate",
            estimand=sample.trial.analysis.estimand,
            scale="difference" if spec.estimator in DIFFERENCES else "log",
            level=sample.level,
            estimate=NAN,
            n_events=float(sample.panel.frame[outcome].sum()),
            warning=reason,
        )
        for treatment in sample.trial.arms.treatments
    ]


def _bayesian(sample: Sample, spec: "AnalysisSpec") -> Answer:
    from rct.bayesian import check_fit
    from rct.bayesian.fitting import fit, priors_of_model

    model = spec.options.get("model", "marginal")
    options = {"priors": priors_of_model(model, sample.trial.analysis.priors)} | spec.options
    try:
        posterior = fit(sample.panel, sample.outcomes, seed=sample.seed, level=sample.level, **options)
    except EstimationError as error:
        if spec is sample.trial.analysis.primary:
            raise
        # Known only from the data, after all that was promised beside it has been run: the reason is a row.
        blank = (_without_estimate(sample, spec, outcome, str(error)) for outcome in sample.outcomes)
        return Answer(tuple(row for rows in blank for row in rows))
    ratios = sample.trial.power.effects
    hoped = {name: ratio for name, ratio in ratios.items() if isinstance(ratio, float) and ratio != 1}
    posterior = check_fit(posterior, sample.panel, hoped=hoped)
    frame = posterior.frame.drop(columns=["irr", "percent_change"])
    rows = (Estimate(**{str(key): value for key, value in r.items()}) for r in frame.to_dict("records"))
    return Answer(tuple(rows), posterior)


@dataclass(frozen=True)
class Estimator:
    """One entry of the registry: what runs, and the function of the public API whose options it takes."""

    run: Callable[[Sample, "AnalysisSpec"], Answer]
    home: str
    function: str

    @property
    def own_inference(self) -> bool:
        """Whether its uncertainty does not depend on the inference that the trial declares."""
        return self.run in (_own_inference, _bayesian)

    def options(self) -> dict[str, Any]:
        """Give the options that a trial may name, each with the type of its value."""
        function = getattr(import_module(self.home), self.function)
        names = vars(import_module(function.__module__))
        parameters = inspect.signature(function).parameters
        return {n: _evaluated(p.annotation, names) for n, p in parameters.items() if n not in GIVEN}


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    """Give the type that an annotation names; any where it is imported for type checkers alone."""
    try:
        return eval(annotation, names) if isinstance(annotation, str) else annotation
    except (NameError, TypeError):
        return Any


def allowed_texts(kind: Any) -> list[str]:
    """Give the texts of a type's literals; none where it allows any text."""
    if typing.get_origin(kind) is typing.Literal:
        return [value for value in typing.get_args(kind) if isinstance(value, str)]
    parts = typing.get_args(kind)
    return [] if str in parts else [text for part in parts for text in allowed_texts(part)]


ESTIMATORS: dict[str, Estimator] = {
    "poisson": Estimator(_poisson, "rct.frequentist", "poisson"),
    "exposure_curve": Estimator(_exposure_curve, "rct.frequentist", "exposure_curve"),
    "staggered": Estimator(_staggered, "rct.frequentist", "staggered"),
    "randomization_test": Estimator(_randomization_test, "rct.frequentist", "randomization_test"),
    "negative_binomial": Estimator(_own_inference, "rct.frequentist", "negative_binomial"),
    "gee": Estimator(_own_inference, "rct.frequentist", "gee"),
    "linear": Estimator(_own_inference, "rct.frequentist", "linear"),
    "first_differences": Estimator(_own_inference, "rct.frequentist", "first_differences"),
    "difference_in_means": Estimator(_own_inference, "rct.frequentist", "difference_in_means"),
    "bayesian": Estimator(_bayesian, "rct.bayesian", "fit"),
}


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
