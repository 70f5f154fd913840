"""A roster for planning, where the agency has not given one yet."""

from typing import TYPE_CHECKING

from rct.errors import TrialError
from rct.randomization.shift_calendar import shift_cells

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial


def synthetic_roster(trial: "Trial") -> "pd.DataFrame":
    """Make up the measured units that `[power]` counts: as many to each randomized unit as evenly as can be.

    A trial of shifts has its calendar, of which nothing is made up.

    Raises
    ------
    TrialError
        If the trial is blocked (which units share a block is not to be guessed) or randomized by covariates,
        or does not say how many units there are.
    """
    import pandas as pd

    units, power = trial.units, trial.power
    if trial.schedule.kind == "shifts":
        return shift_cells(trial)
    if units.block:
        raise TrialError(
            f"the trial is blocked by {', '.join(units.block)}: power needs the roster (--roster FILE), "
            "because how many units each block holds is not to be guessed"
        )
    if trial.further_columns:
        raise TrialError(
            f"the randomization reads {', '.join(trial.further_columns)}: give the roster (--roster FILE), "
            "because its values are not to be guessed"
        )
    if power.units is None and power.clusters is None:
        raise TrialError(
            "power.units does not say how many measured units there are; add it, or give a roster"
        )
    clusters = power.clusters or power.units or 0
    measured = power.units or clusters
    if units.randomize == units.id:
        return pd.DataFrame({units.id: [f"{number:05d}" for number in range(1, measured + 1)]})
    width = len(str(clusters))
    names = [f"{units.randomize.capitalize()} {number:0{width}d}" for number in range(1, clusters + 1)]
    sizes = [measured // clusters + (number < measured % clusters) for number in range(clusters)]
    randomized = [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]
    return pd.DataFrame(
        {units.id: [f"{number:05d}" for number in range(1, measured + 1)], units.randomize: randomized}
    )
