"""The smallest effect that a declared trial would find with a wanted power."""

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct import analysis
from rct.errors import RctError
from rct.power.diagnosands import diagnose
from rct.power.study import Study, declared_study
from rct.power.trial_power import all_blocks

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial
    from rct.trial_tables import Outcome

STRONGEST = 0.02
HALVINGS = 7


@dataclass(frozen=True, repr=False)
class Detectable:
    """Smallest detectable effects of the primary analysis.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per outcome: outcome, ratio (NaN where none is detectable), percent_change, power and
        mc_error at that ratio.
    power : float
        The wanted power.
    sims : int
        Replicates behind each power; the ratio is resolved to about 3 %.
    """

    frame: "pd.DataFrame"
    power: float
    sims: int

    def __repr__(self) -> str:
        lines = []
        for row in self.frame.to_dict("records"):
            if math.isnan(row["ratio"]):
                lines.append(
                    f"{row['outcome']}: no effect, however large, is found with power {self.power:g} by this "
                    "design"
                )
            else:
                lines.append(
                    f"{row['outcome']}: {row['percent_change']:+.0f} % is the smallest change found with "
                    f"power {self.power:g} ({row['power']:.2f} ± {row['mc_error']:.2f} in {self.sims} "
                    "simulations)"
                )
        return "\n".join(lines)


def detectable(
    trial: "Trial",
    roster: "pd.DataFrame | None" = None,
    *,
    power: float = 0.8,
    sims: int = 500,
    draws: int = 999,
    seed: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Detectable:
    """Search the smallest effect that the trial's primary analysis would find.

    Bisection of the log incidence rate ratio, on the side of each outcome's declared direction, with the same
    random numbers at every ratio; all outcomes have the same ratio in a simulation, so that injuries stay
    within incidents. The analysis is the primary one, at its own alpha.

    Parameters
    ----------
    trial : Trial
    roster : pandas.DataFrame, optional
    power : float
        Wanted share of trials that find the effect.
    sims, draws, seed, executor
        As in `rct.power.simulate`.
    progress : callable, optional
        Called with the ratios tried so far and about how many there will be.

    Raises
    ------
    RctError
        If the wanted power does not lie between alpha and 1.
    """
    import pandas as pd

    if not trial.analysis.alpha < power < 1:
        raise RctError(f"power must lie between alpha ({trial.analysis.alpha:g}) and 1, not {power:g}")
    found: dict[float, pd.DataFrame] = {}

    def at(ratio: float) -> "pd.DataFrame":
        if ratio not in found:
            effects = {outcome.name: ratio for outcome in trial.outcomes}
            study = declared_study(
                trial,
                roster,
                effects=effects,
                draws=draws,
                seed=analysis.trial_seed(trial, seed),
                only_p=True,
            )
            found[ratio] = _primary_power(study, all_blocks(study, sims, executor, None))
            if progress is not None:
                progress(len(found), len(trial.outcomes) * (HALVINGS + 1))
        return found[ratio]

    rows = [_smallest(outcome, at, power) for outcome in trial.outcomes]
    columns = ["outcome", "ratio", "percent_change", "power", "mc_error"]
    return Detectable(pd.DataFrame(rows, columns=columns), power, sims)


def _primary_power(study: Study, replicates: "pd.DataFrame") -> "pd.DataFrame":
    """Give power and its Monte-Carlo error by outcome, of the arm that is hardest to tell."""
    frame = diagnose(replicates, study.trial.analysis.alpha)
    own = frame[frame["analysis"] == analysis.label(study.trial.analysis.primary)]
    return own.groupby("outcome")[["power", "mc_error"]].min()


def _smallest(
    outcome: "Outcome", at: Callable[[float], "pd.DataFrame"], power: float
) -> tuple[str, float, float, float, float]:
    sign = 1.0 if outcome.direction == "decrease" else -1.0
    size = _bisect(lambda size: bool(at(math.exp(sign * size))["power"][outcome.name] >= power))
    if size is None:
        return outcome.name, math.nan, math.nan, math.nan, math.nan
    ratio = math.exp(sign * size)
    reached = at(ratio).loc[outcome.name].to_dict()
    return outcome.name, ratio, 100 * (ratio - 1), reached["power"], reached["mc_error"]


def _bisect(enough: Callable[[float], bool]) -> float | None:
    """Give the log ratio nearest to zero that is enough; None where the strongest is not."""
    strong, weak = math.log(STRONGEST), 0.0
    if not enough(strong):
        return None
    for _ in range(HALVINGS):
        middle = (strong + weak) / 2
        strong, weak = (middle, weak) if enough(middle) else (strong, middle)
    return strong
