"""Which promised analyses have a form for many replicates at once, on totals of randomized units."""

from typing import TYPE_CHECKING

from rct import analysis
from rct.power.poisson_replicates import PoissonPromise
from rct.power.replicates import Promise
from rct.power.timing_replicates import TimingPromise
from rct.simulation.departures import moves_on_record

if TYPE_CHECKING:
    from rct.power.study import Study
    from rct.trial_tables import AnalysisSpec


def batch_form(study: "Study", spec: "AnalysisSpec") -> Promise | None:
    """Give the batch form of an analysis, where it has one.

    That is the Poisson analysis and the one of randomized timing, with one treatment arm, without covariates,
    with equal exposure and units that count where they were randomized; any other analysis is run on a panel,
    replicate by replicate.
    """
    unequal = study.truth.departures.leaves or (study.history is not None and study.history.unequal)
    several = len(study.truth.treatments) > 1
    if several or study.trial.analysis.covariates or unequal or moves_on_record(study.trial):
        return None
    if spec.estimator == "staggered":
        return _timing_promise(study, spec)
    by_exposure = spec.options.get("effect") == "exposure-time"
    blocked = len(study.allocation.blocks) > 1
    once = _seen_once(study, spec)
    known = {"effect", "average", *(("fixed_effects",) if once else ())}
    plain = known >= set(spec.options) and (not by_exposure or "average" in spec.options)
    inference = spec.inference or study.trial.analysis.inference
    if (
        spec.estimator != "poisson"
        or not plain
        or inference == "wild-bootstrap"
        or study.trial.schedule.transition
        or (by_exposure and blocked)
    ):
        return None
    return PoissonPromise(
        name=analysis.label(spec),
        average=tuple(spec.options["average"]) if by_exposure else None,
        rerandomizes=inference == "randomization",
        unit_effects=not once,
    )


def _seen_once(study: "Study", spec: "AnalysisSpec") -> bool:
    """Whether units are seen in one period only and compared within their blocks, as shifts are."""
    effects = tuple(spec.options.get("fixed_effects", ()))
    blocked = len(study.allocation.blocks) > 1
    return study.doses.shape[1] == 1 and effects in (("block:period",), *(() if blocked else (("period",),)))


def _timing_promise(study: "Study", spec: "AnalysisSpec") -> TimingPromise | None:
    aggregate = spec.options.get("aggregate", "simple")
    if aggregate == "event":
        return None
    return TimingPromise(
        name=analysis.label(spec),
        estimator=spec.options.get("estimator", "efficient"),
        aggregate=aggregate,
        permutations=analysis.timing_permutations(study.trial, spec),
        seed=study.seed,
    )
