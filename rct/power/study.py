"""One power study: what every replicate shares, and the computation of a block of replicates."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rct import analysis
from rct.power.poisson_replicates import PoissonPromise
from rct.power.replicates import Promise, Replicates
from rct.power.timing_replicates import TimingPromise
from rct.randomization import randomize
from rct.randomization.assigned_rows import assigned_rows, with_covariates
from rct.simulation import Effects, Truth, declared_truth, synthetic_roster
from rct.simulation.cluster_totals import draw_totals
from rct.simulation.officer_counts import draw_counts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.randomization import Allocation
    from rct.trial import Trial
    from rct.trial_tables import AnalysisSpec

BLOCK = 64
REDRAWS = 2**32 - 1


@dataclass(frozen=True)
class Study:
    """What all replicates share.

    Attributes
    ----------
    trial : Trial
        With the study's own number of re-randomizations.
    allocation : Allocation
        Gives the mechanism and the measured units; its own outcome is not used.
    truth : Truth
    seed : int
        Replicate r draws from SeedSequence(seed, spawn_key=(r,)).
    only_p : bool
        Whether p-values alone are wanted, so that a randomization test needs no fit of the effect.
    """

    trial: "Trial"
    allocation: "Allocation"
    truth: Truth
    seed: int
    only_p: bool = False

    @cached_property
    def rows(self) -> "pd.DataFrame":
        """Measured units × periods."""
        return assigned_rows(self.allocation)

    @cached_property
    def randomized(self) -> "npt.NDArray[np.int64]":
        """For each measured unit the position of its randomized unit in the allocation's frame."""
        import pandas as pd

        unit = self.rows.drop_duplicates("unit")["randomized"]
        return pd.Index(self.allocation.frame["unit"]).get_indexer(unit)

    @cached_property
    def log_effects(self) -> "npt.NDArray[np.float64]":
        """Outcomes × sequences × periods."""
        return self.truth.log_effects(self.allocation.sequences)

    @cached_property
    def redraws(self) -> "npt.NDArray[np.int16]":
        """Re-randomizations that all replicates are tested against."""
        import numpy as np

        draws = self.trial.analysis.draws
        seed = np.random.SeedSequence(self.seed, spawn_key=(REDRAWS,))
        return self.allocation.draws(draws, seed=None if draws == "exact" else seed)

    @property
    def shares_incidents(self) -> bool:
        """Whether officers' counts depend on each other through shared incidents."""
        return self.truth.mean_size > 1 and any(counting != "first" for counting in self.truth.counting)


def declared_study(
    trial: "Trial",
    roster: "pd.DataFrame | None",
    *,
    effects: Effects | None,
    draws: int,
    seed: int,
    only_p: bool = False,
) -> Study:
    """Lay out the study of a trial.

    Raises
    ------
    TrialError, DataError, AllocationError
        For a trial that cannot be randomized, simulated or analysed as declared.
    """
    analysis.check(trial)
    units = synthetic_roster(trial) if roster is None else roster
    allocation = randomize(trial, units, seed="power")
    analysis.rehearse(trial, allocation)
    promised = trial.analysis.model_copy(update={"draws": draws})
    short = trial.model_copy(update={"analysis": promised})
    study = Study(short, allocation, declared_truth(trial, effects), seed, only_p)
    for outcome in (o for o, parent in enumerate(study.truth.parents) if parent < 0):
        if study.truth.nested(outcome):
            study.truth.nested_probabilities(outcome, study.log_effects)
    return study


def run_block(study: Study, first: int, last: int) -> "pd.DataFrame":
    """Compute replicates first, …, last − 1: one row per replicate and estimate.

    One BLAS thread, so that the bits do not depend on how many there are.
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        promised = [
            spec
            for spec in (study.trial.analysis.primary, *study.trial.analysis.secondary)
            if spec.estimator != "bayesian"
        ]
        fast = [promise for spec in promised if (promise := _batched(study, spec)) is not None]
        slow = [spec for spec in promised if _batched(study, spec) is None]
        parts = []
        if fast:
            parts += _fast(study, fast, first, last)
        if slow:
            parts += [_slow(study, slow, r) for r in range(first, last)]
    return pd.concat(parts, ignore_index=True)


def _batched(study: Study, spec: "AnalysisSpec") -> Promise | None:
    """Give the batch form of an analysis, on totals of randomized units, where it has one.

    That is the Poisson analysis and the one of randomized timing, with one treatment arm, without covariates.
    """
    if len(study.truth.treatments) > 1 or study.trial.analysis.covariates:
        return None
    if spec.estimator == "staggered":
        return _timing_promise(study, spec)
    by_exposure = spec.options.get("effect") == "exposure-time"
    blocked = len(study.allocation.blocks) > 1
    plain = {"effect", "average"} >= set(spec.options) and (not by_exposure or "average" in spec.options)
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
    )


def _timing_promise(study: Study, spec: "AnalysisSpec") -> TimingPromise | None:
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


def _draw(study: Study, replicate: int, *, measured: bool) -> "tuple[Any, Any]":
    """Draw one replicate's assignment and counts, of measured units or of randomized units' totals."""
    import numpy as np

    seed = np.random.SeedSequence(study.seed, spawn_key=(replicate,))
    sequence = study.allocation.draws(1, seed=seed.spawn(1)[0])[0]
    rng = np.random.default_rng(seed)
    units = len(study.allocation.frame)
    if not measured and not study.shares_incidents:
        sizes = np.bincount(study.randomized, minlength=units)
        return sequence, draw_totals(rng, study.truth, sizes, study.log_effects[:, sequence])
    clusters = study.randomized
    companies = clusters if units < len(clusters) else _blocks(study)
    counts = draw_counts(rng, study.truth, clusters, companies, study.log_effects[:, sequence[clusters]])
    if measured:
        return sequence, counts
    totals = np.zeros((units, len(counts), counts.shape[2]))
    np.add.at(totals, clusters, counts.swapaxes(0, 1))
    return sequence, totals.swapaxes(0, 1)


def _blocks(study: Study) -> "npt.NDArray[np.int64]":
    import pandas as pd

    return pd.factorize(study.allocation.frame["block"], sort=True)[0][study.randomized]


def _fast(study: Study, promises: list[Promise], first: int, last: int) -> "list[pd.DataFrame]":
    import numpy as np
    import pandas as pd

    drawn = [_draw(study, r, measured=False) for r in range(first, last)]
    assigned = np.stack([sequence for sequence, _ in drawn])
    counts = np.stack([totals.astype(np.int32) for _, totals in drawn], axis=1)
    sizes = np.bincount(study.randomized, minlength=assigned.shape[1]).astype(float)
    blocks = pd.factorize(study.allocation.frame["block"], sort=True)[0]
    doses = study.allocation.sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
    treatment = study.truth.treatments[0]
    parts = []
    for outcome, name in enumerate(study.truth.outcomes):
        ratio = study.truth.ratios[name][treatment]
        replicates = Replicates(
            counts=counts[outcome], assigned=assigned, sizes=sizes, blocks=blocks, doses=doses,
            probabilities=study.allocation.probabilities.to_numpy(),
            redraws=study.redraws if any(promise.rerandomizes for promise in promises) else None,
            exact=study.trial.analysis.draws == "exact", ratio=ratio,
            untreated_rate=study.truth.rates[outcome] * np.exp(study.truth.trend * np.arange(doses.shape[1])),
        )  # fmt: skip
        for promise in promises:
            rows = promise.analyse(replicates, alpha=study.trial.analysis.alpha, only_p=study.only_p)
            labelled = rows.assign(analysis=promise.name, outcome=name, arm=treatment, effect=ratio)
            parts.append(labelled.assign(replicate=np.arange(first, last)))
    return parts


def _slow(study: Study, specs: "list[AnalysisSpec]", replicate: int) -> "pd.DataFrame":
    """Run any analysis on a panel made for the replicate."""
    import numpy as np
    import pandas as pd

    from rct.panel import Panel

    sequence, counts = _draw(study, replicate, measured=True)
    allocation = _assigned(study.allocation, sequence)
    rows = assigned_rows(allocation)
    for number, name in enumerate(study.truth.outcomes):
        rows[name] = counts[number].ravel()
    rows = with_covariates(rows, allocation)
    fractional = tuple(o.name for o in study.trial.outcomes if o.fractional)
    meta = {"simulated": True, "control": study.trial.arms.control}
    panel = Panel(rows, study.truth.outcomes, fractional, study.trial.analysis.covariates, meta=meta)
    sample = analysis.Sample(study.trial, panel, allocation, study.seed)
    found = []
    for spec in specs:
        for row in analysis.ESTIMATORS[spec.estimator].run(sample, spec).rows:
            ratio = study.truth.ratios[row.outcome][row.arm or study.truth.treatments[0]]
            truth = np.log(ratio) if row.scale == "log" else _difference(study, row.outcome, ratio)
            found.append(
                {
                    "replicate": replicate, "analysis": analysis.label(spec), "outcome": row.outcome,
                    "arm": row.arm, "effect": ratio, "truth": truth, "estimate": row.estimate,
                    "std_error": row.std_error, "covered": row.conf_low <= truth <= row.conf_high,
                    "excludes_null": not row.conf_low <= 0 <= row.conf_high, "p_value": row.p_value,
                }
            )  # fmt: skip
    return pd.DataFrame(found)


def _difference(study: Study, outcome: str, ratio: float) -> float:
    """Give the true difference of rates, which is one number only where rates follow no trend."""
    rate = study.truth.rates[study.truth.outcomes.index(outcome)]
    return rate * (ratio - 1) if study.truth.trend == 0 or ratio == 1 else float("nan")


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
