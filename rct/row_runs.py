"""Runs of equal rows: rows of a panel are sorted by unit and period, so most columns change seldom."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Spells:
    """Runs of rows of one unit, arm and sequence, treated throughout or not.

    units : (units,) the first row of each unit
    rows : (spells,) the first row of each spell
    treated : (spells,) whether the dose is positive
    arm : (spells,) codes of `names`
    names : the arms
    sequence : (spells,)
    """

    units: "NDArray[np.intp]"
    rows: "NDArray[np.intp]"
    treated: "NDArray[np.bool_]"
    arm: "NDArray[np.intp]"
    names: list[str]
    sequence: "NDArray[np.int64]"


def find_spells(frame: "pd.DataFrame") -> Spells:
    """Find the spells of a panel's rows, all of them or some."""
    import numpy as np
    import pandas as pd

    arm, sequence = frame["arm"].array, frame["sequence"].to_numpy()
    treated = frame["treated"].to_numpy() > 0
    units = unit_starts(frame["unit"].array, frame["period"].to_numpy())
    begins = np.zeros(len(frame), dtype=bool)
    # Texts are dear: one look at each run of an arm is enough.
    arms = run_starts(arm)
    codes, names = pd.factorize(arm[arms])
    begins[units] = begins[arms] = begins[run_starts(sequence, treated)] = True
    rows = np.flatnonzero(begins)
    own = codes[np.searchsorted(arms, rows, side="right") - 1]
    return Spells(units, rows, treated[rows], own, [str(name) for name in names], sequence[rows])


def run_starts(*columns: Any) -> "NDArray[np.intp]":
    """Give the rows at which any of the arrays (rows,) has another value than in the row before."""
    import numpy as np

    changes = np.ones(len(columns[0]), dtype=bool)
    changes[1:] = np.asarray(columns[0][1:] != columns[0][:-1], dtype=bool)
    for values in columns[1:]:
        changes[1:] |= np.asarray(values[1:] != values[:-1], dtype=bool)
    return np.flatnonzero(changes)


def unit_starts(unit: Any, period: "NDArray[np.integer]") -> "NDArray[np.intp]":
    """Give the first row of each unit; rows are sorted by unit, then by period.

    Where the period falls a unit begins. That no other begins is seen from the runs' ends: in sorted rows
    all between two equal texts are equal to them, so few texts are looked at.
    """
    import numpy as np

    falls = np.ones(len(period), dtype=bool)
    falls[1:] = period[1:] <= period[:-1]
    first = np.flatnonzero(falls)
    last = np.append(first[1:], len(period)) - 1
    heads, tails = unit[first], unit[last]
    settled = (heads == tails).all() and (heads[1:] != tails[:-1]).all()
    return first if settled else run_starts(unit)
