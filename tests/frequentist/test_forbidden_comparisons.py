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


def crossover(courses, effects=0.0):
    """Expected counts of three units in each course of treatment; effects (units, periods), log scale."""
    unit, period = np.indices((3 * len(courses), len(courses[0])))
    dose = np.repeat(courses, 3, axis=0)
    mean = (2 + unit) * (1 + 0.2 * period) * np.exp(dose * effects)
    frame = pd.DataFrame(
        {"unit": [f"{u:02d}" for u in unit.ravel()], "period": period.ravel() + 1,
         "dose": dose.ravel(), "force": mean.ravel()}
    )  # fmt: skip
    return Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], treated="dose", fractional=["force"]
    )


def test_two_periods_crossed_over_weigh_half_each_whatever_the_means():
    """The model is saturated: log(y11 y22 / (y12 y21)) is twice the constant."""
    weights = two_way_weights(crossover([[1, 0], [0, 1]]), "force")
    assert weights[["starts", "period", "exposure_time"]].to_numpy().tolist() == [[1, 1, 1], [2, 2, 1]]
    assert weights["weight"].to_numpy() == pytest.approx([0.5, 0.5])


def test_where_treatment_switches_off_an_effect_moves_the_estimate_by_its_weight_too():
    courses = np.array([[1, 1, 0, 0, 1], [1, 0, 1, 0, 1], [0, 1, 1, 1, 0], [0, 0, 0, 1, 1]])
    weights = two_way_weights(crossover(courses), "force")
    assert weights["weight"].sum() == pytest.approx(1)
    by_time = weights.set_index(["starts", "period", "exposure_time"])["weight"]
    starts, times = courses.argmax(axis=1) + 1, np.where(courses, courses.cumsum(axis=1), 0)
    small = 1e-4
    for cohort, period, time in ((1, 2, 2), (1, 3, 2), (1, 5, 3), (2, 4, 3), (4, 5, 2)):
        cell = (starts[:, None] == cohort) & (times == time) & (np.arange(1, 6) == period)
        effect = small * np.repeat(cell, 3, axis=0)
        moved = poisson(crossover(courses, effect), "force", correction="model").estimate / small
        assert moved == pytest.approx(by_time[cohort, period, time], abs=1e-3)


def test_several_arms_are_refused():
    with pytest.raises(EstimationError, match="one treatment arm"):
        two_way_weights(panel_of(arms=True), "force")
