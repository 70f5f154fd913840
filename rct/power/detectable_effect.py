"""The smallest effect that a declared trial would find with a wanted power."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rct import analysis
from rct.errors import RctError
from rct.power.probit_search import Look, Root, probit_root
from rct.power.solving import check_count, check_positive
from rct.power.study import declared_study
from rct.power.trial_power import all_blocks

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial

STRONGEST = 0.02
FIRST = 0.3
MOST = 8000
COLUMNS = (
    "outcome", "ratio", "percent_change", "ratio_low", "ratio_high", "power", "mc_error", "sims",
    "sims_needed",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Detectable:
    """Smallest detectable effects of the primary analysis.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per outcome: outcome, ratio (NaN where none is detectable), percent_change, ratio_low and
        ratio_high (95 % interval of the ratio, from the noise of the simulation), power and mc_error of the
        replicates nearest to that ratio, sims, and sims_needed, about how many would reach the precision
        (0 where it was reached). An interval that holds 1 says that the simulations are too few to tell.
    power : float
        The wanted power.
    """

    frame: "pd.DataFrame"
    power: float

    def __repr__(self) -> str:
        lines = []
        for row in self.frame.to_dict("records"):
            if math.isnan(row["ratio"]):
                lines.append(
                    f"{row['outcome']}: no effect, however large, is found with power {self.power:g} by this "
                    "design"
                )
            elif too_few(row):
                lines.append(
                    f"{row['outcome']}: {row['sims']:,} simulations are too few to tell the smallest change "
                    f"found with power {self.power:g}; give sims={row['sims_needed']}"
                )
            else:
                low, high = (100 * (row[end] - 1) for end in ("ratio_low", "ratio_high"))
                lines.append(
                    f"{row['outcome']}: {row['percent_change']:+.0f} % ({low:+.0f} to {high:+.0f}) is the "
                    f"smallest change found with power {self.power:g} ({row['sims']:,} simulations)"
                )
        return "\n".join(lines)


def too_few(row: Mapping[Any, Any]) -> bool:
    """Say whether the interval of an answer holds no change at all, so that the answer tells nothing."""
    return bool(row["ratio_low"] <= 1 <= row["ratio_high"])


def detectable(
    trial: "Trial",
    roster: "pd.DataFrame | None" = None,
    *,
    power: float = 0.8,
    precision: float = 0.05,
    sims: int = MOST,
    draws: int = 999,
    seed: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Detectable:
    """Search the smallest effect that the trial's primary analysis would find.

    A probit line of power against the log incidence rate ratio, refitted after every look at fresh
    replicates, on the side of each outcome's declared direction (`rct.power.probit_search`). All outcomes
    have the same ratio in a simulation, so that injuries stay within incidents, and a look serves them all.
    The analysis is the primary one, at its own alpha.

    Parameters
    ----------
    trial : Trial
    roster : pandas.DataFrame, optional
    power : float
        Wanted share of trials that find the effect.
    precision : float
        The search ends when half the width of the log ratio's 95 % interval is this share of it.
    sims : int
        Most replicates for one outcome; then the search ends with the error it has.
    draws, seed, executor
        As in `rct.power.simulate`.
    progress : callable, optional
        Called with the replicates looked at so far and the most there can be.

    Raises
    ------
    RctError
        If the wanted power does not lie between alpha and 1.
    """
    import pandas as pd

    if not trial.analysis.alpha < power < 1:
        raise RctError(f"power must lie between alpha ({trial.analysis.alpha:g}) and 1, not {power:g}")
    check_count(sims=sims)
    check_positive(precision=precision)
    taken: dict[float, list[dict[str, Look]]] = {-1.0: [], 1.0: []}
    spent = 0

    def looked(sign: float, x: float, count: int) -> dict[str, Look]:
        nonlocal spent
        study = declared_study(
            trial,
            roster,
            effects={outcome.name: math.exp(sign * x) for outcome in trial.outcomes},
            draws=draws,
            seed=analysis.trial_seed(trial, seed),
            only_p=True,
            rehearsed=spent == 0,
        )
        rows = all_blocks(study, spent + count, executor, None, first=spent)
        spent += count
        taken[sign].append(_hits(rows, trial, x))
        if progress is not None:
            progress(spent, sims * len(trial.outcomes))
        return taken[sign][-1]

    rows = []
    for outcome in trial.outcomes:
        sign = -1.0 if outcome.direction == "decrease" else 1.0
        name = outcome.name

        def look(x: float, count: int, sign: float = sign, name: str = name) -> Look:
            return looked(sign, x, count)[name]

        root = probit_root(
            look, target=power, start=FIRST, largest=-math.log(STRONGEST), smallest=0.01,
            precision=precision, most=sims, known=tuple(found[name] for found in taken[sign]),
        )  # fmt: skip
        rows.append(_row(name, root, sign, precision))
    return Detectable(pd.DataFrame(rows, columns=list(COLUMNS)), power)


def _hits(rows: "pd.DataFrame", trial: "Trial", x: float) -> dict[str, Look]:
    """Count by outcome, of the arm that is hardest to tell, how often the primary analysis found it."""
    own = rows[rows["analysis"] == analysis.label(trial.analysis.primary)]
    found = own.assign(found=own["p_value"].le(trial.analysis.alpha)).groupby(["outcome", "arm"])["found"]
    hits = found.agg(["sum", "size"]).sort_values("sum").groupby("outcome").first()
    return {str(name): Look(x, int(row["sum"]), int(row["size"])) for name, row in hits.iterrows()}


def _row(
    name: str, root: Root | None, sign: float, precision: float
) -> tuple[str, float, float, float, float, float, float, int, int]:
    if root is None:
        return name, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0
    ratio, low, high = (math.exp(sign * x) for x in (root.x, root.low, root.high))
    ends, needed = (min(low, high), max(low, high)), _sims_needed(root, precision)
    return name, ratio, 100 * (ratio - 1), *ends, root.look.power, root.look.mc_error, root.sims, needed


def _sims_needed(root: Root, precision: float) -> int:
    """Say about how many replicates reach a precision: the error falls with the root of their number."""
    half, wanted = root.high - root.x, precision * root.x
    if half <= wanted:
        return 0
    if math.isinf(half):
        return max(MOST, 4 * root.sims)
    needed = root.sims * (half / wanted) ** 2
    step = 10 ** max(math.floor(math.log10(needed)) - 1, 0)
    return math.ceil(needed / step) * step
