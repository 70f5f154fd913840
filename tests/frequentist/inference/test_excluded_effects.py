"""Equivalence tests against statsmodels, and what cannot be tested refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from rct import Estimate, EstimationError
from rct.frequentist import equivalence
from rct.frequentist.inference.wald import wald


def row(values, scale="difference", **changes):
    estimate, error, df = values.mean(), values.std(ddof=1) / np.sqrt(len(values)), len(values) - 1.0
    low, high, p_value = wald(estimate, error, df, 0.95)
    made = Estimate(
        outcome="force", term="ICAT", method="m", inference="i", estimand="e", scale=scale, baseline=2.0,
        estimate=estimate, std_error=error, df=df, conf_low=low, conf_high=high, p_value=p_value,
    )  # fmt: skip
    return replace(made, **changes)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, -0.6])
def test_two_one_sided_tests_are_those_of_statsmodels(shift):
    values = np.random.default_rng(1).normal(shift, 1, 40)
    ours = equivalence(row(values), margin=(-0.4, 0.5))
    p_value, _lower, _upper = DescrStatsW(values).ttost_mean(-0.4, 0.5)
    low, high = DescrStatsW(values).tconfint_mean(alpha=0.1)
    assert ours.p_value == pytest.approx(p_value)
    assert (ours.conf_low, ours.conf_high) == (pytest.approx(low), pytest.approx(high))
    assert ours.equivalent is (p_value < 0.05)


def test_a_margin_on_the_ratio_scale_is_taken_in_both_directions():
    values = np.random.default_rng(2).normal(0, 0.2, 50)
    ours = equivalence(row(values, scale="log"), margin=0.9)
    assert (ours.low, ours.high) == (pytest.approx(math.log(0.9)), pytest.approx(-math.log(0.9)))
    assert equivalence(row(values, scale="log"), margin=1 / 0.9).low == pytest.approx(ours.low)
    assert "are excluded" in ours.summary()
    assert "-10.0 to +11.1 %" in ours.summary()


def test_a_null_with_a_wide_interval_is_not_equivalence():
    values = np.random.default_rng(3).normal(0, 3, 20)
    ours = equivalence(row(values), margin=0.2)
    assert row(values).p_value > 0.05
    assert not ours.equivalent
    assert "does not lie within" in ours.summary()


def test_an_interval_from_an_inverted_test_is_used_at_its_own_level_only():
    inverted = row(np.arange(9.0) / 10 - 0.4, std_error=math.nan, conf_low=-0.3, conf_high=0.25, level=0.9)
    ours = equivalence(inverted, margin=0.31)
    assert ours.equivalent
    assert math.isnan(ours.p_value)
    with pytest.raises(EstimationError, match="level=0.95"):
        equivalence(inverted, margin=0.31, level=0.975)


@pytest.mark.parametrize(
    ("scale", "margin"), [("log", (1.1, 1.3)), ("log", -0.5), ("log", 1.0), ("difference", 0.0)]
)
def test_margins_that_leave_out_no_effect_are_refused(scale, margin):
    with pytest.raises(EstimationError, match="must lie between the margins"):
        equivalence(row(np.arange(9.0), scale=scale), margin=margin)
