from collections.abc import Callable

import pandas as pd
import pytest

from rct.trial import Trial

TEXT = """
format = 1
name = "small"
[units]
randomize = "{randomize}"
measure = "officer"
id = "officer_id"
block = {block}
[arms]
control = "usual"
{treatments}
{probabilities}
[schedule]
{schedule}
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
"""


@pytest.fixture
def declared() -> Callable[..., Trial]:
    def declare(
        schedule: str = 'kind = "parallel"\nperiods = 6',
        *,
        treatments: str = '["ICAT"]',
        block: str = "[]",
        randomize: str = "officer_id",
        probabilities: str = "",
        factors: str = "",
    ) -> Trial:
        arms = f"factors = {factors}" if factors else f"treatments = {treatments}" if treatments else ""
        return Trial.parse(
            TEXT.format(
                schedule=schedule,
                treatments=arms,
                block=block,
                randomize=randomize,
                probabilities=probabilities,
            )
        )

    return declare


@pytest.fixture
def officers() -> Callable[[int], pd.DataFrame]:
    return lambda n: pd.DataFrame({"officer_id": [f"{i:03d}" for i in range(n)]})
