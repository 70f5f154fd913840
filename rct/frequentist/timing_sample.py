"""Randomized units × periods, sorted by cohort, for estimators of randomized timing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel


@dataclass(frozen=True)
class TimingSample:
    """What an estimator of randomized timing works on.

    units : names of the randomized units
    outcomes : (units, periods) events per measured unit, sorted by cohort
    sizes, starts : (cohorts,) randomized units and first treated period; beyond `periods` = never
    block : (units,) codes
    baseline : mean events per measured unit and period over the baseline periods
    """

    arm: str
    units: list[str]
    outcomes: NDArray[np.float64]
    sizes: NDArray[np.int64]
    starts: NDArray[np.int64]
    block: NDArray[np.intp]
    baseline: float
    n_measured: int
    n_events: float
    warning: str

    @property
    def periods(self) -> int:
        """Number of periods."""
        return int(self.outcomes.shape[1])

    def permutations_hash(self, permutations: int, seed: int | None) -> str:
        """Hash of the re-assignments of timing: equal where two outcomes share them."""
        digest = hashlib.sha256("\0".join((*self.units, str(permutations), str(seed))).encode())
        for codes in (self.block, self.sizes, self.starts):
            digest.update(np.ascontiguousarray(codes, dtype="<i8").tobytes())
        return digest.hexdigest()


def timing_sample(panel: Panel, outcome: str, arm: str, baseline: tuple[int, int] | None) -> TimingSample:
    """Sum measured units to randomized units and sort these by cohort.

    Parameters
    ----------
    panel : Panel
    outcome : str
    arm : str
        Units of other treatment arms are left out.
    baseline : (int, int), optional
        Periods whose mean is the baseline; those before anyone is treated where absent.

    Raises
    ------
    EstimationError
        Rows in transition, a missing unit-period, doses, treatment that switches off, a cohort of one unit.
    """
    frame, counts = _frame_and_counts(panel, outcome, arm)
    shape = (len(frame.units), panel.periods)
    totals = sums_by_code(frame.cell, counts, shape[0] * shape[1]).reshape(shape)
    outcomes = totals[frame.order] * (len(frame.units) / frame.n_measured)
    return TimingSample(
        arm=arm,
        units=frame.units,
        outcomes=outcomes,
        sizes=frame.sizes,
        starts=frame.starts,
        block=frame.block,
        baseline=_baseline(outcomes, baseline, int(frame.starts[0])),
        n_measured=frame.n_measured,
        n_events=float(counts.sum()),
        warning=frame.warning,
    )


@dataclass(frozen=True)
class _TimingFrame:
    """What does not depend on the counts, so that a panel keeps it from one outcome to the next.

    used : (rows,) which rows of the panel enter
    cell : (used rows,) code of unit and period
    order : (units,) by first treated period
    """

    used: NDArray[np.bool_]
    cell: NDArray[np.intp]
    order: NDArray[np.intp]
    units: list[str]
    sizes: NDArray[np.int64]
    starts: NDArray[np.int64]
    block: NDArray[np.intp]
    n_measured: int
    warning: str


def _frame_and_counts(panel: Panel, outcome: str, arm: str) -> tuple[_TimingFrame, NDArray[np.float64]]:
    own = f"exposure:{outcome}"
    key = ("timing", own if own in panel.frame else "exposure", arm)
    kept = panel.kept
    if outcome in panel.outcomes and key in kept:
        counts = panel.frame[outcome].to_numpy(dtype=float)
        if not np.isnan(counts).any():
            frame = kept[key]
            return frame, counts if frame.used.all() else counts[frame.used]
    rows = panel.rows(outcome)
    frame = _timing_frame(panel, rows, arm)
    if len(rows) == len(panel.frame):
        kept[key] = frame
    return frame, rows["count"].to_numpy()[frame.used]


def _timing_frame(panel: Panel, rows: pd.DataFrame, arm: str) -> _TimingFrame:
    import pandas as pd

    compared = ((rows["arm"] == arm) | (rows["starts"] == 0)).to_numpy()
    _require_staggered(panel, rows.loc[compared])
    early = compared & (rows["starts"] == 1).to_numpy()
    dropped = int(rows.loc[early, "randomized"].nunique())
    used = compared & ~early
    rows = rows.loc[used]
    if rows.empty:
        raise EstimationError("every unit is treated from the first period on: there is no untreated outcome")
    codes, names = pd.factorize(rows["randomized"])
    units = pd.DataFrame({"starts": rows["starts"], "block": rows["block"]}).groupby(codes).first()
    starts = units["starts"].to_numpy().copy()
    starts[starts == 0] = panel.periods + 1
    order = np.argsort(starts, kind="stable")
    distinct, sizes = np.unique(starts, return_counts=True)
    cell = _cells(rows, codes, panel.periods)
    _require_cohorts(rows, starts[codes], distinct, sizes, panel.periods)
    return _TimingFrame(
        used=used,
        cell=cell,
        order=order,
        units=names.to_numpy(dtype=str)[order].tolist(),
        sizes=sizes,
        starts=distinct,
        block=pd.factorize(units["block"])[0][order],
        n_measured=int(rows["unit"].nunique()),
        warning=_warning(rows, dropped),
    )


def _require_staggered(panel: Panel, rows: pd.DataFrame) -> None:
    if panel.frame["treated"].isna().any():
        raise EstimationError(
            "rows in transition leave gaps in the panel, which estimators of randomized timing do not allow;"
            " use poisson, or count transition periods as treated"
        )
    treated = rows["treated"].to_numpy(dtype=float)
    begun = (rows["starts"] > 0) & (rows["period"] >= rows["starts"])
    if np.any(treated != begun):
        raise EstimationError(
            "estimators of randomized timing need full treatment (dose 1) that never switches off again"
        )


def _cells(rows: pd.DataFrame, codes: NDArray[np.intp], periods: int) -> NDArray[np.intp]:
    n_units = int(codes.max()) + 1
    cell = codes * periods + rows["period"].to_numpy() - 1
    measured = np.bincount(cell, minlength=n_units * periods).reshape(n_units, periods)
    if np.any(measured != measured[:, :1]):
        unit, period = np.argwhere(measured != measured[:, :1])[0]
        name = rows["randomized"].iloc[int(np.flatnonzero(codes == unit)[0])]
        raise EstimationError(
            f"randomized unit {name} has {measured[unit, period]} measured units in period {period + 1} and"
            f" {measured[unit, 0]} in period 1; estimators of randomized timing need the same units in every"
            " period (complete the panel with zero counts, or use poisson)"
        )
    return np.asarray(cell)


def _require_cohorts(
    rows: pd.DataFrame,
    starts_of_row: NDArray[np.int64],
    distinct: NDArray[np.int64],
    sizes: NDArray[np.int64],
    periods: int,
) -> None:
    if len(distinct) < 2:
        raise EstimationError("all units start in the same period: there is no randomized timing to compare")
    single = distinct[sizes == 1]
    if len(single):
        named = [
            f"{rows['randomized'].iloc[int(np.flatnonzero(starts_of_row == start)[0])]}"
            f" ({'never treated' if start > periods else f'starts in period {start}'})"
            for start in single[:10]
        ]
        more = "" if len(single) <= 10 else f" and {len(single) - 10} more"
        raise EstimationError(
            f"cohorts of one randomized unit have no variance: {', '.join(named)}{more}."
            " Merge or drop such cohorts, or use randomization_test, which needs no variance"
        )


def _baseline(outcomes: NDArray[np.float64], baseline: tuple[int, int] | None, earliest: int) -> float:
    first, last = baseline or (1, earliest - 1)
    if not 1 <= first <= last <= outcomes.shape[1]:
        raise EstimationError(
            f"baseline=({first}, {last}) is no stretch of the periods 1 to {outcomes.shape[1]}"
        )
    return float(outcomes[:, first - 1 : last].mean())


def _warning(rows: pd.DataFrame, dropped: int) -> str:
    parts = []
    if dropped:
        parts.append(f"{dropped} randomized units treated from the first period on were left out")
    if rows["exposure"].nunique() > 1:
        parts.append("exposure varies and is not used: the estimate is per unit and period")
    if rows["block"].nunique() > 1:
        parts.append("blocks are not used by the estimate: its variance takes timing as randomized overall")
    return "; ".join(parts)
