"""What is counted of an incident, and in whose row."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from rct.records.placing import Placement

COUNTED = {
    "incident": "incidents with at least one report that satisfies the condition",
    "report": "reports that satisfy the condition",
    "person": "persons within incidents, of the reports that satisfy the condition",
}
ENTERED = {
    "first": "in the row of the first officer listed who is on the roster",
    "every": "in the row of every officer involved",
    "share": "shared equally between the officers involved",
}


@dataclass(frozen=True)
class CountingRule:
    """How an outcome is counted.

    Attributes
    ----------
    what
        incident: distinct incidents with a report that satisfies the condition; report: such reports;
        person: distinct persons of such reports within an incident (those without id count as one).
    attribution
        Which of an incident's officers: the first, every one, or all in equal shares.
    own_row
        Whether each report or person belongs to the officer of its own row.
    by_officer
        Whether officers are measured; otherwise an incident has one place.
    """

    what: Literal["incident", "report", "person"]
    attribution: Literal["first", "every", "share"]
    own_row: bool
    by_officer: bool

    @property
    def words(self) -> str:
        """The rule as one sentence."""
        if not self.by_officer:
            return f"{COUNTED[self.what]}, at the place and date of the incident's first row"
        entered = "in the row of the officer concerned" if self.own_row else ENTERED[self.attribution]
        return f"{COUNTED[self.what]}, {entered}, at the date of the incident's first row"


def count_events(
    rule: CountingRule, holds: "np.ndarray", person: "pd.Series | None", placement: "Placement"
) -> "pd.Series":
    """Count one outcome.

    Parameters
    ----------
    holds
        Whether each record satisfies the outcome's condition.
    person
        Id of the person of each record, where persons are counted.

    Returns
    -------
    pandas.Series
        Counts above zero, by unit and period.
    """
    records = placement.records
    hits = records[["key", "unit", "period"]].assign(
        person="" if person is None else person.fillna("").to_numpy()
    )
    hits = hits[holds]
    if rule.own_row:
        events = hits[hits["unit"].notna()]
        if rule.what == "person":
            events = events.drop_duplicates(["key", "unit"])
        events = events.assign(amount=1)
    else:
        events = _by_incident(rule, hits).merge(placement.involved, on="key")
        if rule.attribution == "first" or not rule.by_officer:
            events = events[events["rank"] == 0]
        elif rule.attribution == "share":
            events = events.assign(amount=events["amount"] * events["share"])
    events = events[events["period"] > 0]
    return events.groupby(["unit", "period"])["amount"].sum()


def _by_incident(rule: CountingRule, hits: "pd.DataFrame") -> "pd.DataFrame":
    """Give key, period and amount of each incident that satisfies the condition."""
    counted = hits if rule.what == "report" else hits.drop_duplicates(["key", "person"])
    amounts = counted.groupby(["key", "period"], sort=False).size().rename("amount").reset_index()
    return amounts.assign(amount=1) if rule.what == "incident" else amounts
