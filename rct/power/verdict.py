"""The verdict on a design in words: what it can detect, what it cannot, and how many like it could."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rct.analysis import label

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial

USUAL_POWER = 0.8
UNSETTLED = 0.2


@dataclass(frozen=True)
class Size:
    """How large a study is.

    Attributes
    ----------
    units, randomized : int
    events : mapping
        Expected events a period without treatment, by outcome.
    """

    units: int
    randomized: int
    events: dict[str, float]


def verdict(
    trial: "Trial",
    size: Size,
    row: dict[str, Any],
    *,
    several_arms: bool = False,
    pooled: int | None = None,
) -> str:
    """Say whether an effect would be seen, in 80 % of studies or more.

    Parameters
    ----------
    row : mapping
        outcome, arm, effect and power of the primary analysis.
    pooled : int, optional
        How many like it reach that together, where it is known better than from the power alone.
    """
    outcome = next(o for o in trial.outcomes if o.name == row["outcome"])
    name = outcome.name.replace("_", " ")
    label = outcome.label.lower() or name
    counted = label if outcome.label else f"events of {name}"
    schedule = trial.schedule
    if row["effect"] == 1:
        return (
            f"{label.capitalize()}: without an effect {100 * row['power']:.0f} % of studies would report "
            "one; no effect is assumed, so there is no power to give."
        )
    size_of_change = abs(100 * (row["effect"] - 1))
    change = (
        f"{size_of_change:.{0 if size_of_change >= 1 else 1}f} % {'fall' if row['effect'] < 1 else 'rise'}"
    )
    by = f" by {row['arm']}" if several_arms else ""
    who = f"With {_counted(size.units, trial.units.measure)} and {_events(size.events[outcome.name])}"
    within = f"a {change} in {label}{by} within {_counted(schedule.periods, schedule.period)}"
    seen = f"it would see it in {_share(row['power'])} of studies"
    one, several = ("study", "studies") if _of_agencies(trial) else ("agency", "agencies")
    if row["power"] >= USUAL_POWER:
        return f"{who} {counted} a {schedule.period} this {one} can detect {within}: {seen}."
    pooled = pooled or studies_needed(row["power"], trial.analysis.alpha)
    more = "" if pooled is None else f"; about {pooled:,} {several} like it, pooled, would"
    return f"{who} {counted} a {schedule.period} this {one} cannot detect {within}: {seen}{more}."


def _share(power: float) -> str:
    """Write a power, never rounded up to the usual one that it does not reach."""
    rounded_up = power < USUAL_POWER <= round(power, 2)
    return f"{math.floor(1000 * power) / 10:.1f} %" if rounded_up else f"{100 * power:.0f} %"


def _of_agencies(trial: "Trial") -> bool:
    return "agency" in (trial.units.randomize, trial.units.measure)


def studies_needed(power: float, alpha: float) -> int | None:
    """Give how many studies of that power reach 80 % together, if information adds up.

    The normal test's distance δ from its null solves Φ(δ − z) + Φ(−δ − z) = power with z = Φ⁻¹(1 − alpha/2);
    k pooled studies have δ √k. An approximation: few clusters lose more than it says, so the pooled study
    needs rather fewer. None where the power hardly exceeds alpha, for then nothing is known of δ.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    z = ndtri(1 - alpha / 2)

    def distance(wanted: float) -> float:
        return float(brentq(lambda d: ndtr(d - z) + ndtr(-d - z) - wanted, 0, 40))

    if power < alpha * 1.2 or power >= 1:
        return None
    return math.ceil((distance(USUAL_POWER) / distance(power)) ** 2)


def impossible(trial: "Trial", smallest_p: float, space: int) -> str:
    """Say in one sentence that no result of the primary analysis can be significant; empty where one can."""
    inference = trial.analysis.primary.inference or trial.analysis.inference
    tests = trial.analysis.primary.estimator in ("poisson", "randomization_test")
    if inference != "randomization" or not tests or smallest_p <= trial.analysis.alpha:
        return ""
    return (
        f"This trial cannot work: whatever training does, no result can be significant at "
        f"{trial.analysis.alpha:g}, for with {_counted(space, 'distinct allocation')} the smallest possible "
        f"randomization p-value is {smallest_p:.3g}; randomize more units."
    )


def unsettled_errors(trial: "Trial", replicates: "pd.DataFrame") -> tuple[str, ...]:
    """Say of which outcomes the standard error under randomized timing is itself a matter of chance.

    That is so where its 5 or 95 % quantile over the replicates is more than a fifth off its mean: the normal
    test then finds too much, and what one trial estimates may be far from what was planned for.
    """
    primary = trial.analysis.primary
    if primary.estimator != "staggered":
        return ()
    found = []
    own = replicates[replicates["analysis"] == label(primary)]
    for outcome in trial.outcomes:
        errors = own.loc[own["outcome"] == outcome.name, "std_error"].dropna()
        if errors.empty:
            continue
        low, high = errors.quantile([0.05, 0.95]) / errors.mean() - 1
        if max(-low, high) > UNSETTLED:
            found.append(
                f"{outcome.label or outcome.name}: the standard error is itself a matter of chance, in 90 % "
                f"of the simulated trials between {-100 * low:.0f} % below its mean and {100 * high:.0f} % "
                "above. Late classes are compared with the few who still wait; a trial that ends while more "
                "of them do (fewer periods, never = true) knows its error better."
            )
    return tuple(found)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _events(number: float) -> str:
    if number < 0.005:
        return "fewer than 0.01"
    if number < 0.095:
        return f"{number:.2f}"
    return f"{number:,.0f}" if number >= 9.5 else f"{number:.1f}".removesuffix(".0")
