"""One replicate's assignment and counts, of measured units or of randomized units' totals."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rct.simulation.cluster_totals import draw_totals
from rct.simulation.departures import Conduct, draw_conduct
from rct.simulation.officer_counts import draw_counts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rct.power.study import Study
    from rct.simulation import Truth


@dataclass(frozen=True)
class Drawn:
    """One replicate.

    Attributes
    ----------
    sequence : (randomized units,)
    counts : (outcomes, units, periods)
        Of measured units, or of randomized units in total.
    conduct : Conduct, optional
        Who was trained and who left, where that departs from the allocation.
    exposure : (measured units, periods), optional
        All equal where absent.
    """

    sequence: "npt.NDArray[np.int16]"
    counts: "npt.NDArray[np.int64] | npt.NDArray[np.float64]"
    conduct: Conduct | None = None
    exposure: "npt.NDArray[np.float64] | None" = None


def draw_trial(study: "Study", replicate: int, *, measured: bool) -> Drawn:
    """Draw replicate number `replicate` of a study; totals where `measured` is false."""
    import numpy as np

    seed = np.random.SeedSequence(study.seed, spawn_key=(replicate,))
    sequence = study.allocation.draws(1, seed=seed.spawn(1)[0])[0]
    rng = np.random.default_rng(seed)
    truth = true_of(study, rng)
    effects = study.log_effects if truth is study.truth else truth.log_effects(study.allocation.sequences)
    units = len(study.allocation.frame)
    if not measured and study.history is None and not _needs_measured_units(truth):
        sizes = np.bincount(study.randomized, minlength=units)
        return Drawn(sequence, draw_totals(rng, truth, sizes, effects[:, sequence]))
    drawn = _of_measured_units(study, truth, rng, sequence, effects)
    if measured:
        return drawn
    totals = np.zeros((units, len(drawn.counts), drawn.counts.shape[2]))
    np.add.at(totals, study.randomized, drawn.counts.swapaxes(0, 1))
    return replace(drawn, counts=totals.swapaxes(0, 1))


def replicate_truth(study: "Study", replicate: int) -> "Truth":
    """Give the truth that a replicate was drawn from."""
    import numpy as np

    return true_of(study, np.random.default_rng(np.random.SeedSequence(study.seed, spawn_key=(replicate,))))


def true_of(study: "Study", rng: "np.random.Generator") -> "Truth":
    """Give the truth of a replicate: the study's, or one drawn from the prior of its effects."""
    if not study.effect_sd:
        return study.truth
    ratios = {}
    for outcome, by_arm in study.truth.ratios.items():
        shift = study.effect_sd.get(outcome, 0.0) * rng.standard_normal()
        ratios[outcome] = {arm: math.exp(math.log(ratio) + shift) for arm, ratio in by_arm.items()}
    return replace(study.truth, ratios=ratios)


def _needs_measured_units(truth: "Truth") -> bool:
    shared = truth.mean_size > 1 and any(counting != "first" for counting in truth.counting)
    return shared or truth.departures.individual


def _of_measured_units(
    study: "Study",
    truth: "Truth",
    rng: "np.random.Generator",
    sequence: "npt.NDArray[np.int16]",
    effects: "npt.NDArray[np.float64]",
) -> Drawn:
    clusters = study.randomized
    conduct = None
    own = effects[:, sequence[clusters]]
    if truth.departures.individual:
        conduct = draw_conduct(rng, truth, study.allocation.sequences, sequence, clusters)
        own = conduct.log_effects
    if study.history is not None:
        counts, exposure = study.history.thinned(rng, own)
        if conduct is not None:
            counts, exposure = counts * conduct.present, exposure * conduct.present
        return Drawn(sequence, counts, conduct, exposure)
    companies = clusters if len(study.allocation.frame) < len(clusters) else study.blocks[clusters]
    counts = draw_counts(
        rng, truth, clusters, companies, own,
        place=None if conduct is None else conduct.place,
        present=None if conduct is None else conduct.present,
    )  # fmt: skip
    return Drawn(sequence, counts, conduct, None if conduct is None else conduct.present.astype(float))
