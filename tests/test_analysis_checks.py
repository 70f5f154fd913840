"""Bayesian promises that the design itself breaks, whatever the data will be."""

import pandas as pd
import pytest

import rct
from rct import analysis

TEXT = rct.load("louisville_icat").to_toml()
BAYESIAN = '{ estimator = "bayesian", model = "marginal" },'


def promising(model, *changes):
    text = TEXT.replace(BAYESIAN, f'{{ estimator = "bayesian", model = "{model}" }},')
    assert text != TEXT or model == "marginal"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return rct.Trial.parse(text)


def with_one_outcome(model):
    text = promising(model).to_toml()
    start, end = text.index("[[outcomes]]", text.index("[[outcomes]]") + 1), text.index("[analysis]")
    return rct.Trial.parse(text[:start] + text[end : text.index("[power]")])


def test_a_meta_analysis_is_told_where_it_is_done():
    with pytest.raises(rct.TrialError, match=r"several trials, .* use rct.bayesian.meta\(frame\), and put"):
        analysis.check(promising("meta"))
    panel = rct.Panel.from_frame(
        pd.DataFrame({"o": ["a", "b"], "t": [1, 1], "y": [1, 2], "on": [0, 1]}),
        unit="o", period="t", outcomes=["y"], treated="on",
    )  # fmt: skip
    with pytest.raises(rct.EstimationError, match=r"not the rows of one panel: use rct.bayesian.meta"):
        rct.bayesian.fit(panel, "y", model="meta", seed=1)


def test_joint_needs_injuries_beside_force():
    analysis.check(promising("joint"))
    with pytest.raises(rct.TrialError, match='"joint" takes force and the injuries .* has one outcome'):
        analysis.check(with_one_outcome("joint"))


def test_dose_needs_two_doses():
    with pytest.raises(rct.TrialError, match='"dose" needs treatments of at least two doses, .* have 1; use'):
        analysis.check(promising("dose"))


def test_stepped_wedge_needs_clusters():
    analysis.check(promising("stepped-wedge"))
    alone = promising("stepped-wedge", ('randomize = "division"', 'randomize = "officer_id"'))
    with pytest.raises(rct.TrialError, match="effects of clusters, and this trial randomizes every officer"):
        analysis.check(alone)


def test_agencies_takes_one_outcome():
    with pytest.raises(rct.TrialError, match='"agencies" takes one outcome, and the trial has 3'):
        analysis.check(promising("agencies"))
    analysis.check(with_one_outcome("agencies"))
