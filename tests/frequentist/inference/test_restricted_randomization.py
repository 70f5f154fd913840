"""The randomization test of a restricted trial re-draws among the accepted allocations, and is exact."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rct.frequentist import randomization_test
from rct.frequentist.inference.redrawn_assignments import redraw_allocation
from rct.panel import Panel
from rct.randomization import randomize
from rct.trial import Trial

REFERENCES = {
    item["id"]: item
    for item in json.loads(
        (Path(__file__).parents[2] / "randomization" / "restriction_references.json").read_text(
            encoding="utf-8"
        )
    )["items"]
}
TEXT = """
format = 1
name = "small"
[units]
randomize = "squad"
measure = "squad"
id = "squad"
[arms]
control = "usual"
treatments = {treatments}
{shares}
[schedule]
kind = "parallel"
periods = 1
[randomization]
scheme = "constrained"
covariates = {covariates}
{rule}
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
"""


def allocate(inputs, rule, *, treatments='["ICAT"]', shares=""):
    columns = inputs.get("columns", ["x", "y"])
    names = [f"s{i:02d}" for i in range(len(inputs["covariates"]))]
    roster = pd.DataFrame({"squad": names})
    for column, values in zip(columns, zip(*inputs["covariates"], strict=True), strict=True):
        roster[column] = [str(value) for value in values]
    text = TEXT.format(treatments=treatments, shares=shares, covariates=json.dumps(columns), rule=rule)
    return randomize(Trial.parse(text), roster, seed="test")


def assigned(allocation, sequence):
    """Give the allocation as if this draw were the one that was taken."""
    names = np.array([path.arm for path in allocation.plan.sequences])
    frame = allocation.frame.assign(sequence=sequence.astype("int64"), arm=names[sequence])
    return replace(allocation, frame=frame.assign(starts=(sequence > 0).astype("int64")))


def panel_of(allocation, counts):
    table = allocation.frame.merge(allocation.sequences.drop(columns="arm"), on="sequence")
    table = table.sort_values("unit").assign(force=counts)
    return Panel.from_frame(
        table, unit="unit", period="period", outcomes=["force"], treated="dose", arm="arm"
    )


def test_the_exact_p_of_a_constrained_trial_is_that_of_cvcrand():
    reference = REFERENCES["p-values/constrained-8/exact-p"]
    inputs = reference["inputs"]
    allocation = allocate(inputs, f"keep = {inputs['cutoff']}")
    taken = np.isin(np.arange(8), inputs["treated"]).astype(int)
    allocation = assigned(allocation, taken)
    panel = panel_of(allocation, inputs["y_cluster_means"])
    found = randomization_test(panel, "force", allocation=allocation, draws="exact")
    assert [len(found.null_draws), found.p_value] == pytest.approx(reference["value"], abs=1e-12)


def test_under_the_null_a_constrained_trial_rejects_no_more_often_than_its_level():
    inputs = REFERENCES["constrained/10x3-l2-4treated-weights/scores"]["inputs"]
    allocation = allocate(
        inputs,
        f"keep = {inputs['cutoff']}\nweights = {{ force_rate = 2 }}",
        shares='[arms.probabilities]\nICAT = "4/10"',
    )
    assert allocation.probabilities[1].nunique() > 1
    counts = np.random.default_rng(2).poisson(20, 10)
    p_values = []
    for draw in allocation.draws("exact"):
        one = assigned(allocation, draw)
        found = randomization_test(panel_of(one, counts), "force", allocation=one, draws="exact")
        # Centred at the mechanism's own probabilities, which a restriction has moved from 4 in 10.
        assert found.null_draws.mean() == pytest.approx(0, abs=1e-9)
        p_values.append(found.p_value)
    attained = np.sort(p_values)
    assert len(attained) == 42
    assert all((attained <= level).mean() <= level + 1e-12 for level in attained)
    assert attained[0] == pytest.approx(1 / 42)


def test_with_two_treatments_the_redrawn_leave_the_other_arm_and_stay_accepted():
    covariates = [[i * i % 11, (7 * i) % 5] for i in range(9)]
    allocation = allocate({"covariates": covariates}, "keep = 0.3", treatments='["A", "B"]')
    panel = panel_of(allocation, np.arange(9) + 3)
    accepted = {tuple(row) for row in allocation.draws("exact").tolist()}
    given = allocation.frame["sequence"].to_numpy()
    for number, redrawn in enumerate(redraw_allocation(panel, allocation, 200, 1), start=1):
        inside = np.isin(given, (0, number))
        full = np.tile(given, (200, 1))
        full[:, inside] = redrawn.draws
        assert {tuple(row) for row in full.tolist()} <= accepted
        assert len(np.unique(redrawn.draws, axis=0)) > 1
        assert redrawn.frequencies.sum(axis=1) == pytest.approx(np.ones(inside.sum()))
