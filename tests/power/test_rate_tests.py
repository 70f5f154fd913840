"""Tests of two rates: against statsmodels, against exact enumeration, and their solved quantities."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, poisson
from statsmodels.stats.rates import power_negbin_ratio_2indep, power_poisson_ratio_2indep

from rct import RctError, power

GRID = [(300, 300, 0.75), (200, 400, 0.8), (400, 150, 1.3)]


@pytest.mark.parametrize(("n", "n_control", "ratio"), GRID)
@pytest.mark.parametrize("dispersion", [0, 0.8])
@pytest.mark.parametrize(("test", "method"), [("wald", "alt"), ("score", "score")])
def test_powers_are_those_of_statsmodels(n, n_control, ratio, dispersion, test, method):
    theirs = {
        "rate1": 0.05 * ratio, "rate2": 0.05, "nobs1": n, "nobs_ratio": n_control / n, "exposure": 12,
        "value": 1, "alternative": "two-sided", "method_var": method, "return_results": False,
    }  # fmt: skip
    expected = (
        power_negbin_ratio_2indep(**theirs, dispersion=dispersion)
        if dispersion
        else power_poisson_ratio_2indep(**theirs)
    )
    found = power.rates(
        rate=0.05, ratio=ratio, n=n, n_control=n_control, exposure=12, dispersion=dispersion, test=test
    )
    assert found.power == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("control_events", [60, 100, 160])
@pytest.mark.parametrize("ratio", [0.7, 0.85])
@pytest.mark.parametrize("control_per_treated", [0.5, 1])
def test_with_forty_events_in_each_group_the_formulas_are_as_near_as_their_docstring_says(
    control_events, ratio, control_per_treated
):
    study = {"rate": control_events / 100, "ratio": ratio, "n": 100 / control_per_treated, "n_control": 100}
    score, wald = (power.rates_exact(**study, test=test) for test in ("score", "wald-log"))
    assert power.rates(**study, test="pooled-difference").power == pytest.approx(score, abs=0.007)
    assert power.rates(**study, test="score").power == pytest.approx(score, abs=0.05)
    assert power.rates(**study).power == pytest.approx(wald, abs=0.03)


@pytest.mark.parametrize(
    ("study", "powers"),
    [
        ((60, 60, 6, 0.5), (0.397, 0.441, 0.410, 0.394, 0.423, 0.334)),
        ((300, 300, 12, 0.75), (0.715, 0.721, 0.718, 0.718, 0.719, 0.700)),
        ((40, 80, 12, 0.6), (0.398, 0.480, 0.397, 0.393, 0.404, 0.383)),
    ],
)
def test_formulas_and_exact_tests_are_those_of_another_program(study, powers):
    n, n_control, exposure, ratio = study
    sizes = {"rate": 0.05, "ratio": ratio, "n": n, "n_control": n_control, "exposure": exposure}
    found = [power.rates(**sizes, test=test).power for test in ("wald", "score", "pooled-difference")]
    found += [power.rates_exact(**sizes, test=test) for test in ("wald-log", "score", "conditional")]
    assert found == pytest.approx(powers, abs=0.0006)


def test_the_conditional_test_rejects_where_scipys_binomial_test_does():
    treated, control, d = 3.0, 4.0, 0.5
    expected = sum(
        poisson.pmf(y1, treated) * poisson.pmf(y0, control)
        for y1 in range(22)
        for y0 in range(25)
        if y1 + y0 and binomtest(y1, y1 + y0, d / (1 + d)).pvalue <= 0.05
    )
    found = power.rates_exact(rate=1, ratio=1.5, n=2, n_control=4, test="conditional")
    assert found == pytest.approx(expected, abs=1e-8)


def test_the_constrained_rates_are_maximum_likelihood():
    from scipy.optimize import minimize_scalar

    from rct.power.rate_tests import effect_and_spreads

    n, n0, mu0, mu1, k, null = 900, 450, 0.6, 0.6, 1.2, 1.3

    def minus_log_likelihood(mu):
        groups = ((n, mu1, null * mu), (n0, mu0, mu))
        return -sum(m * (y * math.log(at) - (y + 1 / k) * math.log1p(k * at)) for m, y, at in groups)

    best = minimize_scalar(minus_log_likelihood, bounds=(0.1, 2), method="bounded", options={"xatol": 1e-10})
    expected = math.sqrt((1 / (null * best.x) + k) / n + (1 / best.x + k) / n0)
    _, found, _ = effect_and_spreads(
        rate=0.05, ratio=1.0, n=n, n_control=n0, exposure=12, dispersion=k, variance_factor=1,
        null_ratio=null, test="score",
    )  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("test", ["wald", "score", "total", "reference", "difference", "pooled-difference"])
@pytest.mark.parametrize("unknown", ["n", "ratio"])
def test_a_solved_quantity_has_the_power_it_was_solved_for(test, unknown):
    study = {"rate": 0.05, "ratio": 0.75, "n": 300, "exposure": 12, "dispersion": 0.5, "test": test}
    study["control_per_treated"] = 2
    answer = power.rates(**study | {unknown: None}, power=0.7)
    again = power.rates(**study | {unknown: getattr(answer, unknown)})
    assert answer.n_control == pytest.approx(2 * answer.n)
    assert again.power == pytest.approx(0.7, abs=1e-9)


def test_non_inferiority_and_equivalence_are_solved():
    safe = power.rates(
        rate=0.05, ratio=1, exposure=12, power=0.9, alpha=0.025, alternative="smaller", null_ratio=1.25
    )
    assert power.rates(
        rate=0.05, ratio=1, n=safe.n, exposure=12, alpha=0.025, alternative="smaller", null_ratio=1.25
    ).power == pytest.approx(0.9)
    same = power.rates_equivalence(rate=0.05, margins=(0.8, 1.25), exposure=12, power=0.9)
    again = power.rates_equivalence(rate=0.05, margins=(0.8, 1.25), exposure=12, n=same.n)
    assert again.power == pytest.approx(0.9)
    assert power.rates_equivalence(rate=0.05, margins=(0.8, 1.25), n=10).power == 0


def test_equivalence_power_is_that_of_the_estimates_normal_law():
    draws = np.random.default_rng(1).normal(size=200_000)
    study = {"rate": 0.05, "n": 900, "n_control": 450, "exposure": 12, "dispersion": 0.5}
    se = math.sqrt((1 / 0.6 + 0.5) / 900 + (1 / 0.6 + 0.5) / 450)
    estimate, z = math.log(1.05) + se * draws, 1.6448536
    both = (estimate - z * se > math.log(0.7)) & (estimate + z * se < math.log(1.4))
    found = power.rates_equivalence(**study, ratio=1.05, margins=(0.7, 1.4)).power
    assert found == pytest.approx(both.mean(), abs=4 * math.sqrt(0.25 / 200_000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0.8, "n": 10, "dispersion": -1}, "dispersion may not be negative"),
        ({"ratio": 0.8, "n": 10, "test": "difference", "null_ratio": 1.2}, "null_ratio must be 1"),
        ({"ratio": 1.2, "power": 0.8, "alternative": "smaller"}, "is not smaller than 1"),
        ({"n": 100, "power": 0.8, "alternative": "larger"}, "finds no decrease"),
        (
            {"ratio": 0.8, "n": 10, "test": "score", "variance_factor": 2, "dispersion": 1},
            "variance_factor = 1",
        ),
    ],
)
def test_questions_without_an_answer_are_refused(arguments, message):
    with pytest.raises(RctError, match=message):
        power.rates(rate=0.05, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 10, "ratio": 1, "n": 1000}, "too many to enumerate"),
        ({"rate": 1, "ratio": 1, "n": 10, "test": "fisher"}, "test is one of"),
    ],
)
def test_what_cannot_be_enumerated_is_refused(arguments, message):
    with pytest.raises(RctError, match=message):
        power.rates_exact(**arguments)


def test_equivalence_needs_the_ratio_between_its_margins():
    with pytest.raises(RctError, match="between the margins"):
        power.rates_equivalence(rate=0.05, margins=(0.8, 1.25), ratio=1.3, n=100)
