"""With unequal block probabilities the raw score is not zero in expectation: the statistic is centred."""

import numpy as np
import pandas as pd
import pytest

import rct
from rct.frequentist import randomization_test

TRIAL = rct.Trial.parse("""
format = 1
name = "Unequal blocks"
[units]
randomize = "officer"
measure = "officer"
id = "officer"
block = ["district"]
[arms]
control = "usual"
treatments = ["ICAT"]
[[arms.probabilities.by_block]]
district = "a"
ICAT = 0.25
[[arms.probabilities.by_block]]
district = "b"
ICAT = 0.75
[schedule]
kind = "parallel"
period = "month"
periods = 4
baseline = 2
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
""")


@pytest.mark.parametrize("fixed_effects", [("unit", "period"), None])
def test_the_statistic_has_mean_zero_under_the_mechanism(fixed_effects):
    units = [f"{number:02d}" for number in range(40)]
    roster = pd.DataFrame({"officer": units, "district": ["a"] * 20 + ["b"] * 20})
    allocation = rct.randomize(TRIAL, roster, seed=3)
    cells = pd.DataFrame({"officer": np.repeat(units, 4), "month": np.tile([1, 2, 3, 4], 40)})
    assigned = allocation.frame.set_index("unit")
    cells["district"] = cells["officer"].map(assigned["block"])
    cells["first"] = cells["officer"].map(assigned["starts"])
    # One district rises and the other falls after the crossing, whoever is trained.
    rising = (cells["district"] == "a") == (cells["month"] > 2)
    cells["force"] = np.where(rising, 6, 2) + np.arange(len(cells)) % 3
    cells["arm"] = np.where(cells["first"] > 0, "ICAT", "usual")
    panel = rct.Panel.from_frame(
        cells, unit="officer", period="month", outcomes=["force"], starts="first", block="district", arm="arm"
    )
    test = randomization_test(
        panel, "force", allocation=allocation, draws=4000, seed=9, fixed_effects=fixed_effects
    )
    assert abs(test.null_draws.mean()) < 4 * test.null_draws.std() / np.sqrt(4000)
