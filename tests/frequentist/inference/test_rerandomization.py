"""Randomization tests: exact on the wedge, valid by the mechanism, and refused where they mean nothing."""

import itertools

import numpy as np
import pandas as pd
import pytest

from rct.errors import EstimationError
from rct.frequentist import poisson, randomization_test
from rct.panel import Panel

STARTS = np.array([2, 3, 4, 5, 0])
PERIODS = 6


def wedge_frame(starts=STARTS, seed=0, ratio=1.0, randomized=None):
    unit, period = np.indices((len(starts), PERIODS))
    dose = (starts[unit] > 0) & (period + 1 >= starts[unit])
    rng = np.random.default_rng(seed)
    mean = np.array([9.0, 20, 5, 14, 11])[unit % 5] * (1 + 0.1 * period) * ratio**dose
    return pd.DataFrame(
        {"unit": [f"u{i:02d}" for i in unit.ravel()], "period": period.ravel() + 1,
         "force": rng.poisson(mean).ravel(), "start": starts[unit].ravel(),
         "age": rng.normal(size=unit.size)}
    )  # fmt: skip


def panel_of(frame, **options):
    return Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="start", covariates=["age"], **options
    )


def every_order(starts=STARTS):
    return np.array(list(itertools.permutations(starts)))


def test_the_exact_p_value_is_the_share_of_orders_with_a_score_as_large():
    panel = panel_of(wedge_frame(ratio=0.7))
    ours = randomization_test(panel, "force", allocation=every_order(), draws="exact")
    counts = panel.frame["force"].to_numpy(dtype=float).reshape(5, 6)
    residual = counts - np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    period = np.arange(1, 7)
    scores = [
        sum(residual[i] @ ((s > 0) & (period >= s)) for i, s in enumerate(order)) for order in every_order()
    ]
    own = sum(residual[i] @ ((s > 0) & (period >= s)) for i, s in enumerate(STARTS))
    assert ours.p_value == np.mean(np.abs(scores) >= abs(own) - 1e-9)
    assert ours.null_draws == pytest.approx(scores, abs=1e-9)


def test_sampled_draws_count_the_observed_one():
    panel = panel_of(wedge_frame())
    draws = every_order()[5:20]
    ours = randomization_test(panel, "force", allocation=draws)
    reached = np.count_nonzero(np.abs(ours.null_draws) >= abs(ours.notes["statistic"]) - 1e-9)
    assert ours.p_value == (1 + reached) / 16


def test_when_every_order_is_equally_likely_the_root_of_the_score_is_the_maximum_likelihood_estimate():
    panel = panel_of(wedge_frame(ratio=0.7))
    exact = randomization_test(panel, "force", allocation=every_order(), draws="exact")
    with_effect = poisson(panel, "force", correction="model")
    assert exact.estimate == pytest.approx(with_effect.estimate, abs=0.05)
    assert exact.conf_low < exact.estimate < exact.conf_high


def test_the_interval_holds_the_ratios_that_are_not_rejected():
    frame = wedge_frame(ratio=0.7, starts=np.array([2, 3, 4, 5, 0, 2, 4, 6]))
    draws = np.random.default_rng(2).permuted(np.tile(np.array([2, 3, 4, 5, 0, 2, 4, 6]), (1999, 1)), axis=1)
    ours = randomization_test(panel_of(frame), "force", allocation=draws, level=0.9)
    for limit, inward in ((ours.conf_low, 1), (ours.conf_high, -1)):
        for step, rejected in ((inward * 0.02, False), (-inward * 0.02, True)):
            ratio = np.exp(limit + step)
            dose = (frame["start"] > 0) & (frame["period"] >= frame["start"])
            shifted = panel_of(frame.assign(person_time=ratio**dose), exposure="person_time")
            assert (randomization_test(shifted, "force", allocation=draws).p_value <= 0.1) is rejected


def test_unequal_exposure_and_covariates_enter_the_null_model():
    frame = wedge_frame(ratio=0.6, starts=np.tile(STARTS, 3))
    frame["person_time"] = 1.0 + (np.arange(len(frame)) * 7 % 5)
    frame["force"] = frame["force"] * frame["person_time"]
    panel = panel_of(frame, exposure="person_time")
    draws = np.random.default_rng(1).permuted(np.tile(np.tile(STARTS, 3), (999, 1)), axis=1)
    ours = randomization_test(panel, "force", allocation=draws, covariates=["age"])
    assert ours.estimate == pytest.approx(poisson(panel, "force", covariates=["age"]).estimate, abs=0.03)
    assert ours.p_value < 0.05


def test_a_statistic_of_one_s_own_is_called_with_doses_in_draws():
    def difference(counts, exposure, doses, arms):
        assert arms.shape == doses.shape[:2]
        treated = (doses * counts).sum(axis=(1, 2)) / doses.sum(axis=(1, 2))
        return treated - ((1 - doses) * counts).sum(axis=(1, 2)) / (1 - doses).sum(axis=(1, 2))

    def total(counts, exposure, doses, arms, null):
        return (doses * (counts - counts.mean() * null**doses)).sum(axis=(1, 2))

    panel = panel_of(wedge_frame())
    ours = randomization_test(panel, "force", statistic=difference, allocation=every_order(), draws="exact")
    assert 0 < ours.p_value <= 1
    assert np.isnan(ours.conf_low)
    assert "difference" in ours.inference
    inverted = randomization_test(panel, "force", statistic=total, allocation=every_order())
    assert inverted.conf_low < inverted.estimate < inverted.conf_high


def test_too_few_orders_to_ever_reject_are_told():
    starts = np.array([2, 4, 0])
    panel = panel_of(wedge_frame(starts=starts))
    draws = every_order(starts)[1:]
    ours = randomization_test(panel, "force", allocation=draws)
    assert "can never reject" in ours.warning
    assert ours.conf_low == -np.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs the mechanism"),
        ({"allocation": every_order()[:, :4]}, "5 randomized units"),
        ({"allocation": every_order() + 3}, "whole numbers from 1 to 6"),
        ({"allocation": every_order()[:7] * 0, "draws": "exact"}, "own assignment is not in the array"),
        ({"allocation": np.tile(STARTS, (9, 1))}, "the same in every draw"),
        ({"allocation": every_order(), "statistic": "staggered"}, "cohorts of one randomized unit"),
        ({"allocation": every_order(), "statistic": "wald"}, "statistic must be one of"),
        ({"allocation": every_order(), "level": 0}, "level"),
    ],
)
def test_a_test_that_means_nothing_is_refused(options, message):
    with pytest.raises(EstimationError, match=message):
        randomization_test(panel_of(wedge_frame()), "force", **options)


def test_the_published_order_of_a_wedge_is_found_among_all_its_orders(wedge, references):
    orders = np.array(list(itertools.permutations(range(4, 21, 2))), dtype=np.int16)
    ours = randomization_test(wedge, "force", allocation=orders, draws="exact")
    assert ours.p_value == references["sw9x24/exact_RI/0"]["value"] == 34051 / 362880


def test_the_score_of_5537_officers_agrees_with_refits(chicago_main):
    starts = chicago_main.frame.drop_duplicates("unit")["starts"].to_numpy()
    draws = np.random.default_rng(1).permuted(np.tile(starts, (499, 1)), axis=1)
    ours = randomization_test(chicago_main, "force", allocation=draws)
    assert ours.estimate == pytest.approx(poisson(chicago_main, "force").estimate, abs=0.003)
    assert ours.p_value > 0.2
