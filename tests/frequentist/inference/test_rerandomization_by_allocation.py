"""The test re-draws with the allocation's own mechanism."""

import numpy as np
import pandas as pd
import pytest

from rct.errors import EstimationError
from rct.frequentist import randomization_test
from rct.frequentist.inference.redrawn_assignments import redraw_allocation
from rct.panel import Panel
from rct.randomization import randomize
from rct.trial import Trial

TEXT = """
format = 1
name = "small"
[units]
randomize = "squad"
measure = "squad"
id = "squad"
block = {block}
[arms]
control = "usual"
treatments = {treatments}
[schedule]
{schedule}
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
"""
WEDGE = 'kind = "stepped-wedge"\nperiods = 8\nbaseline = 2\nstep = 1'
PARALLEL = 'kind = "parallel"\nperiods = 1\nbaseline = 0'


def allocate(schedule, n, *, treatments='["ICAT"]', blocked=False):
    text = TEXT.format(schedule=schedule, treatments=treatments, block='["district"]' if blocked else "[]")
    names = [f"s{i:02d}" for i in range(n)]
    roster = pd.DataFrame({"squad": names, "district": [f"d{i % 2}" for i in range(n)]})
    return randomize(Trial.parse(text), roster, seed="test")


def panel_for(allocation, seed=0, ratio=1.0):
    table = allocation.frame.merge(allocation.sequences.drop(columns="arm"), on="sequence")
    rng = np.random.default_rng(seed)
    level = 8 + 12 * (table["block"] == "d1")
    table["force"] = rng.poisson(level * ratio ** table["dose"].fillna(0))
    return Panel.from_frame(
        table, unit="unit", period="period", outcomes=["force"], treated="dose", arm="arm",
        block="block" if allocation.frame["block"].nunique() > 1 else None,
    )  # fmt: skip


def test_a_wedge_is_redrawn_and_the_whole_space_gives_the_exact_share():
    allocation = allocate(WEDGE, 6)
    panel = panel_for(allocation, ratio=0.5)
    sampled = randomization_test(panel, "force", allocation=allocation, draws=1999, seed=1)
    exact = randomization_test(panel, "force", allocation=allocation, draws="exact")
    assert sampled.p_value == pytest.approx(exact.p_value, abs=0.03)
    assert "all 720 assignments" in exact.inference
    assert exact.arm == "ICAT"
    again = randomization_test(panel, "force", allocation=allocation, draws=1999, seed=1)
    assert (again.p_value, again.draws_hash) == (sampled.p_value, sampled.draws_hash)
    other = randomization_test(panel, "force", allocation=allocation, draws=1999, seed=2)
    assert other.draws_hash != sampled.draws_hash


def test_a_blocked_parallel_trial_has_period_effects_within_blocks_and_no_unit_effects():
    allocation = allocate(PARALLEL, 24, blocked=True)
    ours = randomization_test(panel_for(allocation, ratio=0.6), "force", allocation=allocation, seed=1)
    assert "block:period" in ours.method
    assert "unit" not in ours.method.split("with")[1].split(" effects")[0]
    assert ours.p_value < 0.01
    assert ours.conf_high < 0


def test_a_panel_with_another_assignment_is_refused():
    allocation = allocate(WEDGE, 6)
    panel = panel_for(allocation)
    other = panel.frame.copy()
    other["treated"] = other["treated"].to_numpy()[::-1]
    changed = Panel(other, panel.outcomes, meta=panel.meta)
    with pytest.raises(EstimationError, match="differs from the allocation"):
        randomization_test(changed, "force", allocation=allocation, seed=1)
    fewer = Panel(panel.frame[panel.frame["unit"] != "s03"].reset_index(drop=True), panel.outcomes)
    with pytest.raises(EstimationError, match="s03"):
        randomization_test(fewer, "force", allocation=allocation, seed=1)
    with pytest.raises(EstimationError, match="seed"):
        randomization_test(panel, "force", allocation=allocation)


def test_several_arms_are_tested_one_by_one_with_the_other_arm_held_fixed():
    allocation = allocate(PARALLEL, 30, treatments='["A", "B"]', blocked=True)
    panel = panel_for(allocation, ratio=0.6)
    rows = randomization_test(panel, "force", allocation=allocation, draws=499, seed=1)
    assert [row.arm for row in rows] == ["A", "B"]
    assert {row.reference for row in rows} == {"usual"}
    for redrawn in redraw_allocation(panel, allocation, 99, 1):
        assert len(redrawn.units) == 20
        blocks = allocation.frame.set_index("unit")["block"].loc[redrawn.units].to_numpy()
        for block in np.unique(blocks):
            own = np.sort(redrawn.draws[:, blocks == block], axis=1)
            assert (own == np.sort(redrawn.observed[blocks == block])).all()
        assert (redrawn.draws != redrawn.observed).any()
        assert redrawn.frequencies.sum(axis=1) == pytest.approx(np.ones(20))


def test_one_period_trials_randomized_elsewhere_take_draws_of_zeros_and_ones():
    rng = np.random.default_rng(3)
    assigned = np.repeat([0, 1], 15)
    frame = pd.DataFrame({"officer": [f"{i:02d}" for i in range(30)], "given": assigned})
    frame["force"] = rng.poisson(6 * 0.4**assigned)
    panel = Panel.from_frame(frame, unit="officer", period=None, outcomes=["force"], treated="given")
    draws = rng.permuted(np.tile(assigned, (999, 1)), axis=1)
    ours = randomization_test(panel, "force", allocation=draws)
    assert ours.p_value < 0.01
    assert ours.estimate == pytest.approx(np.log(frame.groupby("given")["force"].mean()).diff()[1], abs=0.05)
