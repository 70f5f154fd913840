"""Larger, smaller, longer and shorter versions of a declared trial, for planning."""

from typing import TYPE_CHECKING

from rct.errors import TrialError
from rct.trial_checks import contradictions

if TYPE_CHECKING:
    from rct.trial import Trial


def resized(
    trial: "Trial", *, clusters: int | None = None, units: int | None = None, periods: int | None = None
) -> "Trial":
    """Give the trial with other numbers of randomized units, measured units or periods.

    A stepped wedge keeps its crossings and has as even a number of randomized units at each as can be;
    units of a staggered roll-out are shared out in proportion. Further periods come after the last crossing.

    Raises
    ------
    TrialError
        If the trial cannot have that size.
    """
    randomized = _randomized(trial) if clusters is None else clusters
    measured = trial.power.units if units is None else units
    same = trial.units.randomize == trial.units.id
    if same:
        randomized = measured = clusters or units or randomized
    power = trial.power.model_copy(update={"clusters": randomized, "units": measured})
    schedule = trial.schedule.model_copy(update={} if periods is None else {"periods": periods})
    if randomized != _randomized(trial):
        if schedule.by_block:
            raise TrialError("a schedule with parts for single blocks cannot be resized; declare it anew")
        if schedule.kind == "stepped-wedge":
            schedule = schedule.model_copy(update={"per_step": _even(randomized, _crossings(trial))})
        if schedule.sizes:
            schedule = schedule.model_copy(
                update={"sizes": _in_proportion(schedule.sizes, randomized, trial)}
            )
    changed = trial.model_copy(update={"power": power, "schedule": schedule})
    problems = contradictions(changed)
    if problems:
        raise TrialError(f"the trial cannot have this size: {problems[0][1]}")
    return changed


def pooled(trial: "Trial", number: int) -> "Trial":
    """Give the trial of so many agencies like this one, run together on one schedule."""
    units = trial.power.units
    return resized(
        trial, clusters=number * _randomized(trial), units=None if units is None else number * units
    )


def _randomized(trial: "Trial") -> int:
    own = trial.units.randomize == trial.units.id
    number = trial.power.units if own and trial.power.units else trial.power.clusters or trial.power.units
    if number is None:
        raise TrialError(
            "power.clusters or power.units must say how many units there are, to change their number"
        )
    return number


def _crossings(trial: "Trial") -> int:
    per_step = trial.schedule.per_step
    return len(per_step) if isinstance(per_step, tuple) else -(-_randomized(trial) // per_step)


def _even(number: int, parts: int) -> tuple[int, ...]:
    if number < parts:
        raise TrialError(f"{number} randomized units are fewer than the {parts} crossings of the wedge")
    return tuple(number // parts + (part < number % parts) for part in range(parts))


def _in_proportion(sizes: tuple[int, ...], number: int, trial: "Trial") -> tuple[int, ...]:
    before = _randomized(trial)
    scaled = [size * number // before for size in sizes]
    if not trial.schedule.never:
        scaled[-1] += number - sum(scaled)
    return tuple(scaled)
