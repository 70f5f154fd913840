"""One power study: what every replicate shares, and the computation of a block of replicates."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from rct import analysis
from rct.power.batch_forms import batch_form
from rct.power.panel_replicates import panel_rows
from rct.power.replicates import Replicates
from rct.power.resampled_history import History
from rct.power.trial_draws import draw_trial
from rct.randomization import randomize
from rct.randomization.assigned_rows import assigned_rows
from rct.simulation import Effects, Truth, declared_truth, synthetic_roster

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.power.replicates import Promise
    from rct.randomization import Allocation
    from rct.trial import Trial
    from rct.trial_tables import AnalysisSpec

BLOCK = 64
REDRAWS = 2**32 - 1
KEY = ["replicate", "analysis", "outcome", "arm"]


@dataclass(frozen=True, kw_only=True)
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
    history : History, optional
        Real months to resample, instead of drawing counts.
    effect_sd : mapping, optional
        Outcome → standard deviation of the log ratio, where each replicate has a true effect of its own.
    """

    trial: "Trial"
    allocation: "Allocation"
    truth: Truth
    seed: int
    only_p: bool = False
    history: History | None = None
    effect_sd: "Mapping[str, float] | None" = None

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
    def blocks(self) -> "npt.NDArray[np.int64]":
        """Codes of the blocks of the randomized units."""
        import pandas as pd

        return pd.factorize(self.allocation.frame["block"], sort=True)[0]

    @cached_property
    def doses(self) -> "npt.NDArray[np.float64]":
        """Sequences × periods."""
        table = self.allocation.sequences
        return table.pivot(index="sequence", columns="period", values="dose").to_numpy()

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

    @cached_property
    def window(self) -> tuple[int, int]:
        """Exposure times over which the trial's answer is a mean: the declared ones, else all there are."""
        import numpy as np

        for spec in (self.trial.analysis.primary, *self.trial.analysis.secondary):
            if "average" in spec.options:
                first, last = spec.options["average"]
                return first, last
        return 1, max(int((np.nan_to_num(self.doses) > 0).sum(axis=1).max()), 1)

    @cached_property
    def without_effect(self) -> "Study":
        """The same study of a training that changes nothing; what changes with reporting stays."""
        truth = self.truth
        ratios = {outcome: dict.fromkeys(truth.treatments, 1.0) for outcome in truth.outcomes}
        return replace(self, truth=replace(truth, ratios=ratios), only_p=True, effect_sd=None)

    @property
    def has_effect(self) -> bool:
        """Whether any outcome has an effect."""
        return any(ratio != 1 for ratios in self.truth.ratios.values() for ratio in ratios.values())

    def promises(self) -> "list[tuple[AnalysisSpec, Promise | None]]":
        """Give every promised analysis that is not Bayesian, with its batch form where it has one."""
        declared = self.trial.analysis
        specs = [s for s in (declared.primary, *declared.secondary) if s.estimator != "bayesian"]
        return [(spec, batch_form(self, spec)) for spec in specs]


def declared_study(
    trial: "Trial",
    roster: "pd.DataFrame | None",
    *,
    effects: Effects | None,
    draws: int,
    seed: int,
    only_p: bool = False,
    history: History | None = None,
    rehearsed: bool = True,
) -> Study:
    """Lay out the study of a trial; rehearse every analysis once, where `rehearsed` says so.

    Raises
    ------
    TrialError, DataError, AllocationError
        For a trial that cannot be randomized, simulated or analysed as declared.
    """
    analysis.check(trial)
    units = synthetic_roster(trial) if roster is None else roster
    allocation = randomize(trial, units, seed="power")
    if rehearsed:
        analysis.rehearse(trial, allocation)
    promised = trial.analysis.model_copy(update={"draws": draws})
    short = trial.model_copy(update={"analysis": promised})
    aligned = None if history is None else history.aligned(allocation, trial)
    truth = declared_truth(trial, effects)
    study = Study(trial=short, allocation=allocation, truth=truth, seed=seed, only_p=only_p, history=aligned)
    for outcome in (o for o, parent in enumerate(study.truth.parents) if parent < 0):
        if study.truth.nested(outcome):
            study.truth.nested_probabilities(outcome, study.log_effects)
    return study


def run_block(study: Study, first: int, last: int) -> "pd.DataFrame":
    """Compute replicates first, …, last − 1: one row per replicate and estimate.

    One BLAS thread, so that the bits do not depend on how many there are.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        rows = _analysed(study, first, last)
        if study.only_p or study.effect_sd:
            return rows
        null = _without_effect(study, first, last) if study.has_effect else rows
    return rows.assign(null_p_value=_matched(rows, null))


def run_packed(packed: bytes, first: int, last: int) -> "pd.DataFrame":
    """Compute a block of a pickled study, unpacked once a process: what its blocks share is made once."""
    return run_block(_unpacked(packed), first, last)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Study:
    study = pickle.loads(packed)
    assert isinstance(study, Study)
    return study


def _without_effect(study: Study, first: int, last: int) -> "pd.DataFrame":
    """Analyse the same replicates without an effect, by the analyses that have a batch form."""
    import pandas as pd

    fast = [form for _, form in study.promises() if form is not None]
    if not fast:
        return pd.DataFrame(columns=[*KEY, "p_value"])
    return pd.concat(batch_rows(study.without_effect, fast, first, last), ignore_index=True)


def _matched(rows: "pd.DataFrame", null: "pd.DataFrame") -> "npt.NDArray[np.float64]":
    """Give the p-value of the same analysis in the same replicate without an effect."""
    import pandas as pd

    known = null.drop_duplicates(KEY).set_index(KEY)["p_value"]
    return known.reindex(pd.MultiIndex.from_frame(rows[KEY])).to_numpy(dtype=float)


def _analysed(study: Study, first: int, last: int) -> "pd.DataFrame":
    import pandas as pd

    promises = study.promises()
    fast = [form for _, form in promises if form is not None]
    slow = [spec for spec, form in promises if form is None]
    parts = batch_rows(study, fast, first, last) if fast else []
    if slow:
        parts += [panel_rows(study, slow, r) for r in range(first, last)]
    rows = pd.concat(parts, ignore_index=True)
    return rows.astype({"covered": "float64", "excludes_null": "float64", "replicate": "int64"})


def batch_rows(study: Study, promises: "list[Promise]", first: int, last: int) -> "list[pd.DataFrame]":
    """Analyse the totals of replicates first, …, last − 1 together, outcome by outcome."""
    import numpy as np

    drawn = [draw_trial(study, r, measured=False) for r in range(first, last)]
    assigned = np.stack([one.sequence for one in drawn])
    counts = np.stack([one.counts for one in drawn], axis=1)
    if "share" not in study.truth.counting:
        counts = counts.astype(np.int32)
    treatment = study.truth.treatments[0]
    rerandomizes = any(promise.rerandomizes for promise in promises)
    parts = []
    for outcome, name in enumerate(study.truth.outcomes):
        ratio = study.truth.ratios[name][treatment]
        replicates = Replicates(
            counts=counts[outcome],
            assigned=assigned,
            sizes=np.bincount(study.randomized, minlength=assigned.shape[1]).astype(float),
            blocks=study.blocks,
            doses=study.doses,
            probabilities=study.allocation.probabilities.to_numpy(),
            redraws=study.redraws if rerandomizes else None,
            exact=study.trial.analysis.draws == "exact",
            ratio=ratio,
            course=study.truth.course,
            window=study.window,
            untreated_rate=study.truth.rates[outcome] * np.exp(study.truth.calendar(study.doses.shape[1])),
        )
        for promise in promises:
            rows = promise.analyse(replicates, alpha=study.trial.analysis.alpha, only_p=study.only_p)
            labelled = rows.assign(analysis=promise.name, outcome=name, arm=treatment, effect=ratio)
            parts.append(labelled.assign(replicate=np.arange(first, last)))
    return parts
