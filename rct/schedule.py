"""Periods, sequences and design matrices: which arm and dose a randomized unit has, period by period.

A *sequence* is a row of the schedule's picture (Hussey & Hughes 2007, figure 1; Hemming et al. 2015): units
that are given the same sequence cross at the same time to the same arm.
"""

import math
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Listed
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from rct.errors import TrialError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

PeriodUnit = Literal["day", "week", "month", "quarter"]
MONTHS_PER_PERIOD = {"month": 1, "quarter": 3}
DAYS_PER_PERIOD = {"day": 1, "week": 7}


@dataclass(frozen=True)
class Sequence:
    """One sequence: an arm and a dose for each period.

    ``arms`` names, for each period, the arm given or still to come (the control arm where none is to come);
    ``doses`` is 0 while untreated, the arm's dose while treated and NaN in a transition period.
    """

    arms: tuple[str, ...]
    doses: tuple[float, ...]

    @property
    def arm(self) -> str:
        """The first arm given or to come; the control arm's name where there is none."""
        return self.arms[0]

    @property
    def starts(self) -> int:
        """The first treated period, transition over; 0 = never treated."""
        return next((period for period, dose in enumerate(self.doses, start=1) if dose > 0), 0)

    @property
    def switches(self) -> bool:
        """Whether the arm changes again once treatment has started, as in a crossover."""
        if not self.starts:
            return False
        given = list(zip(self.arms, self.doses, strict=True))[self.starts - 1 :]
        return any(now != given[0] for now in given)


def untreated(control: str, periods: int) -> Sequence:
    """Give the sequence that stays in the control arm throughout."""
    return Sequence(arms=(control,) * periods, doses=(0.0,) * periods)


def treated_from(arm: str, starts: int, *, dose: float, periods: int, transition: int) -> Sequence:
    """Give the sequence that is treated from period ``starts`` to the end, after ``transition`` periods.

    Raises
    ------
    TrialError
        When the transition would begin before period 1 or treatment after the last period.
    """
    if starts - transition < 1 or starts > periods:
        raise TrialError(
            f"{arm} cannot start in period {starts} after {transition} transition periods: "
            f"the schedule has the periods 1 to {periods}"
        )
    before = starts - transition - 1
    doses = (0.0,) * before + (math.nan,) * transition + (float(dose),) * (periods - starts + 1)
    return Sequence(arms=(arm,) * periods, doses=doses)


def crossed(
    stretches: Listed[str], *, doses: Mapping[str, float], control: str, periods: int, transition: int
) -> Sequence:
    """Give a crossover sequence: the arm of each of several equally long stretches.

    Parameters
    ----------
    stretches
        The arm in each stretch, the control arm included.
    doses
        Dose of each treatment; the control arm has none.
    transition
        Periods left out at the beginning of each stretch whose arm differs from the one before.

    Raises
    ------
    TrialError
        When the periods do not divide into the stretches, or a transition fills a stretch.
    """
    length, rest = divmod(periods, len(stretches))
    if rest or length <= transition:
        raise TrialError(
            f"{periods} periods do not divide into {len(stretches)} equal stretches longer than the "
            f"{transition} transition periods; change schedule.periods or schedule.transition"
        )
    arms: list[str] = []
    dosed: list[float] = []
    for number, arm in enumerate(stretches):
        to_come = next((later for later in stretches[number:] if later != control), control)
        left_out = transition if number and arm != stretches[number - 1] else 0
        arms += [to_come] * length
        dosed += [math.nan] * left_out + [float(doses.get(arm, 0.0))] * (length - left_out)
    return Sequence(arms=tuple(arms), doses=tuple(dosed))


def crossing_periods(count: int, *, baseline: int, step: int) -> list[int]:
    """Give the periods in which the successive groups of a stepped wedge cross, the first at baseline + 1."""
    return [baseline + 1 + step * group for group in range(count)]


def design_matrix(sequences: Iterable[Sequence]) -> "npt.NDArray[np.float64]":
    """Give the doses as an array (sequences, periods); NaN in transition periods."""
    import numpy as np

    return np.array([sequence.doses for sequence in sequences], dtype=float)


def sequence_table(sequences: Listed[Sequence]) -> "pd.DataFrame":
    """Give one row per sequence and period: sequence (from 0), period (from 1), arm, dose."""
    import pandas as pd

    rows = [
        (number, period, arm, dose)
        for number, sequence in enumerate(sequences)
        for period, (arm, dose) in enumerate(zip(sequence.arms, sequence.doses, strict=True), start=1)
    ]
    table = pd.DataFrame(rows, columns=["sequence", "period", "arm", "dose"])
    return table.astype({"sequence": "int64", "period": "int64", "arm": "str", "dose": "float64"})


def period_of(dates: "npt.ArrayLike", start: date, unit: PeriodUnit) -> "npt.NDArray[np.int64]":
    """Give the period number of each date; the first period is 1.

    A date before ``start`` has a number of 0 or less, a missing date has 0; dates after the last period have
    numbers above it, since the number of periods is the caller's.

    Parameters
    ----------
    dates
        Local calendar dates, anything NumPy reads as ``datetime64``.
    start
        First day of period 1; for months and quarters the first of a month.
    """
    import numpy as np

    days = np.asarray(dates).astype("datetime64[D]")
    missing = np.isnat(days)
    origin = np.datetime64(start, "D")
    if unit in DAYS_PER_PERIOD:
        passed = (np.where(missing, origin, days) - origin).astype("int64")
        length = DAYS_PER_PERIOD[unit]
    else:
        months = np.where(missing, origin, days).astype("datetime64[M]")
        passed = (months - origin.astype("datetime64[M]")).astype("int64")
        length = MONTHS_PER_PERIOD[unit]
    return np.where(missing, 0, passed // length + 1).astype("int64")


def period_labels(periods: int, start: date | None, unit: PeriodUnit) -> list[str]:
    """Name the periods: "2018-11" (month), "2018-Q4" (calendar quarter), the first day otherwise.

    Without a start date the periods are named by their numbers.
    """
    if start is None:
        return [str(number) for number in range(1, periods + 1)]
    if unit in DAYS_PER_PERIOD:
        first = start.toordinal()
        return [date.fromordinal(first + DAYS_PER_PERIOD[unit] * i).isoformat() for i in range(periods)]
    first = start.year * 12 + start.month - 1
    months = [divmod(first + MONTHS_PER_PERIOD[unit] * i, 12) for i in range(periods)]
    if unit == "quarter" and start.month % 3 == 1:
        return [f"{year}-Q{month // 3 + 1}" for year, month in months]
    return [f"{year}-{month + 1:02d}" for year, month in months]


def months_of_periods(periods: int, start: date, unit: PeriodUnit) -> list[list[int]]:
    """Give the months, 1 to 12, in which each period lies; of a day or week the month it begins in."""
    if unit in DAYS_PER_PERIOD:
        first = start.toordinal()
        return [[date.fromordinal(first + DAYS_PER_PERIOD[unit] * i).month] for i in range(periods)]
    each = MONTHS_PER_PERIOD[unit]
    return [[(start.month - 1 + each * i + j) % 12 + 1 for j in range(each)] for i in range(periods)]
