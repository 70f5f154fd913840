"""Real months as the world of a placebo trial: effects are thinned in, no distribution is assumed."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rct.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.panel import Panel
    from rct.randomization import Allocation
    from rct.trial import Trial


@dataclass(frozen=True)
class History:
    """Counts of the past.

    Attributes
    ----------
    units : tuple of str
    counts : (outcomes, units, months)
    exposure : (units, months)
        0 where a unit was not observed.
    periods : int
        Of the trial; each replicate takes so many consecutive months.
    """

    units: tuple[str, ...]
    counts: "npt.NDArray[np.int64]"
    exposure: "npt.NDArray[np.float64]"
    periods: int

    @property
    def unequal(self) -> bool:
        """Whether exposure differs between units or months."""
        return bool((self.exposure != self.exposure.flat[0]).any())

    def aligned(self, allocation: "Allocation", trial: "Trial") -> "History":
        """Put the units in the order of a trial's measured units.

        Raises
        ------
        DataError
            For measured units that the history does not have.
        """
        import numpy as np
        import pandas as pd

        wanted = sorted(allocation.roster[trial.units.id], key=str.encode)
        place = pd.Index(self.units).get_indexer(pd.Index(wanted))
        if (place < 0).any():
            missing = [unit for unit, at in zip(wanted, place, strict=True) if at < 0]
            raise DataError(
                f"the history has no {trial.units.measure} {missing[0]}"
                f"{f' and {len(missing) - 1:,} more' if len(missing) > 1 else ''} of the roster: "
                "give a roster of those it has, or a history of the roster"
            )
        counts, exposure = self.counts[:, place], self.exposure[place]
        return replace(self, units=tuple(wanted), counts=np.ascontiguousarray(counts), exposure=exposure)

    def thinned(
        self, rng: "np.random.Generator", log_effects: "npt.NDArray[np.float64]"
    ) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
        """Take consecutive months at random and put effects into them.

        Of a fall, each event stays with the probability of the ratio (binomial thinning); of a rise, each
        event brings a Poisson number more. Outcomes are thinned apart, so an injury may stay although its
        incident went: each outcome has its own declared effect, their joint behaviour is that of the past.

        Parameters
        ----------
        log_effects : shape (outcomes, units, periods)
        """
        import numpy as np

        first = int(rng.integers(self.counts.shape[2] - self.periods + 1))
        counts = self.counts[:, :, first : first + self.periods]
        ratio = np.exp(log_effects)
        kept = rng.binomial(counts, np.minimum(ratio, 1.0))
        more = rng.poisson(counts * np.maximum(ratio - 1, 0.0))
        return (kept + more).astype(float), self.exposure[:, first : first + self.periods]


def history_of(panel: "Panel", trial: "Trial") -> History:
    """Read the months before a trial.

    Raises
    ------
    DataError
        For a panel that lacks an outcome, is shorter than the trial, or holds fractions of events.
    """
    import numpy as np

    names = [outcome.name for outcome in trial.outcomes]
    require_outcomes(panel, names)
    if panel.periods < trial.schedule.periods:
        raise DataError(
            f"the history has {panel.periods} periods, fewer than the trial's {trial.schedule.periods}: "
            "months cannot be resampled from it; learn rates from it instead, or give a longer one"
        )
    frame = panel.frame
    units = tuple(sorted(frame["unit"].unique(), key=str.encode))
    months = range(1, panel.periods + 1)

    def grid(column: str) -> "npt.NDArray[np.float64]":
        wide = frame.pivot(index="unit", columns="period", values=column)
        return wide.reindex(index=list(units), columns=list(months)).fillna(0.0).to_numpy(dtype=float)

    counts = np.stack([grid(name) for name in names])
    if (counts % 1 != 0).any():
        raise DataError("the history holds fractions of events, which cannot be thinned: give counts")
    return History(units, counts.astype(np.int64), grid("exposure"), trial.schedule.periods)


def require_outcomes(panel: "Panel", names: list[str]) -> None:
    """Refuse a history that lacks an outcome of the trial, counts of it, or one exposure for all."""
    lacking = [name for name in names if name not in panel.outcomes]
    if lacking:
        raise DataError(
            f"the history has no outcome {', '.join(lacking)}; it has {', '.join(panel.outcomes)}"
        )
    for name in names:
        if f"exposure:{name}" in panel.frame:
            raise DataError(
                f"the history has an exposure of its own for {name}, which no study resamples or learns "
                "from: give a history with one exposure for all outcomes"
            )
        missing = panel.frame[name].isna()
        if missing.any():
            unit, period = panel.frame.loc[missing, ["unit", "period"]].iloc[0]
            raise DataError(
                f"the history has no count of {name} in {missing.sum():,} rows (first: unit {unit}, period "
                f"{period}), and a missing count is no zero: leave these rows out, or count them"
            )


def roster_of(panel: "Panel", trial: "Trial") -> "pd.DataFrame":
    """Give the measured units of a history as a roster, each in the randomized unit it was last in.

    Raises
    ------
    DataError
        For a blocked trial, whose blocks a history does not tell.
    """
    units = trial.units
    if units.block or trial.further_columns:
        raise DataError(
            f"the randomization reads {', '.join((*units.block, *trial.further_columns))}, which a history "
            "does not tell: give the roster too"
        )
    last = panel.frame.sort_values("period").drop_duplicates("unit", keep="last").sort_values("unit")
    roster = last[["unit"]].rename(columns={"unit": units.id})
    if units.randomize != units.id:
        roster[units.randomize] = last["randomized"].to_numpy()
    return roster.reset_index(drop=True)
