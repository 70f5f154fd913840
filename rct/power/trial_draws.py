"""Assignment and counts of replicates: of one's measured units, or of many's randomized units."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rct.simulation.cluster_totals import draw_totals
from rct.simulation.departures import Conduct, draw_conduct
from rct.simulation.officer_counts import draw_counts
from rct.simulation.several_streams import Streams

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rct.power.study import Study
    from rct.simulation import Truth


@dataclass(frozen=True)
class Drawn:
    """One replicate, measured unit by measured unit.

    Attributes
    ----------
    sequence : (randomized units,)
    counts : (outcomes, measured units, periods)
    conduct : Conduct, optional
        Who was trained and who left, where that departs from the allocation.
    exposure : (measured units, periods), optional
        All equal where absent.
    """

    sequence: "npt.NDArray[np.int16]"
    counts: "npt.NDArray[np.int64] | npt.NDArray[np.float64]"
    conduct: Conduct | None = None
    exposure: "npt.NDArray[np.float64] | None" = None


def draw_trial(study: "Study", replicate: int) -> Drawn:
    """Draw replicate number `replicate` of a study."""
    sequence, rng = _begun(study, replicate)
    truth = true_of(study, rng)
    return _of_measured_units(study, truth, rng, sequence, _log_effects(study, truth))


def draw_totals_of_trials(
    study: "Study", first: int, last: int
) -> "tuple[npt.NDArray[np.int16], npt.NDArray[np.int64] | npt.NDArray[np.float64]]":
    """Draw replicates first, …, last − 1, randomized unit by randomized unit.

    Returns
    -------
    assigned : (replicates, units)
    counts : (outcomes, replicates, units, periods)
    """
    import numpy as np

    units = len(study.allocation.frame)
    if study.history is None and not _needs_measured_units(study.truth):
        begun = [_begun(study, replicate) for replicate in range(first, last)]
        effects = [_log_effects(study, true_of(study, rng))[:, sequence] for sequence, rng in begun]
        sizes = np.bincount(study.randomized, minlength=units)
        streams = Streams([rng for _, rng in begun])
        counts = draw_totals(streams, study.truth, sizes, np.stack(effects, axis=1))
        return np.stack([sequence for sequence, _ in begun]), counts
    assigned, totals = [], []
    for replicate in range(first, last):
        drawn = draw_trial(study, replicate)
        total = np.zeros((units, len(drawn.counts), drawn.counts.shape[2]))
        np.add.at(total, study.randomized, drawn.counts.swapaxes(0, 1))
        assigned.append(drawn.sequence)
        totals.append(total.swapaxes(0, 1))
    return np.stack(assigned), np.stack(totals, axis=1)


def _begun(study: "Study", replicate: int) -> "tuple[npt.NDArray[np.int16], np.random.Generator]":
    """Give a replicate's assignment, and the generator of all else in it."""
    import numpy as np

    seed = np.random.SeedSequence(study.seed, spawn_key=(replicate,))
    return study.allocation.draws(1, seed=seed.spawn(1)[0])[0], np.random.default_rng(seed)


def _log_effects(study: "Study", truth: "Truth") -> "npt.NDArray[np.float64]":
    return study.log_effects if truth is study.truth else truth.log_effects(study.allocation.sequences)


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
