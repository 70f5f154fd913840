"""The smallest study that finds a declared effect with a wanted power."""

import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rct import analysis
from rct.errors import RctError
from rct.power.probit_search import Look, probit_root
from rct.power.solving import check_count, check_positive
from rct.power.study import BLOCK, declared_study
from rct.power.trial_power import all_blocks
from rct.power.trial_variants import pooled, resized

if TYPE_CHECKING:
    from rct.trial import Trial

Vary = Literal["agencies", "clusters", "units", "periods"]
LOOK_AT_ANSWER = 4 * BLOCK


@dataclass(frozen=True, repr=False)
class Sufficient:
    """How large a study must be.

    Attributes
    ----------
    vary : str
        What is varied.
    number : int or None
        The smallest number with the wanted power; None where even the largest allowed is clearly not enough.
    low, high : int or None
        95 % interval of the number, from the noise of the simulation.
    outcome : str
    power, mc_error : float
        Of all replicates of studies of that number; NaN without one.
    sims : int
        Replicates looked at.
    """

    vary: str
    number: int | None
    low: int | None
    high: int | None
    outcome: str
    power: float
    mc_error: float
    sims: int

    def __repr__(self) -> str:
        if self.number is None:
            return f"{self.outcome}: not even the largest number of {self.vary} allowed is enough"
        return (
            f"{self.outcome}: the fewest {self.vary} that are enough are {self.number:,} (by simulation "
            f"{self.low:,} to {self.high:,}); with so many {100 * self.power:.0f} % of studies find the "
            f"effect (± {100 * self.mc_error:.1f})"
        )


def smallest_study(
    trial: "Trial",
    outcome: str | None = None,
    *,
    vary: Vary = "agencies",
    power: float = 0.8,
    largest: int = 1000,
    precision: float = 0.1,
    sims: int = 4000,
    draws: int = 499,
    seed: int | None = None,
    executor: Executor | None = None,
) -> Sufficient:
    """Search the smallest number of agencies, clusters, measured units or periods that is enough.

    Power against the square root of the number is close to a probit line (`rct.power.probit_search`); it is
    refitted after every look at fresh replicates of the trial with that number.

    Parameters
    ----------
    trial : Trial
        With `power.clusters` or `power.units`; a roster cannot be made larger.
    outcome : str, optional
        The first primary outcome where absent.
    vary : {"agencies", "clusters", "units", "periods"}
        "agencies": studies like this one, run together on one schedule; "clusters": randomized units, with as
        many measured units in each as now; "units": measured units; "periods": all in the schedule, the
        crossings staying where they are.
    power : float
        Wanted power of the primary analysis, before adjustment over outcomes.
    largest : int
        The largest number tried.
    precision, sims
        As in `rct.power.detectable`, for the square root of the number.
    draws, seed, executor
        As in `rct.power.simulate`.

    Raises
    ------
    RctError, TrialError
        For an outcome without an effect, or a trial that cannot have such a size.
    """
    if not trial.analysis.alpha < power < 1:
        raise RctError(f"power must lie between alpha ({trial.analysis.alpha:g}) and 1, not {power:g}")
    check_count(largest=largest, sims=sims)
    check_positive(precision=precision)
    name = outcome or next(o.name for o in trial.outcomes if o.primary)
    if trial.power.effects.get(name, 1.0) == 1.0:
        raise RctError(f"power.effects declares no effect on {name}: no study is large enough to find it")
    now = _now(trial, vary)
    spent, looks = 0, Counter[tuple[int, str]]()

    def look(x: float, count: int) -> Look:
        nonlocal spent
        number = max(round(x**2), 1)
        study = declared_study(
            _of_size(trial, vary, number), None, effects=None, draws=draws,
            seed=analysis.trial_seed(trial, seed), only_p=True,
            rehearsed=spent == 0,
        )  # fmt: skip
        rows = all_blocks(study, spent + count, executor, None, first=spent)
        spent += count
        own = rows[(rows["analysis"] == analysis.label(trial.analysis.primary)) & (rows["outcome"] == name)]
        hits = own["p_value"].le(trial.analysis.alpha).groupby(own["arm"]).sum().min()
        looks.update({(number, "hits"): int(hits), (number, "sims"): count})
        return Look(math.sqrt(number), int(hits), count)

    smallest = now if vary == "periods" or (vary != "agencies" and _wedge(trial)) else 1
    root = probit_root(
        look, target=power, start=math.sqrt(now), largest=math.sqrt(max(largest, now)),
        smallest=math.sqrt(smallest), precision=precision, most=sims,
    )  # fmt: skip
    if root is None:
        return Sufficient(vary, None, None, None, name, math.nan, math.nan, spent)
    number, low, high = (max(math.ceil(x**2 - 1e-9), smallest) for x in (root.x, root.low, root.high))
    if not looks[number, "sims"]:
        look(math.sqrt(number), LOOK_AT_ANSWER)
    there = Look(math.sqrt(number), looks[number, "hits"], looks[number, "sims"])
    return Sufficient(vary, number, low, high, name, there.power, there.mc_error, spent)


def _wedge(trial: "Trial") -> bool:
    return trial.schedule.kind in ("stepped-wedge", "staggered")


def _now(trial: "Trial", vary: Vary) -> int:
    sizes: dict[str, Callable[[], int | None]] = {
        "agencies": lambda: 1,
        "clusters": lambda: trial.power.clusters,
        "units": lambda: trial.power.units,
        "periods": lambda: trial.schedule.periods,
    }
    if vary not in sizes:
        raise RctError(f"vary is one of {', '.join(sizes)}, not {vary!r}")
    number = sizes[vary]()
    if number is None:
        raise RctError(f"power.{vary} is not declared, so its number cannot be varied")
    return number


def _of_size(trial: "Trial", vary: Vary, number: int) -> "Trial":
    if vary == "agencies":
        return pooled(trial, number)
    if vary == "clusters" and trial.power.units and trial.units.randomize != trial.units.id:
        each = trial.power.units / (trial.power.clusters or 1)
        return resized(trial, clusters=number, units=round(each * number))
    if vary == "clusters":
        return resized(trial, clusters=number)
    return resized(trial, units=number) if vary == "units" else resized(trial, periods=number)
