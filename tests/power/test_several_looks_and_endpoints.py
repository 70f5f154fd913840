"""Endpoints, arms, looks and priors: one method against another, by quadrature and by simulation."""

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import multivariate_normal, norm

import rct
from rct import RctError, power
from rct.randomization.smallest_p import smallest_p_value

CORRELATION = np.array([[1, 0.6, 0.4], [0.6, 1, 0.5], [0.4, 0.5, 1]])
PROCEDURES = ("none", "bonferroni", "holm", "hochberg", "max-t", "step-down-max-t", "fixed-sequence")


def test_dunnett_is_max_t_of_equal_correlations():
    equal = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    arms = power.dunnett([2.8, 2.0, 1.0])
    endpoints = power.endpoints([2.8, 2.0, 1.0], equal, procedure="max-t")
    assert endpoints.power == pytest.approx(arms.power, abs=1e-9)
    assert (endpoints.any, endpoints.all) == pytest.approx((arms.any, arms.all), abs=1e-9)
    assert power.max_critical_value(equal) == pytest.approx(arms.critical_value, abs=1e-9)


@pytest.mark.parametrize("procedure", PROCEDURES)
@pytest.mark.parametrize("sides", [1, 2])
def test_endpoints_have_their_simulated_power(procedure, sides):
    z = np.random.default_rng(1).multivariate_normal([2.8, 2.0, 0.5], CORRELATION, size=40_000)
    size = np.abs(z) if sides == 2 else z
    p = sides * norm.sf(size)
    order = np.argsort(p, axis=1)
    ordered = np.take_along_axis(p, order, axis=1)
    if procedure in ("none", "bonferroni"):
        rejected = p <= 0.05 / (3 if procedure == "bonferroni" else 1)
    elif procedure == "fixed-sequence":
        rejected = np.logical_and.accumulate(p <= 0.05, axis=1)
    elif procedure == "max-t":
        rejected = size >= power.max_critical_value(CORRELATION, sides=sides)
    else:
        passed = ordered <= 0.05 / np.array([3, 2, 1])
        if procedure == "step-down-max-t":
            critical = {
                kept: power.max_critical_value(CORRELATION[np.ix_(kept, kept)], sides=sides)
                for kept in [(0, 1, 2), (0, 1), (0, 2), (1, 2), (0,), (1,), (2,)]
            }
            passed = np.array(
                [
                    [size[i, row[j]] >= critical[tuple(sorted(row[j:].tolist()))] for j in range(3)]
                    for i, row in enumerate(order)
                ]
            )
        if procedure == "hochberg":
            fallen = np.logical_or.accumulate(passed[:, ::-1], axis=1)[:, ::-1]
        else:
            fallen = np.logical_and.accumulate(passed, axis=1)
        rejected = np.zeros_like(passed)
        np.put_along_axis(rejected, order, fallen, axis=1)
    answer = power.endpoints([2.8, 2.0, 0.5], CORRELATION, procedure=procedure, sides=sides)
    assert answer.power == pytest.approx(rejected.mean(axis=0), abs=0.01)
    assert answer.any == pytest.approx(rejected.any(axis=1).mean(), abs=0.01)
    assert answer.all == pytest.approx(rejected.all(axis=1).mean(), abs=0.01)
    assert answer.expected == pytest.approx(rejected.sum(axis=1).mean(), abs=0.02)


@pytest.mark.parametrize(
    ("correlation", "message"),
    [([[1, 0.5]], "3 × 3"), (np.ones((3, 3)), "positive definite"), (2 * np.eye(3), "diagonal")],
)
def test_correlations_that_are_none_are_refused(correlation, message):
    with pytest.raises(RctError, match=message):
        power.endpoints([1, 1, 1], correlation)


@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock", "lan-demets-pocock"])
@pytest.mark.parametrize("sides", [1, 2])
def test_bounds_spend_alpha_by_the_multivariate_normal_too(kind, sides):
    trial = power.group_sequential([0.3, 0.6, 1], kind=kind, sides=sides, alpha=0.05)
    t = np.array(trial.information)
    correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    lower = -np.array(trial.bounds) if sides == 2 else np.full(3, -np.inf)
    law = multivariate_normal(cov=correlation, abseps=1e-7, releps=1e-7, maxpts=10**6, seed=1)
    assert 1 - law.cdf(trial.bounds, lower_limit=lower) == pytest.approx(0.05, abs=2e-5)
    assert trial.alpha_spent[-1] == pytest.approx(0.05, abs=1e-9)


def test_a_group_sequential_trial_comes_out_as_it_is_simulated():
    trial = power.group_sequential(4, kind="lan-demets-obrien-fleming", power=0.8)
    rng = np.random.default_rng(2)
    steps = rng.normal(trial.drift / 4, 0.5, size=(200_000, 4))
    z = steps.cumsum(axis=1) / np.sqrt(trial.information)
    crossed = z > np.array(trial.bounds)
    stop = np.where((np.abs(z) > trial.bounds).any(axis=1), (np.abs(z) > trial.bounds).argmax(axis=1), 3)
    assert crossed.any(axis=1).mean() == pytest.approx(0.8, abs=0.004)
    mean_stop = np.array(trial.information)[stop].mean()
    assert trial.expected_information / trial.inflation == pytest.approx(mean_stop, abs=0.003)


def test_inflation_and_expected_information_are_those_that_sas_prints():
    """SAS/STAT, The SEQDESIGN Procedure, "Creating Two-Sided Pocock and O'Brien-Fleming Designs"."""
    trial = power.group_sequential(4, kind="pocock", alpha=0.05, power=0.9)
    percent = [
        100 * x for x in (trial.inflation, trial.expected_information_null, trial.expected_information)
    ]
    assert percent == pytest.approx([118.3143, 115.6074, 69.74805], rel=1e-6)


@pytest.mark.parametrize(("looks", "information"), [(2, 169.32), (5, 172.57), (10, 174.42)])
def test_looks_cost_the_information_that_sas_prints(looks, information):
    """SAS/STAT, The SEQDESIGN Procedure, summary of sequential designs: a fixed one has 168.12.

    That is (1.96 + 1.28)² for an alternative reference of .25.
    """
    fixed = (norm.ppf(0.975) + norm.ppf(0.9)) ** 2 / 0.25**2
    assert fixed == pytest.approx(168.12, abs=0.005)
    trial = power.group_sequential(looks, kind="obrien-fleming", power=0.9)
    assert trial.inflation * fixed == pytest.approx(information, abs=0.005)


def test_families_of_boundaries_meet():
    obrien = power.group_sequential(3, kind="obrien-fleming").bounds
    assert power.group_sequential(3, kind="wang-tsiatis", parameter=0).bounds == pytest.approx(obrien)
    pocock = power.group_sequential(3, kind="pocock").bounds
    assert power.group_sequential(3, kind="wang-tsiatis", parameter=0.5).bounds == pytest.approx(pocock)
    linear = power.group_sequential(3, kind="kim-demets", parameter=1).bounds
    assert power.group_sequential(3, kind="hwang-shih-decani", parameter=0).bounds == pytest.approx(linear)
    assert power.group_sequential(1, kind="pocock").inflation == pytest.approx(1)


def test_the_two_sided_convention_is_a_half_for_each_side():
    assert power.group_sequential(2).bounds[0] == pytest.approx(2.963, abs=5e-4)


def test_a_first_look_that_may_hardly_spend_anything_has_a_bound():
    assert 20 < power.group_sequential([0.01, 1], kind="lan-demets-obrien-fleming").bounds[0] < 30


@pytest.mark.parametrize(
    ("information", "options", "message"),
    [
        ([0.5, 0.4, 1], {}, "must increase"),
        ([0.5, 0.9], {}, "must increase from above 0 to 1"),
        (0, {}, "one look"),
        (2, {"kind": "kim-demets"}, "needs its parameter"),
        (2, {"kind": "pocock", "parameter": 1}, "has no parameter"),
    ],
)
def test_looks_without_a_boundary_are_refused(information, options, message):
    with pytest.raises(RctError, match=message):
        power.group_sequential(information, **options)


def test_one_look_left_has_its_closed_form():
    z, t, c, drift = 1.2, 0.5, 1.977, 2.8
    expected = ndtr((z * math.sqrt(t) + drift * (1 - t) - c) / math.sqrt(1 - t))
    found = power.conditional_power(z, information=[t, 1], bounds=[c], drift=drift)
    assert found == pytest.approx((expected,))


def test_predictive_power_is_conditional_power_averaged_over_the_posterior():
    x, t, v, c, m, s = 0.2, 0.4, 0.0145, 1.98, 0.1, 0.2
    precision = t / v + 1 / s**2
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    effects = (x * t / v + m / s**2) / precision + nodes / math.sqrt(precision)
    now = x / math.sqrt(v / t)
    conditional = [
        power.conditional_power(now, information=[t, 1], bounds=[c], drift=effect / math.sqrt(v))[0]
        for effect in effects
    ]
    found = power.predictive_power(
        x, information_fraction=t, final_variance=v, final_bound=c, prior_mean=m, prior_sd=s
    )
    assert found == pytest.approx(np.dot(weights, conditional) / math.sqrt(2 * math.pi), abs=1e-9)


def test_interim_questions_without_an_answer_are_refused():
    with pytest.raises(RctError, match="a bound for each later"):
        power.conditional_power(1, information=[0.5, 1], bounds=[2, 2])
    with pytest.raises(RctError, match="must increase"):
        power.conditional_power(1, information=[0.5, 0.8], bounds=[2])
    with pytest.raises(RctError, match="its mean and its sd"):
        power.predictive_power(0.1, information_fraction=0.5, final_variance=0.1, final_bound=2, prior_mean=0)


@pytest.mark.parametrize("side", ["decrease", "increase"])
def test_assurance_of_a_posterior_is_the_share_of_simulated_ones(side):
    rng = np.random.default_rng(3)
    mean, sd, v, m0, s0 = -0.25, 0.15, 0.02, 0.05, 0.4
    x = rng.normal(rng.normal(mean, sd, 400_000), math.sqrt(v))
    precision = 1 / v + 1 / s0**2
    below = ndtr(-(x / v + m0 / s0**2) / precision * math.sqrt(precision))
    shown = (below if side == "decrease" else 1 - below) >= 0.9
    found = power.posterior_assurance(
        prior_mean=mean, prior_sd=sd, variance=v, analysis_mean=m0, analysis_sd=s0, probability=0.9, side=side
    )
    assert found == pytest.approx(shown.mean(), abs=0.003)


def test_a_flat_posterior_and_a_one_sided_test_are_one():
    prior = {"prior_mean": -0.2, "prior_sd": 0.1}
    flat = power.posterior_assurance(**prior, variance=0.02, probability=0.975)
    assert flat == pytest.approx(power.normal_assurance(**prior, unit_variance=0.02).assurance)


def test_no_study_has_more_assurance_than_the_prior():
    with pytest.raises(RctError, match="prior probability of a decrease is 0.9772"):
        power.normal_assurance(prior_mean=-0.2, prior_sd=0.1, unit_variance=1, n=None, assurance=0.98)


WEDGE = """
format = 1
name = "wedge"
[units]
randomize = "squad"
measure = "squad"
id = "squad"
[arms]
control = "usual"
treatments = ["ICAT"]
[schedule]
kind = "{kind}"
periods = 8
{schedule}
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
"""


@pytest.mark.parametrize(
    ("kind", "schedule", "clusters", "strata"),
    [
        ("stepped-wedge", "baseline = 2\nstep = 1\nper_step = 2", 8, [[2, 2, 2, 2]]),
        ("stepped-wedge", "baseline = 2\nstep = 2\nper_step = 3", 6, [[3, 3]]),
        ("parallel", "baseline = 2", 6, [[3, 3]]),
        ("parallel", "baseline = 2", 7, [[3, 4]]),
    ],
)
def test_the_smallest_p_of_a_plan_is_that_of_its_allocation(kind, schedule, clusters, strata):
    import pandas as pd

    trial = rct.Trial.parse(WEDGE.format(kind=kind, schedule=schedule))
    roster = pd.DataFrame({"squad": [f"{i}" for i in range(clusters)]})
    allocation = rct.randomize(trial, roster, seed="a plan")
    planned = power.attainable_p(strata)
    drawn = 2 if strata == [[3, 4]] else 1  # which arm gets the odd cluster is drawn too
    assert allocation.space == drawn * planned.allocations
    assert planned.p_value == pytest.approx(smallest_p_value(allocation))


def test_plans_without_two_sequences_are_refused():
    with pytest.raises(RctError, match="two sequences"):
        power.attainable_p([[3]])
    with pytest.raises(RctError, match="whole number"):
        power.attainable_p([[3, 0.5]])
