"""Incidents and the injuries within them: binomial thinning, so that no injury exists without an incident."""

from typing import TYPE_CHECKING

from rct.simulation.several_streams import Streams
from rct.simulation.truth import Truth

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def thin(
    rng: "np.random.Generator | Streams",
    incidents: "npt.NDArray[np.int64]",
    chance: "npt.NDArray[np.float64]",
    overlap: float,
) -> "npt.NDArray[np.int64]":
    """Draw how many of the incidents hold an event of each nested outcome.

    Parameters
    ----------
    incidents : shape S
    chance : shape (nested outcomes, *S), one or two outcomes
        Probability of each given an incident.
    overlap : float
        Of the incidents with the second, the share with the first too.

    Returns
    -------
    numpy.ndarray, shape (nested outcomes, *S)
    """
    import numpy as np

    if len(chance) == 1:
        return rng.binomial(incidents, chance[0])[None]
    first, second = chance
    both = rng.binomial(incidents, overlap * second)
    only_first = rng.binomial(incidents - both, _given(first - overlap * second, overlap * second))
    rest = incidents - both - only_first
    only_second = rng.binomial(rest, _given((1 - overlap) * second, first))
    return np.stack([both + only_first, both + only_second])


def count_outcomes(
    rng: "np.random.Generator | Streams",
    truth: Truth,
    incidents: "dict[int, npt.NDArray[np.int64]]",
    log_effects: "npt.NDArray[np.float64]",
) -> "npt.NDArray[np.int64]":
    """Give the counts of all outcomes from the incidents of those that are part of no other.

    Parameters
    ----------
    incidents
        By outcome that is part of no other: incidents by unit and period.
    log_effects : shape (outcomes, [trials,] units, periods)
        Of each unit's own sequence.

    Returns
    -------
    numpy.ndarray, shaped as log_effects
    """
    import numpy as np

    counts = np.zeros(log_effects.shape, dtype=np.int64)
    for parent, events in incidents.items():
        counts[parent] = events
        nested = truth.nested(parent)
        if nested:
            chance = truth.nested_probabilities(parent, log_effects)
            counts[nested] = thin(rng, events, chance, truth.injury_overlap)
        for outcome in [parent, *nested]:
            counts[outcome] = count_persons(rng, counts[outcome], truth.persons[outcome])
    return counts


def count_persons(
    rng: "np.random.Generator | Streams", events: "npt.NDArray[np.int64]", persons: float
) -> "npt.NDArray[np.int64]":
    """Turn events into persons: one, and a Poisson number more, so that their mean is `persons`."""
    import numpy as np

    if persons == 1:
        return events
    return np.asarray(events + rng.poisson(events * (persons - 1)))


def _given(joint: "npt.NDArray[np.float64]", taken: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    import numpy as np

    return np.clip(joint / np.maximum(1 - taken, 1e-300), 0.0, 1.0)
