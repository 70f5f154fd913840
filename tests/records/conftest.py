from collections.abc import Callable

import pandas as pd
import pytest

import rct

TEXT = """
format = 1
name = "small"
[units]
randomize = "squad"
measure = "{measure}"
id = "{id}"
[arms]
control = "usual"
treatments = ["ICAT"]
[schedule]
kind = "stepped-wedge"
start = 2024-01-01
period = "month"
periods = 3
baseline = 1
[records]
incident = "case"
officer = "badge"
date = "day"
{records}
[[outcomes]]
name = "force"
primary = true
{outcome}
[analysis]
primary = "poisson"
"""

OFFICERS = pd.DataFrame({"officer_id": ["01", "02", "03", "04"], "squad": ["A", "A", "B", "B"]})
SQUADS = pd.DataFrame({"squad": ["A", "B"]})


@pytest.fixture
def officers() -> pd.DataFrame:
    return OFFICERS.copy()


@pytest.fixture
def declared() -> Callable[..., rct.Trial]:
    """A trial of four officers in two squads; measured are officers, or squads."""

    def declare(outcome: str = "", *, squads: bool = False, records: str = "") -> rct.Trial:
        measure, unit = ("squad", "squad") if squads else ("officer", "officer_id")
        return rct.Trial.parse(
            TEXT.format(
                outcome=outcome,
                measure=measure,
                id=unit,
                records=records + ('\nunit = "place"' if squads else ""),
            )
        )

    return declare


@pytest.fixture
def built() -> Callable[..., rct.Panel]:
    """Build the panel of a trial from records."""

    def build(trial: rct.Trial, incidents: object, **options: object) -> rct.Panel:
        roster = OFFICERS if trial.units.measure == "officer" else SQUADS
        allocation = rct.randomize(trial, roster, seed="records")
        return rct.build_panel(trial, allocation, incidents=incidents, **options)

    return build


@pytest.fixture
def counted() -> Callable[[rct.Panel], dict[tuple[str, int], float]]:
    """Give the counts above zero by unit and period."""

    def count(panel: rct.Panel) -> dict[tuple[str, int], float]:
        rows = panel.frame[panel.frame["force"] > 0]
        return {(row.unit, row.period): row.force for row in rows.itertuples()}

    return count
