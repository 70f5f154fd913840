"""Counts in clusters × periods: the Louisville-like wedge, its limits, and questions without an answer."""

import math

import numpy as np
import pytest

from rct import RctError, power

WEDGE = [[0] * (12 + step) + [1] * (12 - step) for step in range(9)]
SLOWER = [[0] * (3 + 2 * step) + [1] * (21 - 2 * step) for step in range(9)]
LOUISVILLE = {"units": 600 / 9, "cluster_sd": 0.15, "cluster_period_sd": 0.10, "shape": 0.6}


# Computed by another program: sandwich of two-way fixed effects by the normal, the noncentral and the
# shifted t on 7 df, GLS at the alternative, GLS at the control rate.
@pytest.mark.parametrize(
    ("rate", "ratio", "powers"),
    [
        (0.05, 0.75, (0.356, 0.280, 0.235, 0.371, 0.414)),
        (0.05, 0.719, (0.439, 0.345, 0.299, 0.456, 0.515)),
        (0.02, 0.75, (0.174, 0.143, 0.115, 0.185, 0.206)),
        (0.02, 0.60, (0.399, 0.314, 0.268, 0.428, 0.522)),
        (0.012, 0.64, (0.217, 0.175, 0.141, 0.237, 0.283)),
    ],
)
def test_the_louisville_wedge_has_the_powers_of_another_program(rate, ratio, powers):
    fixed = {"estimator": "fixed-effects"}
    found = [
        power.count_design(WEDGE, rate=rate, ratio=ratio, **LOUISVILLE, **options).power
        for options in (
            fixed,
            fixed | {"distribution": "noncentral-t"},
            fixed | {"distribution": "shifted-t"},
            {},
        )
    ]
    at_control = power.count_variance(WEDGE, rate=rate, **LOUISVILLE)
    found.append(power.rejection_probability(math.log(ratio) / math.sqrt(at_control)))
    assert found == pytest.approx(powers, abs=0.0007)


def test_the_schedule_alone_turns_a_third_into_a_half():
    plan = {"rate": 0.05, "ratio": 0.75, "estimator": "fixed-effects", **LOUISVILLE}
    assert power.count_design(SLOWER, **plan).power == pytest.approx(0.500, abs=0.0006)
    t = power.count_design(SLOWER, **plan, distribution="noncentral-t")
    assert t.power == pytest.approx(0.395, abs=0.0006)


def test_at_the_control_rate_it_is_the_variance_of_means_with_the_implied_correlations():
    rate, n = 0.05, 600 / 9
    within, cluster, period, person = 1 / rate, 0.15**2, 0.10**2, 1 / 0.6
    total = within + cluster + period + person
    icc, cac = (cluster + period) / total, cluster / (cluster + period)
    variance = power.cluster_variance(
        WEDGE, cell_size=n, icc=icc, cac=cac, iac=person / (person + within), total_variance=total
    )
    assert power.count_variance(WEDGE, rate=rate, **LOUISVILLE) == pytest.approx(variance, rel=1e-10)


def expected_information(treatment, means):
    """Give the covariance of the treatment's coefficients by the information of the whole Poisson model."""
    clusters, periods = means.shape
    cluster, period = np.indices(means.shape)
    effects = [(cluster == k).ravel() for k in range(clusters)]
    effects += [(period == t).ravel() for t in range(1, periods)]
    X = np.column_stack([treatment.reshape(means.size, -1), *effects]).astype(float)
    covariance = np.linalg.inv(X.T @ (X * means.ravel()[:, np.newaxis]))
    terms = treatment.reshape(means.size, -1).shape[1]
    return covariance[:terms, :terms]


def test_without_random_effects_fixed_effects_have_the_inverse_of_the_expected_information():
    doses = np.array(SLOWER, dtype=float)
    expected = expected_information(doses, 66 * 0.05 * 0.75**doses)[0, 0]
    found = power.count_variance(SLOWER, units=66, rate=0.05, ratio=0.75, estimator="fixed-effects")
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("average", [(1, 1), (1, 6), (4, 9), (1, 12)])
def test_a_mean_over_exposure_times_has_the_variance_of_a_model_with_all_of_them(average):
    doses = np.array(WEDGE, dtype=float)
    times = np.arange(1, 13)
    terms = doses.cumsum(axis=1)[:, :, np.newaxis] == times
    covariance = expected_information(terms, 66 * 0.05 * 0.75**doses)
    weights = ((times >= average[0]) & (times <= average[1])) / (average[1] - average[0] + 1)
    found = power.count_variance(
        WEDGE, units=66, rate=0.05, ratio=0.75, estimator="fixed-effects", average=average
    )
    assert found == pytest.approx(weights @ covariance @ weights, rel=1e-8)


def test_one_period_is_a_comparison_of_two_rates():
    arms = power.count_design([[0], [1]] * 20, units=15, rate=0.05, ratio=0.75, exposure=12)
    assert arms.power == pytest.approx(power.rates(rate=0.05, ratio=0.75, n=300, exposure=12).power)


def test_a_rate_for_each_period_is_a_trend():
    trend = power.count_variance(WEDGE, rate=0.05, trend=-0.01, ratio=0.8, **LOUISVILLE)
    rates = 0.05 * np.exp(-0.01 * np.arange(24))
    assert power.count_variance(WEDGE, rate=rates, ratio=0.8, **LOUISVILLE) == pytest.approx(trend)


@pytest.mark.parametrize("side", ["decrease", "increase"])
def test_a_solved_ratio_is_the_one_nearest_one(side):
    answer = power.count_design(WEDGE, rate=0.05, power=0.6, side=side, **LOUISVILLE)
    nearer = power.count_design(WEDGE, rate=0.05, ratio=answer.ratio**0.9, **LOUISVILLE)
    again = power.count_design(WEDGE, rate=0.05, ratio=answer.ratio, **LOUISVILLE)
    assert (answer.ratio < 1) == (side == "decrease")
    assert nearer.power < 0.6 == pytest.approx(again.power, abs=1e-9)


def test_units_and_copies_are_solved():
    plan = {"rate": 0.05, "ratio": 0.75, **LOUISVILLE}
    units = power.count_design(WEDGE, **plan | {"units": None}, power=0.5).units
    assert power.count_design(WEDGE, **plan | {"units": units}).power == pytest.approx(0.5)
    copies = power.count_design(WEDGE, **plan, copies=None, power=0.8).copies
    several = [power.count_design(WEDGE, **plan, copies=c).power for c in (copies - 1, copies)]
    assert several[0] < 0.8 <= several[1]


def test_few_events_are_told():
    assert "below 40" in power.count_design(WEDGE, units=2, rate=0.02, ratio=0.7).warning
    assert power.count_design(WEDGE, rate=0.05, ratio=0.75, **LOUISVILLE).warning == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0.05}, "exactly one"),
        ({"rate": 0.05, "ratio": 0.8, "average": (1, 13)}, "run from 1 to 12"),
        ({"rate": 0.05, "ratio": 0.95, "units": None, "power": 0.9}, "with any number it stays below"),
        ({"rate": 0.05, "ratio": 1.0, "units": None, "power": 0.9}, "no effect"),
        ({"rate": 0.0001, "power": 0.9}, "no decrease reaches power"),
        ({"rate": [0.05, 0.05], "ratio": 0.8}, "one per period"),
        ({"rate": -0.05, "ratio": 0.8}, "rate must be a positive number"),
        ({"rate": 0.05, "ratio": 0.8, "cluster_sd": -1}, "may not be negative"),
        (
            {"rate": 0.05, "ratio": 0.8, "critical": "null", "distribution": "noncentral-t"},
            "normal critical value",
        ),
    ],
)
def test_questions_without_an_answer_are_refused(arguments, message):
    with pytest.raises(RctError, match=message):
        power.count_design(WEDGE, **LOUISVILLE | arguments)
