"""The words and units that one trial's report is written in: labels of outcomes, units, rates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rct.trial import Trial

PERIODS_PER_YEAR = {"day": 365.25, "week": 365.25 / 7, "month": 12.0, "quarter": 4.0}


@dataclass(frozen=True)
class ReportUnits:
    """Names of one trial, singular and plural, and what its rates are per.

    Attributes
    ----------
    randomized, measured
        "division", "officer".
    period
        "month".
    labels
        Label of each outcome.
    denominators
        What each outcome with its own exposure is counted per ("encounters").
    """

    randomized: str
    measured: str
    period: str
    labels: dict[str, str]
    denominators: dict[str, str]

    @property
    def per(self) -> int:
        """How many measured units a rate is per: 100 officers, but one division or agency."""
        return 100 if self.measured == "officer" else 1

    @property
    def _measured(self) -> str:
        return f"{self.per} {self.measured_plural}" if self.per > 1 else self.measured

    def period_factor(self, outcome: str) -> int:
        """Give the factor from events per unit of exposure and period to `period_unit`."""
        return 100 if outcome in self.denominators else self.per

    @property
    def randomized_plural(self) -> str:
        """Several randomized units."""
        return plural(self.randomized)

    @property
    def measured_plural(self) -> str:
        """Several measured units."""
        return plural(self.measured)

    def label(self, outcome: str) -> str:
        """Name an outcome in words."""
        return self.labels.get(outcome) or outcome.replace("_", " ").capitalize()

    def period_unit(self, outcome: str) -> str:
        """Name what a rate by period is per: "100 officers per month"."""
        own = self.denominators.get(outcome)
        return f"100 {own}" if own else f"{self._measured} per {self.period}"

    def rate_unit(self, outcome: str) -> str:
        """Name what a rate over several periods is per: "100 officers per year"."""
        own = self.denominators.get(outcome)
        return f"100 {own}" if own else f"{self._measured} per year"

    def rate_factor(self, outcome: str) -> float:
        """Give the factor from events per unit of exposure to `rate_unit`."""
        if outcome in self.denominators:
            return 100.0
        return self.per * PERIODS_PER_YEAR[self.period]


def report_units(trial: "Trial") -> ReportUnits:
    """Read the words from the trial."""
    units = trial.units
    own = units.randomize == units.id
    return ReportUnits(
        randomized=(units.measure if own else units.randomize).replace("_", " "),
        measured=units.measure.replace("_", " "),
        period=trial.schedule.period,
        labels={outcome.name: outcome.label for outcome in trial.outcomes if outcome.label},
        denominators={o.name: o.exposure.replace("_", " ") for o in trial.outcomes if o.exposure},
    )


def plural(noun: str) -> str:
    """Give the plural of an English noun: divisions, agencies, batches."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"
