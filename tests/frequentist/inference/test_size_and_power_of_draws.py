"""Size and power of the randomization test where designs are not plain: each over two dozen small trials."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from rct.errors import EstimationError
from rct.frequentist import randomization_test
from rct.frequentist.inference import rerandomization
from rct.panel import Panel
from rct.randomization import randomize
from rct.trial import Trial

TRIALS = 24
DRAWS = 99


@pytest.fixture
def without_intervals(monkeypatch):
    """Searching limits takes most of the time and changes no p-value."""
    monkeypatch.setattr(rerandomization, "limits", lambda *_args, **_kwargs: (np.nan, np.nan))


def rejections(p_values):
    return np.mean(np.array(p_values) <= 0.05)


def assert_size(p_values):
    assert rejections(p_values) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / len(p_values))
    assert np.mean(p_values) == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / len(p_values)))


def shuffled(starts, block, n, rng):
    draws = np.tile(starts, (n, 1))
    for code in np.unique(block):
        draws[:, block == code] = rng.permuted(draws[:, block == code], axis=1)
    return draws


@cache
def blocked_trial(seed, ratio):
    """Two blocks with 5 and 15 of 20 units treated in the second period, and trends that differ."""
    rng = np.random.default_rng(seed)
    block = np.repeat([0, 1], 20)
    starts = np.where(np.r_[np.arange(20) < 5, np.arange(20) < 15], 2, 0)
    starts = shuffled(starts, block, 1, rng)[0]
    unit, period = np.indices((40, 2))
    trend = np.array([0.8, 1.5])[block[unit]] ** period
    dose = (starts[unit] > 0) & (period == 1)
    mean = rng.gamma(3, 3, 40)[unit] * trend * ratio**dose
    frame = pd.DataFrame(
        {"unit": [f"{u:02d}" for u in unit.ravel()], "period": period.ravel() + 1,
         "district": block[unit].ravel().astype(str), "start": starts[unit].ravel(),
         "force": rng.poisson(mean).ravel()}
    )  # fmt: skip
    panel = Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="start", block="district"
    )
    return panel, shuffled(starts, block, DRAWS, rng)


@pytest.mark.usefixtures("without_intervals")
@pytest.mark.parametrize("options", [{}, {"fixed_effects": ("unit", "period")}, {"statistic": "poisson"}])
def test_blocks_with_unequal_probabilities(options):
    null, found = ([], []), ([], [])
    for ratio, (p_values, estimates) in ((1.0, null), (0.6, found)):
        for seed in range(TRIALS):
            panel, draws = blocked_trial(seed, ratio)
            ours = randomization_test(panel, "force", allocation=draws, **options)
            p_values.append(ours.p_value)
            estimates.append(ours.estimate)
    assert_size(null[0])
    assert np.mean(null[1]) == pytest.approx(0, abs=0.08)
    assert np.mean(found[1]) == pytest.approx(np.log(0.6), abs=0.08)
    assert rejections(found[0]) > 0.5


@pytest.mark.usefixtures("without_intervals")
def test_the_raw_score_has_hardly_any_power_where_blocks_have_unequal_probabilities_and_trends():
    """Not centred at its mean under the mechanism, which the trends of the blocks move away from zero."""

    def raw_score(counts, exposure, doses, arms, null):
        fitted = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
        return (doses * (counts - fitted)).sum(axis=(1, 2))

    raw, centred = [], []
    for seed in range(TRIALS):
        panel, draws = blocked_trial(seed, 0.6)
        options = {"allocation": draws, "fixed_effects": ("unit", "period")}
        raw.append(randomization_test(panel, "force", statistic=raw_score, **options).p_value)
        centred.append(randomization_test(panel, "force", **options).p_value)
    assert rejections(raw) < 0.25
    assert rejections(centred) > 0.5


ARMS = """
format = 1
name = "arms"
[units]
randomize = "squad"
measure = "squad"
id = "squad"
block = ["district"]
[arms]
control = "usual"
treatments = ["A", "B"]
[schedule]
kind = "parallel"
periods = 1
baseline = 0
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
"""
SQUADS = [f"s{i:02d}" for i in range(48)]
ROSTER = pd.DataFrame({"squad": SQUADS, "district": [f"d{i % 2}" for i in range(48)]})


def arms_panel(allocation, rng):
    """Arm A does nothing, arm B halves the counts."""
    table = allocation.frame.merge(allocation.sequences.drop(columns="arm"), on="sequence")
    mean = np.where(table["block"] == "d1", 25, 9) * np.where(table["arm"] == "B", 0.6, 1.0)
    return Panel.from_frame(
        table.assign(force=rng.poisson(mean)), unit="unit", period="period", outcomes=["force"],
        treated="dose", arm="arm", block="block",
    )  # fmt: skip


@pytest.mark.usefixtures("without_intervals")
def test_an_arm_without_effect_beside_one_with_an_effect():
    trial = Trial.parse(ARMS)
    p_values = {"A": [], "B": []}
    for seed in range(TRIALS):
        allocation = randomize(trial, ROSTER, seed=f"arms {seed}")
        panel = arms_panel(allocation, np.random.default_rng(seed))
        for row in randomization_test(panel, "force", allocation=allocation, draws=DRAWS, seed=seed):
            p_values[row.arm].append(row.p_value)
    assert_size(p_values["A"])
    assert rejections(p_values["B"]) > 0.9


def test_all_orders_of_two_arms_give_nearly_the_sampled_p_value():
    trial = Trial.parse(ARMS)
    few = ROSTER.iloc[:12]
    allocation = randomize(trial, few, seed="few")
    panel = arms_panel(allocation, np.random.default_rng(1))
    exact = randomization_test(panel, "force", allocation=allocation, draws="exact")
    sampled = randomization_test(panel, "force", allocation=allocation, draws=1999, seed=1)
    for all_orders, some in zip(exact, sampled, strict=True):
        assert "all 36 assignments" in all_orders.inference
        assert some.p_value == pytest.approx(all_orders.p_value, abs=0.04)
        assert len(np.unique(np.round(all_orders.null_draws, 9))) <= 36
    allocation = randomize(trial, ROSTER, seed="many")
    panel = arms_panel(allocation, np.random.default_rng(1))
    with pytest.raises(EstimationError, match="distinct orders"):
        randomization_test(panel, "force", allocation=allocation, draws="exact")


def wedge_trial(seed, ratio, transition=1, spike=1.0):
    """Nine divisions cross one after the other; counts in transition are multiplied by `spike`."""
    rng = np.random.default_rng(seed)
    starts = rng.permutation(np.arange(4, 13))
    unit, period = np.indices((9, 14))
    dose = period + 1 >= starts[unit]
    crossing = ~dose & (period + 1 >= starts[unit] - transition)
    mean = np.exp(rng.normal(3.3, 0.3, 9))[unit] * (1 - 0.02 * period)
    mean = mean * ratio**dose * np.where(crossing, spike, 1.0) * np.exp(rng.normal(0, 0.1, (9, 14)))
    frame = pd.DataFrame(
        {"unit": [f"{u}" for u in unit.ravel()], "period": period.ravel() + 1,
         "start": starts[unit].ravel(), "force": rng.poisson(mean).ravel()}
    )  # fmt: skip
    panel = Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="start", transition=transition
    )
    return panel, np.array([rng.permutation(np.arange(4, 13)) for _ in range(DRAWS)])


@pytest.mark.usefixtures("without_intervals")
def test_transition_periods_are_left_out_whatever_happens_in_them():
    null, found, estimates = [], [], []
    for seed in range(TRIALS):
        panel, draws = wedge_trial(seed, 1.0, spike=1.6)
        null.append(randomization_test(panel, "force", allocation=draws).p_value)
    for seed in range(TRIALS):
        panel, draws = wedge_trial(seed, 0.75, spike=1.6)
        ours = randomization_test(panel, "force", allocation=draws)
        found.append(ours.p_value)
        estimates.append(ours.estimate)
    assert_size(null)
    assert rejections(found) > 0.6
    assert np.mean(estimates) == pytest.approx(np.log(0.75), abs=0.08)


def test_an_interval_with_transition_periods_holds_the_estimate_and_other_statistics_are_refused():
    panel, draws = wedge_trial(3, 0.7)
    ours = randomization_test(panel, "force", allocation=draws)
    assert "transition periods of every draw left out" in ours.method
    assert ours.conf_low < ours.estimate < ours.conf_high
    with pytest.raises(EstimationError, match="in transition in every draw"):
        randomization_test(panel, "force", statistic="difference", allocation=draws)


@pytest.mark.usefixtures("without_intervals")
def test_officers_who_move_count_where_they_are():
    """Six officers a division; one in five moves on half-way, and the row names where the officer is."""
    p_values = {1.0: [], 0.7: []}
    for ratio, own in p_values.items():
        for seed in range(TRIALS):
            rng = np.random.default_rng(seed)
            starts = rng.permutation(np.array([4, 5, 6, 7, 8, 9, 10, 11]))
            officer, period = np.indices((48, 12))
            moves = rng.random(48) < 0.2
            division = (officer + (moves[officer] & (period >= 6))) % 8
            dose = period + 1 >= starts[division]
            level = rng.gamma(2, 0.8, 48)[officer] * np.exp(rng.normal(0, 0.1, (8, 12)))[division, period]
            frame = pd.DataFrame(
                {"officer": [f"{o:02d}" for o in officer.ravel()], "period": period.ravel() + 1,
                 "division": division.ravel().astype(str), "start": starts[division].ravel(),
                 "force": rng.poisson(level * ratio**dose).ravel()}
            )  # fmt: skip
            panel = Panel.from_frame(
                frame, unit="officer", period="period", outcomes=["force"], starts="start",
                randomized="division",
            )  # fmt: skip
            draws = np.array([rng.permutation(starts) for _ in range(DRAWS)])
            own.append(randomization_test(panel, "force", allocation=draws).p_value)
    assert_size(p_values[1.0])
    assert rejections(p_values[0.7]) > 0.6


@pytest.mark.usefixtures("without_intervals")
def test_an_outcome_with_its_own_exposure_is_compared_by_its_own_rate():
    """Treatment lowers encounters, and injuries per encounter or not."""
    p_values, estimates, plain, found = [], [], [], []
    for seed in range(TRIALS):
        rng = np.random.default_rng(seed)
        starts = rng.permutation(np.repeat([4, 6, 8, 0], 5))
        unit, period = np.indices((20, 10))
        dose = (starts[unit] > 0) & (period + 1 >= starts[unit])
        encounters = rng.poisson(60 * 0.6**dose) + 1
        frame = pd.DataFrame(
            {"unit": [f"{u:02d}" for u in unit.ravel()], "period": period.ravel() + 1,
             "start": starts[unit].ravel(), "encounters": encounters.ravel(),
             "injury": rng.poisson(0.1 * encounters).ravel(),
             "lowered": rng.poisson(0.1 * encounters * 0.6**dose).ravel()}
        )  # fmt: skip
        draws = np.array([rng.permutation(starts) for _ in range(DRAWS)])
        for exposure, p_list, e_list in (({"injury": "encounters"}, p_values, estimates), (None, [], plain)):
            panel = Panel.from_frame(
                frame, unit="unit", period="period", outcomes=["injury"], starts="start", exposure=exposure
            )
            ours = randomization_test(panel, "injury", allocation=draws)
            p_list.append(ours.p_value)
            e_list.append(ours.estimate)
        panel = Panel.from_frame(
            frame, unit="unit", period="period", outcomes=["lowered"], starts="start",
            exposure={"lowered": "encounters"},
        )  # fmt: skip
        found.append(randomization_test(panel, "lowered", allocation=draws).p_value)
    assert rejections(found) > 0.6
    assert_size(p_values)
    assert np.mean(estimates) == pytest.approx(0, abs=0.05)
    assert np.mean(plain) == pytest.approx(np.log(0.6), abs=0.06)
