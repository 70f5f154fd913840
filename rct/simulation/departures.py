"""How what happens departs from the allocation: who is trained, leaves, moves, is influenced."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rct.errors import TrialError
from rct.simulation.effect_course import effect_share, exposure_times

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.simulation.truth import Truth
    from rct.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Departures:
    """What a trial assumes of departures from its allocation; see the keys of `[power]`.

    Attributes
    ----------
    untrained, trained_anyway : float
        Shares of measured units.
    contamination : float
        Share of the mean log effect over all measured units that the untrained have.
    attrition : mapping
        Arm → chance to leave after a period.
    transfers : float
        Chance to move to another randomized unit after a period.
    reporting : mapping
        Outcome → events recorded once trained, relative to before.
    mixing : float
        Of the officers on a shift, the share who belong to the other arm; for shifts as measured units.
    """

    untrained: float = 0.0
    trained_anyway: float = 0.0
    contamination: float = 0.0
    attrition: Mapping[str, float] = field(default_factory=dict)
    transfers: float = 0.0
    reporting: Mapping[str, float] = field(default_factory=dict)
    mixing: float = 0.0

    @property
    def individual(self) -> bool:
        """Whether measured units of one randomized unit no longer share one course of events."""
        shares = (self.untrained, self.trained_anyway, self.contamination, self.transfers, self.mixing)
        return any(shares) or self.leaves or any(ratio != 1 for ratio in self.reporting.values())

    @property
    def leaves(self) -> bool:
        """Whether measured units leave."""
        return any(self.attrition.values())


@dataclass(frozen=True)
class Conduct:
    """What measured units do in one simulated trial.

    Attributes
    ----------
    log_effects : (outcomes, units, periods)
    received : (units, periods)
        Dose received; NaN in transition.
    present : (units, periods)
        Whether the unit is still there.
    place : (units, periods)
        Randomized unit where it works, whose random effects it shares and among whose units the others of
        its incidents are found.
    """

    log_effects: "npt.NDArray[np.float64]"
    received: "npt.NDArray[np.float64]"
    present: "npt.NDArray[np.bool_]"
    place: "npt.NDArray[np.int64]"


def declared_departures(trial: "Trial") -> Departures:
    """Read the departures that `[power]` assumes.

    Raises
    ------
    TrialError
        For departures that this trial cannot have.
    """
    power = trial.power
    found = Departures(
        untrained=power.untrained,
        trained_anyway=power.trained_anyway,
        contamination=power.contamination,
        attrition=dict(power.attrition),
        transfers=power.transfers,
        reporting=dict(power.reporting),
        mixing=power.mixing,
    )
    if found.mixing and trial.schedule.kind != "shifts":
        raise TrialError(
            "power.mixing is of officers who work treated and untreated shifts, for a schedule of shifts; "
            "leave it out, or say with power.contamination how much of the effect the untrained have"
        )
    for arm in set(found.attrition) - set(trial.arms.names):
        raise TrialError(f"power.attrition: {arm} is not an arm; they are {', '.join(trial.arms.names)}")
    if (found.trained_anyway or found.transfers) and (
        len(trial.arms.treatments) > 1 or trial.schedule.kind in ("crossover", "shifts")
    ):
        raise TrialError(
            "power.trained_anyway and power.transfers are simulated for one treatment arm that, once begun, "
            "goes on; leave them out of this trial"
        )
    units = trial.units
    if found.transfers and units.randomize == units.id:
        raise TrialError(
            f"power.transfers are moves from one randomized unit to another, and here each {units.measure} "
            "is randomized itself; leave them out, or say with power.contamination how much of the effect "
            "the untrained have"
        )
    if found.leaves and trial.schedule.kind == "shifts":
        raise TrialError(
            "power.attrition: a shift is over after its one period and cannot leave; leave it out"
        )
    return found


def moves_on_record(trial: "Trial") -> bool:
    """Say whether a measured unit that moves counts for the randomized unit it is in now."""
    return trial.power.transfers > 0 and trial.units.movers == "current"


def draw_conduct(
    rng: "np.random.Generator",
    truth: "Truth",
    sequences: "pd.DataFrame",
    sequence: "npt.NDArray[np.integer]",
    clusters: "npt.NDArray[np.int64]",
) -> Conduct:
    """Draw who is trained when, who leaves and who moves, and what effect that has.

    A measured unit that moves is trained from the first period in which it works in a randomized unit that
    is treated then, and stays trained.

    Parameters
    ----------
    sequences
        One row per sequence and period: sequence, period, arm, dose.
    sequence : shape (randomized units,)
        That each follows.
    clusters : shape (measured units,)
        Number of each unit's randomized unit.
    """
    import numpy as np

    departures = truth.departures
    dose = sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
    arm = sequences.pivot(index="sequence", columns="period", values="arm").to_numpy()
    shape = (len(clusters), dose.shape[1])
    place = _places(rng, departures.transfers, clusters, len(sequence), dose.shape[1])
    assigned = dose[sequence[clusters]]
    received = dose[sequence[place], np.arange(shape[1])]
    if departures.transfers:
        received = np.fmax.accumulate(received, axis=1)
    chance = rng.random(shape[0])
    first = int(np.argmax((np.nan_to_num(dose) > 0).any(axis=0)))
    always = np.where(np.arange(shape[1]) < first, 0.0, np.nanmax(dose))
    received = np.where((chance < departures.trained_anyway)[:, None], always, received)
    received = np.where((chance >= 1 - departures.untrained)[:, None], 0.0, received)
    present = _present(rng, departures, truth, assigned, arm[sequence[clusters]])
    effects = _effects(truth, received, arm[sequence[clusters]], present)
    return Conduct(effects, received, present, place)


def _places(
    rng: "np.random.Generator",
    chance: float,
    clusters: "npt.NDArray[np.int64]",
    number: int,
    periods: int,
) -> "npt.NDArray[np.int64]":
    import numpy as np

    place = np.repeat(clusters[:, None], periods, axis=1)
    if not chance or number < 2:
        return place
    for period in range(1, periods):
        moves = rng.random(len(clusters)) < chance
        elsewhere = rng.integers(1, number, len(clusters))
        now = place[:, period - 1]
        place[:, period] = np.where(moves, (now + elsewhere) % number, now)
    return place


def _present(
    rng: "np.random.Generator",
    departures: Departures,
    truth: "Truth",
    assigned: "npt.NDArray[np.float64]",
    arm: "npt.NDArray[np.object_]",
) -> "npt.NDArray[np.bool_]":
    """Give who is there; the chance to leave is that of the arm assigned at the time."""
    import numpy as np

    if not departures.leaves:
        return np.ones(assigned.shape, dtype=bool)
    hazard = np.full(assigned.shape, departures.attrition.get(truth.control, 0.0))
    for treatment in truth.treatments:
        given = (arm == treatment) & (np.nan_to_num(assigned) > 0)
        hazard[given] = departures.attrition.get(treatment, 0.0)
    leaves = rng.random(assigned.shape) < hazard
    left = np.cumsum(leaves, axis=1)
    return np.asarray(left == leaves)


def _effects(
    truth: "Truth",
    received: "npt.NDArray[np.float64]",
    arm: "npt.NDArray[np.object_]",
    present: "npt.NDArray[np.bool_]",
) -> "npt.NDArray[np.float64]":
    import numpy as np

    departures = truth.departures
    given = np.nan_to_num(received)
    share = effect_share(truth.course, exposure_times(received)) * given
    # Who is trained outside the allocation has no arm of its own there: the one treatment is meant.
    own = np.where(np.isin(arm, truth.treatments), arm, truth.treatments[0])
    effects = np.zeros((len(truth.outcomes), *received.shape))
    for number, outcome in enumerate(truth.outcomes):
        for treatment, ratio in truth.ratios[outcome].items():
            effects[number] += np.log(ratio) * share * (own == treatment)
        if departures.mixing:
            effects[number] = _mixed(effects[number], given > 0, departures.mixing)
        there = np.maximum(present.sum(axis=0), 1)
        mean = (effects[number] * present).sum(axis=0) / there
        effects[number] += np.where(given > 0, 0.0, departures.contamination * mean)
        effects[number] += np.log(departures.reporting.get(outcome, 1.0)) * (given > 0)
    return effects


def _mixed(
    effects: "npt.NDArray[np.float64]", treated: "npt.NDArray[np.bool_]", mixing: float
) -> "npt.NDArray[np.float64]":
    """Give the log effect on shifts where some of the officers belong to the other arm.

    An officer brings the same share of a shift's events, so of m from the other arm and a rate ratio R the
    treated shifts have (1 − m)R + m, the others mR + 1 − m.
    """
    import numpy as np

    if not treated.any():
        return effects
    trained = np.where(treated, 1 - mixing, mixing)
    return np.asarray(np.log1p(trained * np.expm1(effects[treated].mean())))
