"""What a trial may promise and what its design can answer, told before anything runs."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rct.analysis_runs import ESTIMATORS, Sample, allowed_texts, label, timing_permutations
from rct.errors import RctError
from rct.trial_problems import Place, type_complaint
from rct.trial_values import as_written

if TYPE_CHECKING:
    from rct.errors import TrialError
    from rct.randomization import Allocation
    from rct.trial import Trial
    from rct.trial_tables import AnalysisSpec

FEW_CLUSTERS = 40
NAMING_COLUMNS = ("fixed_effects", "cluster", "covariates")
BUILT_INFERENCE = ("randomization", "cluster-robust", "wild-bootstrap")
# What a wild bootstrap knows of the options of poisson.
BOOTSTRAP_OPTIONS = frozenset({"fixed_effects", "covariates", "cluster", "correction", "effect", "average"})


def check(trial: "Trial") -> None:
    """Refuse a trial that promises an analysis rct cannot run, before anything runs.

    Raises
    ------
    TrialError
        Naming the analysis, the unknown estimator, option or value, and the nearest known one.
    """
    analysis = trial.analysis
    if trial.units.id in analysis.covariates:
        message = f"analysis.covariates: {trial.units.id} names the measured units; it is no covariate"
        raise trial.error(("analysis", "covariates"), message)
    labels: list[str] = []
    for place, spec in _promised(trial):
        _check_spec(trial, place, spec)
        if spec.estimator == "bayesian":
            _check_bayesian(trial, place, spec)
        if label(spec) in labels:
            raise _error(trial, place, f"{label(spec)} is promised twice; leave one of them out")
        labels.append(label(spec))
        inference = spec.inference or analysis.inference
        if (spec.estimator, inference) == ("difference_in_means", "hc2"):
            continue
        if inference not in BUILT_INFERENCE:
            raise _error(
                trial,
                place if spec.inference else ("analysis", "inference"),
                f"inference = {inference!r} is not available yet for {spec.estimator}; "
                f"use {', '.join(BUILT_INFERENCE)}",
            )
        if inference == "wild-bootstrap":
            _check_bootstrap(trial, place, spec)
    if analysis.multiplicity == "westfall-young":
        _require_draws(trial)


def rehearse(trial: "Trial", allocation: "Allocation") -> None:
    """Run every promised analysis but the Bayesian ones once, on made-up counts, before anything is known.

    An effect that the design does not identify, an option that the estimator refuses, a covariate that the
    roster lacks: each is found here rather than after the data are in.

    Raises
    ------
    TrialError
        Naming the analysis, and why it cannot be run.
    """
    import numpy as np

    from rct.panel import Panel
    from rct.randomization.assigned_rows import assigned_rows, with_covariates

    outcome = trial.outcomes[0]
    rows = assigned_rows(allocation)
    rows[outcome.name] = 5 + np.arange(len(rows)) * 7 % 11
    rows = with_covariates(rows, allocation)
    meta = {"control": trial.arms.control}
    panel = Panel(rows, (outcome.name,), (), trial.analysis.covariates, meta=meta)
    quick = trial.analysis.model_copy(update={"draws": 19})
    short = trial.model_copy(update={"analysis": quick, "outcomes": (outcome,)})
    for place, spec in _promised(trial):
        if spec.estimator != "bayesian":
            try:
                ESTIMATORS[spec.estimator].run(Sample(short, panel, allocation, 1), spec)
            except RctError as error:
                why = f"{label(spec)} cannot be run in this design: {error}"
                raise _error(trial, place, why) from error


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
        "exposure-time" if spec.estimator == "exposure_curve" else spec.options.get("effect", "constant")
        for spec in (trial.analysis.primary, *trial.analysis.secondary)
        if spec.estimator in ("poisson", "exposure_curve")
    }
    if trial.schedule.kind == "stepped-wedge" and effects and effects != {"constant", "exposure-time"}:
        found.append(
            "A stepped wedge has two answers, the average over exposure times and the constant effect, and "
            f"this trial promises only the {effects.pop()} one; add the other under analysis.secondary."
        )
    return tuple(found)


def _promised(trial: "Trial") -> "list[tuple[Place, AnalysisSpec]]":
    secondary = enumerate(trial.analysis.secondary)
    return [
        (("analysis", "primary"), trial.analysis.primary),
        *((("analysis", "secondary", number), spec) for number, spec in secondary),
    ]


def _error(trial: "Trial", place: Place, message: str) -> "TrialError":
    """Make an error with the file and line of a promise, and which of several on that line it is."""
    table, key, *number = place
    return trial.error(place, f"{table}.{key}{number or ''}: {message}")


def _check_spec(trial: "Trial", place: Place, spec: "AnalysisSpec") -> None:
    if spec.estimator not in ESTIMATORS:
        near = _nearest(spec.estimator, ESTIMATORS)
        raise _error(trial, place, f"there is no estimator {spec.estimator!r}{near}")
    own = ESTIMATORS[spec.estimator].own_inference or "random_effects" in spec.options
    if own and spec.inference not in (None, "hc2"):
        raise _error(
            trial,
            place,
            f"{spec.estimator} has an inference of its own here, so inference = {spec.inference!r} would "
            "change nothing; leave it out",
        )
    known = ESTIMATORS[spec.estimator].options()
    for name, value in spec.options.items():
        if name not in known:
            raise _error(trial, place, f"{spec.estimator} has no option {name!r}{_nearest(name, known)}")
        if name in NAMING_COLUMNS and not _names_columns(value):
            raise _error(
                trial, place, f"{name} names columns of the panel in text, so it is not {as_written(value)}"
            )
        if name == "model" and value == "meta":
            raise _error(
                trial,
                place,
                "a meta-analysis combines the estimates of several trials, and a trial file declares one: "
                "use rct.bayesian.meta(frame), and put what its as_prior() gives under analysis.priors",
            )
        texts = allowed_texts(known[name])
        if isinstance(value, str) and texts and value not in texts:
            raise _error(trial, place, f"{name} = {as_written(value)} is not known{_nearest(value, texts)}")
        if complaint := type_complaint(known[name], value):
            raise _error(trial, place, f"{name} {complaint}")


def _names_columns(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
    )


def _check_bayesian(trial: "Trial", place: Place, spec: "AnalysisSpec") -> None:
    from rct.bayesian.fitting import check_promised

    if reason := _unfit(trial, spec.options.get("model", "marginal")):
        raise _error(trial, place, reason)
    try:
        check_promised(spec.options, trial.analysis.priors)
    except RctError as error:
        raise _error(trial, place, str(error)) from error


def _unfit(trial: "Trial", model: object) -> str:
    """Say why a Bayesian model cannot be fitted to any data of this design; nothing where it can."""
    outcomes, doses = len(trial.outcomes), {arm.dose for arm in trial.arms.treatments}
    if model == "agencies" and outcomes > 1:
        return (
            f'model = "agencies" takes one outcome, and the trial has {outcomes}; '
            "use rct.bayesian.agencies(panel, outcome) for each"
        )
    if model == "joint" and outcomes < 2:
        return (
            'model = "joint" takes force and the injuries within it, and the trial has one outcome; '
            'use model = "marginal"'
        )
    if model == "dose" and len(doses) < 2:
        return (
            'model = "dose" needs treatments of at least two doses, and all of this trial have '
            f'{doses.pop():g}; use model = "marginal"'
        )
    if model == "stepped-wedge" and trial.units.randomize == trial.units.id:
        return (
            'model = "stepped-wedge" has effects of clusters, and this trial randomizes every '
            f'{trial.units.measure} alone; use model = "marginal"'
        )
    return ""


def _check_bootstrap(trial: "Trial", place: Place, spec: "AnalysisSpec") -> None:
    if spec.estimator != "poisson" or "random_effects" in spec.options:
        if spec.inference is not None:
            raise _error(trial, place, f'inference = "wild-bootstrap" is of poisson, not of {spec.estimator}')
        return
    unknown = sorted(set(spec.options) - BOOTSTRAP_OPTIONS)
    if unknown:
        raise _error(
            trial,
            place,
            f'{", ".join(unknown)} cannot be combined with inference = "wild-bootstrap"; '
            'use "cluster-robust"',
        )


def _require_draws(trial: "Trial") -> None:
    spec = trial.analysis.primary
    inference = spec.inference or trial.analysis.inference
    keeps_draws = {
        "poisson": inference in ("randomization", "wild-bootstrap") and "random_effects" not in spec.options,
        "exposure_curve": inference == "randomization",
        "randomization_test": True,
        "staggered": timing_permutations(trial, spec) > 0,
    }
    if not keeps_draws.get(spec.estimator, False):
        raise trial.error(
            ("analysis", "multiplicity"),
            'analysis.multiplicity = "westfall-young" needs the null draws of the primary analysis, which'
            f' {spec.estimator} with inference = "{inference}" does not make; use "holm"',
        )


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"
