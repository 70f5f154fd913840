"""Means, proportions and whole clusters in two arms: against other tools, and their solved quantities."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
from statsmodels.stats.power import FTestAnovaPower, TTestIndPower

from rct import RctError, power


@pytest.mark.parametrize("n", [4, 30, 5_000, 2_000_000])
@pytest.mark.parametrize("alternative", ["two-sided", "larger"])
def test_power_of_means_is_statsmodels_and_a_number_however_large_the_signal(n, alternative):
    expected = TTestIndPower().power(0.4, n, 0.05, ratio=1.5, alternative=alternative)
    found = power.means(effect=0.4, n=n, control_per_treated=1.5, alternative=alternative).power
    assert found == pytest.approx(1.0 if np.isnan(expected) else expected, abs=1e-10)


def test_power_of_several_arms_is_statsmodels():
    expected = FTestAnovaPower().power(0.2, 120, 0.05, k_groups=4)
    assert power.arm_means(arms=4, n=30, f=0.2).power == pytest.approx(expected, rel=1e-9)


def test_leaving_out_the_far_tail_matters_for_small_effects():
    assert power.means(effect=0.1, n=12).power == pytest.approx(0.0563, abs=5e-5)
    assert power.means(effect=0.1, n=12, far_tail=False).power == pytest.approx(0.0422, abs=5e-5)


@pytest.mark.parametrize(
    ("function", "arguments", "unknown"),
    [
        (power.means, {"effect": -0.4, "n": 60, "sd": 1.3, "alternative": "smaller"}, ("effect", "n")),
        (power.paired_means, {"effect": 0.4, "pairs": 60}, ("effect", "pairs")),
        (power.arm_means, {"arms": 3, "n": 40, "f": 0.25}, ("n", "f")),
        (power.proportions, {"control": 0.3, "treated": 0.2, "n": 200}, ("treated", "n")),
        (power.cluster_means, {"effect": 0.3, "clusters": 8, "cell_size": 40, "icc": 0.03, "cv": 0.4},
         ("effect", "clusters")),
        (power.cluster_proportions,
         {"control": 0.3, "treated": 0.2, "clusters": 9, "cell_size": 50, "icc": 0.02}, ("clusters",)),
        (power.one_clustered_arm,
         {"effect": 0.4, "clusters": 8, "cell_size": 15, "controls": 120, "cluster_variance": 0.05,
          "within_variance": 0.95}, ("effect", "clusters")),
        (power.hayes_bennett, {"control": 0.05, "treated": 0.04, "size": 800, "cv_between": 0.1,
                               "clusters": 20}, ("clusters",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_a_solved_quantity_has_the_power_it_was_solved_for(function, arguments, unknown):
    for name in unknown:
        answer = function(**arguments | {name: None}, power=0.7)
        again = function(**arguments | {name: getattr(answer, name)})
        assert again.power == pytest.approx(0.7, abs=1e-8), name


def test_a_parallel_trial_is_a_design_of_one_period():
    arms = power.cluster_means(effect=0.25, clusters=7, cell_size=30, icc=0.04)
    design = power.cluster_design(
        [[0], [1]] * 7, effect=0.25, cell_size=30, icc=0.04, distribution="noncentral-t"
    )
    assert (arms.power, arms.variance) == pytest.approx((design.power, design.variance))


def test_optimal_weights_are_those_of_generalized_least_squares():
    sizes = [30, 45, 52, 60, 61, 66, 75, 80, 120]
    design, both = [[0]] * 9 + [[1]] * 9, sizes + sizes
    variance = power.cluster_variance(design, cell_size=both, icc=0.02)
    assert power.design_effect(sizes, icc=0.02) == pytest.approx(variance / 2 * sum(sizes))
    cv = np.std(sizes) / np.mean(sizes)
    near = power.design_effect(np.mean(sizes), icc=0.02, cv=cv)
    assert near == pytest.approx(power.design_effect(sizes, icc=0.02), rel=0.01)


ANSWERS = [
    (power.rates, {"rate": 0.05, "ratio": 0.8, "n": 99}),
    (power.rates_equivalence, {"rate": 0.05, "margins": (0.5, 2), "n": 99}),
    (power.means, {"effect": 1, "n": 9}),
    (power.paired_means, {"effect": 1, "pairs": 9}),
    (power.arm_means, {"arms": 3, "n": 9, "f": 0.2}),
    (power.proportions, {"control": 0.2, "treated": 0.1, "n": 99}),
    (power.cluster_means, {"effect": 1, "clusters": 3, "cell_size": 9, "icc": 0.1}),
    (power.cluster_proportions,
     {"control": 0.2, "treated": 0.1, "clusters": 9, "cell_size": 9, "icc": 0.1}),
    (power.one_clustered_arm,
     {"effect": 1, "clusters": 3, "cell_size": 9, "controls": 20, "cluster_variance": 0.1,
      "within_variance": 1}),
    (power.hayes_bennett, {"control": 0.2, "treated": 0.1, "size": 90, "cv_between": 0.1, "clusters": 5}),
    (power.cluster_design, {"design": [[0], [1]], "effect": 1, "cell_size": 9, "icc": 0.1}),
    (power.count_design, {"design": [[0], [1]], "units": 9, "rate": 1, "ratio": 0.8}),
    (power.binary_design,
     {"design": [[0], [1]], "p_start": 0.2, "p_end_control": 0.2, "p_end_treated": 0.1, "cell_size": 9,
      "within": 0.1, "between": 0.05}),
    (power.endpoints, {"expected_z": [2, 2], "correlation": [[1, 0.5], [0.5, 1]]}),
    (power.dunnett, {"expected_z": [2, 2]}),
    (power.group_sequential, {"information": (0.5, 1)}),
    (power.normal_assurance, {"prior_mean": -0.2, "prior_sd": 0.1, "unit_variance": 0.01}),
    (power.type_s_m, {"effect": 1, "std_error": 1}),
    (power.attainable_p, {"strata": [[3, 3]]}),
]  # fmt: skip


CHOICES = {
    "test": "wold", "alternative": "less", "side": "down", "method": "exact", "weights": "equal",
    "distribution": "t", "estimator": "gee", "critical": "both", "link": "probit", "procedure": "tukey",
    "sides": 3, "kind": "haybittle", "outcome": "count",
}  # fmt: skip


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (function, arguments, name)
        for function, arguments in ANSWERS
        for name in CHOICES
        if name in inspect.signature(function).parameters
    ],
)
def test_a_misspelt_choice_is_refused(function, arguments, name):
    with pytest.raises(RctError, match=f"^{name} is one of "):
        function(**arguments | {name: CHOICES[name]})


@pytest.mark.parametrize(("function", "arguments"), ANSWERS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_number_is_refused(function, arguments):
    numbers = [name for name, value in arguments.items() if isinstance(value, (int, float))]
    for name in numbers:
        with pytest.raises(RctError):
            function(**arguments | {name: math.nan})


@pytest.mark.parametrize(("function", "arguments"), ANSWERS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_answer_is_frozen_and_bears_every_argument(function, arguments):
    answer = function(**arguments)
    assert [name for name in inspect.signature(function).parameters if not hasattr(answer, name)] == []
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.alpha = 0.5
    for name, value in arguments.items():
        assert np.array_equal(np.array(getattr(answer, name), dtype=float), np.array(value, dtype=float))


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (power.means, {"effect": 0, "power": 0.8}, "no number of units"),
        (power.means, {"effect": 0.1, "n_control": 20, "power": 0.8}, "add control units"),
        (power.proportions, {"control": 1.2, "treated": 0.1, "n": 9}, "between 0 and 1"),
        (power.proportions, {"control": 0.02, "n": 9, "power": 0.9}, "no decrease reaches"),
        (power.cluster_means, {"effect": 1, "clusters": 1, "cell_size": 9, "icc": 0.1}, "more than one"),
        (power.cluster_means,
         {"effect": 1, "clusters": 3, "cell_size": 9, "icc": 0.1, "cv": 1, "baseline": True}, "no formula"),
        (power.hayes_bennett,
         {"control": 2, "treated": 1, "size": 9, "cv_between": 0.1, "power": 0.8, "outcome": "mean"},
         "needs the sd"),
        (power.hayes_bennett,
         {"control": 2, "treated": 1, "size": 9, "cv_between": 0.1, "clusters": 2, "matched": True},
         "more than 2 clusters"),
        (power.one_clustered_arm,
         {"effect": 0.2, "cell_size": 9, "controls": 20, "cluster_variance": 0.1, "within_variance": 1,
          "power": 0.9}, "add controls"),
        (power.type_s_m, {"effect": 0, "std_error": 1}, "may not be 0"),
        (power.arm_means, {"arms": 1, "n": 9, "f": 0.1}, "two arms"),
        (power.arm_means, {"arms": 2.5, "n": 9, "f": 0.1}, "a whole number"),
        (power.paired_means, {"effect": 1, "pairs": 1}, "more than one pair"),
        (power.means, {"effect": 1, "n": math.inf}, "positive number"),
    ],
)  # fmt: skip
def test_questions_without_an_answer_are_refused(function, arguments, message):
    with pytest.raises(RctError, match=message):
        function(**arguments)


def test_binary_designs_refuse_impossible_means():
    with pytest.raises(RctError, match="outside"):
        power.binary_design(
            [[1, 0], [0, 0]], p_start=0.9, p_end_control=0.2, p_end_treated=0.5, cell_size=9, within=0.1,
            between=0.05, link="identity",
        )  # fmt: skip


def test_a_binary_design_of_one_period_is_a_comparison_of_proportions_of_clusters():
    design = power.binary_design(
        [[0], [1]] * 8, p_start=0.3, p_end_control=0.3, p_end_treated=0.2, cell_size=50, within=0.02,
        between=0.01, link="identity",
    )  # fmt: skip
    arms = power.cluster_proportions(
        control=0.3, treated=0.2, clusters=8, cell_size=50, icc=0.02, distribution="normal"
    )
    assert design.power == pytest.approx(arms.power, rel=1e-9)
