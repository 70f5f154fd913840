"""Who was assigned to what, from the allocation where there is one, else from the panel."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.schedule import period_labels

if TYPE_CHECKING:
    import pandas as pd

    from rct.panel import Panel
    from rct.randomization import Allocation
    from rct.trial import Trial


@dataclass(frozen=True, eq=False)
class Assignment:
    """Randomized units with their sequences.

    Attributes
    ----------
    units
        One row per randomized unit: unit, block, sequence, arm, starts (0 = never), probability (NaN =
        unknown), measured (number of measured units).
    sequences
        One row per sequence and period: sequence, period, arm, dose.
    control
        Name of the control arm.
    labels
        Calendar label of each period.
    """

    units: "pd.DataFrame"
    sequences: "pd.DataFrame"
    control: str
    labels: list[str]

    def first_treated(self, starts: int) -> str:
        """Name the first treated period: "13 (2019-11)", or "never"."""
        return self.period_name(starts) if starts else "never"

    def period_name(self, period: int) -> str:
        """Name a period by its number and its calendar label."""
        label = self.labels[period - 1]
        return label if label == str(period) else f"{period} ({label})"

    @property
    def baseline_periods(self) -> list[int]:
        """Periods in which every sequence is untreated."""
        untreated = (self.sequences["dose"] == 0).groupby(self.sequences["period"]).all()
        touched = untreated.index[~untreated]
        return [int(p) for p in untreated.index if not len(touched) or p < touched.min()]


def read_assignment(
    trial: "Trial", panel: "Panel | None", allocation: "Allocation | None"
) -> Assignment | None:
    """Give the assignment, or None where neither an allocation nor a panel is at hand."""
    if allocation is not None:
        units = allocation.frame[["unit", "block", "sequence", "arm", "starts", "probability"]]
        measured = allocation.roster.groupby(trial.units.randomize).size()
        sequences = allocation.sequences
    elif panel is not None:
        units = (
            panel.frame[["randomized", "block", "sequence", "arm", "starts", "probability"]]
            .drop_duplicates("randomized")
            .rename(columns={"randomized": "unit"})
        )
        measured = panel.frame.groupby("randomized")["unit"].nunique()
        sequences = panel.sequences
    else:
        return None
    counted = units.assign(measured=units["unit"].map(measured).fillna(0).astype(int))
    labels = _labels(trial, panel, sequences)
    return Assignment(counted.reset_index(drop=True), sequences, trial.arms.control, labels)


def _labels(trial: "Trial", panel: "Panel | None", sequences: "pd.DataFrame") -> list[str]:
    """Take the panel's own labels of the periods, the trial's calendar where those are mere numbers."""
    periods = int(sequences["period"].max())
    calendar = period_labels(periods, trial.schedule.start, trial.schedule.period)
    if panel is None:
        return calendar
    named = panel.frame.drop_duplicates("period").set_index("period")["period_label"].astype(str)
    own = [str(named.get(period, "")) for period in range(1, periods + 1)]
    return calendar if "" in own or own == [str(p) for p in range(1, periods + 1)] else own
