"""The weights of the two-way fixed-effects estimate, against the estimate itself."""

import numpy as np
import pandas as pd
import pytest

from rct.errors import EstimationError
from rct.frequentist import poisson, two_way_weights
from rct.panel import Panel


def panel_of(effects=0.0, arms=False):
    """Expected counts, not drawn ones: four cohorts, effects (cohorts, periods) on the log scale."""
    unit, period = np.indices((12, 10))
    starts = np.array([3, 5, 8, 0])[unit % 4]
    dose = (starts > 0) & (period + 1 >= starts)
    mean = (2 + unit) * (1 + 0.1 * period) * np.exp(dose * effects)
    frame = pd.DataFrame(
        {"unit": [f"{u:02d}" for u in unit.ravel()], "period": period.ravel() + 1,
         "start": starts.ravel(), "force": mean.ravel(), "arm": np.where(unit.ravel() < 6, "A", "B")}
    )  # fmt: skip
    return Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="start", fractional=["force"],
        arm="arm" if arms else None,
    )  # fmt: skip


def test_an_effect_in_one_cell_moves_the_estimate_by_the_cell_s_weight():
    weights = two_way_weights(panel_of(), "force").set_index(["starts", "period"])["weight"]
    assert weights.sum() == pytest.approx(1)
    unit, period = np.indices((12, 10))
    starts = np.array([3, 5, 8, 0])[unit % 4]
    small = 1e-4
    for cohort, month in ((3, 3), (3, 10), (5, 7), (8, 9)):
        effect = small * ((starts == cohort) & (period + 1 == month))
        moved = poisson(panel_of(effect), "force", correction="model").estimate / small
        assert moved == pytest.approx(weights[cohort, month], abs=1e-3)


def test_a_growing_effect_is_not_averaged_but_a_constant_one_is_found():
    weights = two_way_weights(panel_of(), "force")
    period = np.indices((12, 10))[1] + 1
    starts = np.array([3, 5, 8, 0])[np.indices((12, 10))[0] % 4]
    growing = -0.001 * (period - starts + 1)
    found = poisson(panel_of(growing), "force", correction="model").estimate
    assert found == pytest.approx((weights["weight"] * -0.001 * weights["exposure_time"]).sum(), rel=0.02)
    constant = poisson(panel_of(-0.3), "force", correction="model").estimate
    assert constant == pytest.approx(-0.3, abs=1e-8)


def test_on_chicago_late_effects_of_early_cohorts_count_negatively(chicago):
    weights = two_way_weights(chicago, "force")
    assert weights["weight"].sum() == pytest.approx(1)
    negative = weights[weights["weight"] < 0]
    assert negative["weight"].sum() < -0.1
    assert negative["exposure_time"].mean() > weights.loc[weights["weight"] > 0, "exposure_time"].mean()


def test_several_arms_are_refused():
    with pytest.raises(EstimationError, match="one treatment arm"):
        two_way_weights(panel_of(arms=True), "force")
