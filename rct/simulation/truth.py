"""What a trial file assumes to be true: rates, effects, heterogeneity, and how events nest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from rct.errors import TrialError
from rct.schedule import months_of_periods
from rct.simulation.departures import Departures, declared_departures
from rct.simulation.effect_course import effect_share, exposure_times
from rct.trial_tables import Course

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.trial import Trial

Effects = Mapping[str, "float | Mapping[str, float]"]

LARGEST_RATIO = 1_000
"""No training has such an effect, and the counts of larger ones could outgrow the memory."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The truth that a simulation draws from.

    Attributes
    ----------
    outcomes, treatments : tuple of str
    rates : tuple of float
        Events per measured unit and period, before the trend, by outcome.
    ratios : mapping
        outcome → treatment → incidence rate ratio at dose 1; log-linear in dose.
    parents : tuple of int
        For each outcome the index of the outcome whose incidents it is part of, or -1.
    counting : tuple of str
        For each outcome whether an incident counts for its first officer ("first"), for every officer
        involved ("every"), or in shares ("share").
    persons : tuple of float
        For each outcome the mean number of persons that an incident with such an event adds to its count.
    heterogeneity : float
        Gamma shape of officer rates; infinite where all are alike.
    cluster_sd, cluster_period_sd : float
        Standard deviations of log rates, both factors with mean one.
    trend : float
        Log rate per period.
    season : tuple of float
        Further log rate of each period; empty where there is none.
    course : Course
        The effect along the time since training began.
    departures : Departures
    control : str
        Name of the control arm.
    injury_overlap : float
        Of the incidents with an event of the second nested outcome, the share with one of the first too.
    mean_size : float
        Mean number of officers of an incident.
    """

    outcomes: tuple[str, ...]
    treatments: tuple[str, ...]
    rates: tuple[float, ...]
    ratios: Mapping[str, Mapping[str, float]]
    parents: tuple[int, ...]
    counting: tuple[str, ...]
    persons: tuple[float, ...]
    heterogeneity: float
    cluster_sd: float
    cluster_period_sd: float
    trend: float
    injury_overlap: float
    mean_size: float
    season: tuple[float, ...] = ()
    course: Course = field(default_factory=Course)
    departures: Departures = field(default_factory=Departures)
    control: str = "control"

    def calendar(self, periods: int) -> "npt.NDArray[np.float64]":
        """Give the log rate of each period relative to the first one's declared rate: trend and season."""
        import numpy as np

        seasonal = np.array(self.season) if self.season else np.zeros(periods)
        return self.trend * np.arange(periods) + seasonal

    def log_effects(self, sequences: "pd.DataFrame") -> "npt.NDArray[np.float64]":
        """Give the log effect by outcome, sequence and period; none in transition periods.

        Parameters
        ----------
        sequences
            One row per sequence and period: sequence, period, arm, dose.

        Returns
        -------
        numpy.ndarray, shape (outcomes, sequences, periods)
        """
        import numpy as np

        table = sequences.sort_values(["sequence", "period"])
        shape = (table["sequence"].nunique(), table["period"].nunique())
        dose = table["dose"].to_numpy().reshape(shape)
        share = effect_share(self.course, exposure_times(dose)) * np.nan_to_num(dose)
        arm = table["arm"].to_numpy().reshape(shape)
        effects = np.zeros((len(self.outcomes), *shape))
        for number, outcome in enumerate(self.outcomes):
            for treatment, ratio in self.ratios[outcome].items():
                effects[number] += math.log(ratio) * share * (arm == treatment)
        return effects

    def incident_rate(self, outcome: int) -> float:
        """Incidents led by a measured unit in a period, so that its own count has the declared rate."""
        officers = self.mean_size if self.counting[outcome] == "every" else 1.0
        return self.rates[outcome] / (officers * self.persons[outcome])

    def nested(self, outcome: int) -> list[int]:
        """Outcomes whose events are part of this outcome's incidents."""
        return [child for child, parent in enumerate(self.parents) if parent == outcome]

    def nested_probabilities(
        self, parent: int, log_effects: "npt.NDArray[np.float64]"
    ) -> "npt.NDArray[np.float64]":
        """Give the probability that an incident holds an event of each nested outcome.

        The unconditional rate of each outcome keeps its own declared effect, so the probability given an
        incident is the ratio of the two rates. `log_effects` is (outcomes, sequences, periods), or has
        other axes after the first.

        Returns
        -------
        numpy.ndarray, shape (nested outcomes, …)

        Raises
        ------
        TrialError
            If a probability exceeds one, or the declared overlap cannot be had.
        """
        import numpy as np

        nested = self.nested(parent)
        share = np.array([self.incident_rate(child) / self.incident_rate(parent) for child in nested])
        chance = (np.exp(log_effects[nested] - log_effects[parent]).T * share).T
        names = [self.outcomes[child] for child in nested]
        for name, values in zip(names, chance, strict=True):
            if values.max() > 1 + 1e-12:
                raise TrialError(
                    f"{name} would happen in {100 * values.max():.0f} % of {self.outcomes[parent]} "
                    "incidents: its rate exceeds the rate it is part of. Change power.rates or the effects."
                )
        if len(nested) == 2:
            _check_overlap(chance, self.injury_overlap, names)
        return np.minimum(chance, 1.0)


def declared_truth(trial: "Trial", effects: Effects | None = None) -> Truth:
    """Read the truth from a trial's `[power]` table.

    Parameters
    ----------
    effects : mapping, optional
        outcome → ratio, or outcome → {treatment: ratio}; replaces `power.effects` for the outcomes it
        names. An outcome named nowhere has no effect.

    Raises
    ------
    TrialError
        For a missing rate, an unknown outcome or treatment, or a ratio that is not positive.
    """
    power = trial.power
    names = tuple(outcome.name for outcome in trial.outcomes)
    lacking = [name for name in names if name not in power.rates]
    if lacking:
        raise TrialError(
            f"power.rates does not name {', '.join(lacking)}: add its count per measured unit and period"
        )
    treatments = tuple(treatment.name for treatment in trial.arms.treatments)
    parents = tuple(names.index(o.within) if o.within else -1 for o in trial.outcomes)
    for name, count in ((names[p], parents.count(p)) for p in set(parents) - {-1}):
        if count > 2:
            raise TrialError(f"{count} outcomes are within {name}; the simulation nests at most two")
    return Truth(
        outcomes=names,
        treatments=treatments,
        rates=tuple(power.rates[name] for name in names),
        ratios=_ratios({**power.effects, **(effects or {})}, names, treatments),
        parents=parents,
        counting=tuple("every" if o.unit_of_count == "report" else o.attribution for o in trial.outcomes),
        persons=tuple(power.persons.get(name, 1.0) for name in names),
        heterogeneity=power.heterogeneity or math.inf,
        cluster_sd=power.cluster_sd,
        cluster_period_sd=power.cluster_period_sd,
        trend=power.trend,
        injury_overlap=power.injury_overlap,
        mean_size=mean_incident_size(power.officers_per_incident),
        season=_season(trial),
        course=power.course,
        departures=declared_departures(trial),
        control=trial.arms.control,
    )


def _season(trial: "Trial") -> tuple[float, ...]:
    """Give the log factor of each period from those of the months."""
    schedule, season = trial.schedule, trial.power.season
    if not season:
        return ()
    if schedule.start is None:
        raise TrialError("power.season needs schedule.start, to know which month each period lies in")
    mean = sum(season) / len(season)
    months = months_of_periods(schedule.periods, schedule.start, schedule.period)
    return tuple(math.log(sum(season[m - 1] for m in inside) / len(inside) / mean) for inside in months)


@cache
def truncated_mean_size(mean: float, largest: int) -> float:
    """Give the mean of min(1 + Poisson(mean − 1), largest): no incident has more officers than a company."""
    from scipy.stats import poisson

    return 1 + sum(float(poisson.sf(k, mean - 1)) for k in range(largest - 1))


def mean_incident_size(size_weighted: float) -> float:
    """Give the mean a of an incident's size 1 + Poisson(a − 1) from its size-weighted mean m.

    E S² / E S = a + (a − 1)/a = m, so a² + (1 − m) a − 1 = 0.
    """
    return ((size_weighted - 1) + math.hypot(size_weighted - 1, 2)) / 2


def _ratios(
    effects: Effects, outcomes: tuple[str, ...], treatments: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    ratios = {outcome: dict.fromkeys(treatments, 1.0) for outcome in outcomes}
    for outcome, effect in effects.items():
        _known(outcome, outcomes, "outcome")
        by_arm = effect if isinstance(effect, Mapping) else dict.fromkeys(treatments, effect)
        for treatment, ratio in by_arm.items():
            _known(treatment, treatments, "treatment")
            if not 0 < ratio <= LARGEST_RATIO:
                raise TrialError(
                    f"the effect on {outcome} is a rate ratio above 0 (0.75 = −25 %) and at most "
                    f"{LARGEST_RATIO:,}, not {ratio}"
                )
            ratios[outcome][treatment] = float(ratio)
    return ratios


def _known(name: str, names: tuple[str, ...], kind: str) -> None:
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
        raise TrialError(f"an effect is given for {kind} {name!r}, which the trial does not have{hint}")


def _check_overlap(chance: "npt.NDArray[np.float64]", overlap: float, names: list[str]) -> None:
    first, second = chance
    both = overlap * second
    if (both > first + 1e-12).any() or (first + second - both > 1 + 1e-12).any():
        raise TrialError(
            f"power.injury_overlap = {overlap:g} cannot be: with these rates of {names[0]} and {names[1]} "
            "some incidents would need a probability above one. Change the overlap or the rates."
        )
