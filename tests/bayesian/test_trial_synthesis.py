"""Meta-analysis: published output, brute-force integrals, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import rct
from rct.bayesian.trial_synthesis import normal_posterior

# Log rate ratios of four trials and of three published percent changes (their standard errors are invented).
FOUR = pd.DataFrame(
    {"estimate": [-0.31504, -0.43036, -0.03541, 0.20549], "std_error": [0.12470, 0.20345, 0.09266, 0.34960]}
)
THREE = pd.DataFrame(
    {"trial": ["wedge", "decisions", "weeks"], "estimate": np.log1p([-0.281, -0.23, -0.109]),
     "std_error": [0.09, 0.14, 0.04]}
)  # fmt: skip


def test_it_prints_what_bayesmeta_printed():
    """R bayesmeta, y = 11, 13, 16 with standard errors 1, 1, 2, Jeffreys prior of tau, flat mu.

    Its grid of tau leaves out up to 1e-4 of the probability (its epsilon), in a heavy tail: means are met to
    1e-3, and the standard deviation of mu, which does not exist here, is not compared.
    """
    y, s = np.array([11.0, 13.0, 16.0]), np.array([1.0, 1.0, 2.0])

    def jeffreys(tau):
        return np.log((tau[:, None] ** 2 / (s**2 + tau[:, None] ** 2) ** 2).sum(axis=1)) / 2

    effect, _, own, _, _ = normal_posterior(y, s, 0.0, 1e6, jeffreys)
    assert effect.mean == pytest.approx(12.980341, abs=1e-3)
    assert effect.quantile(0.5) == pytest.approx(12.855986, abs=1e-3)
    published = [(11.4133994, 0.9927761, 11.4313117), (12.9395931, 0.9349359, 12.9298433),
                 (14.5880300, 1.8888080, 14.4390610)]  # fmt: skip
    for place, (mean, sd, median) in zip(own, published, strict=True):
        assert place.mean == pytest.approx(mean, abs=1e-3)
        assert place.sd == pytest.approx(sd, abs=1e-3)
        assert place.quantile(0.5) == pytest.approx(median, abs=1e-3)


@pytest.mark.parametrize("tau_prior", [{"half-normal": [0.5]}, {"half-cauchy": [0.3]}])
def test_the_grid_equals_a_double_sum(tau_prior):
    ((kind, (scale,)),) = tau_prior.items()
    of_tau = {"half-normal": stats.halfnorm, "half-cauchy": stats.halfcauchy}[kind]
    y, s = FOUR["estimate"].to_numpy(), FOUR["std_error"].to_numpy()

    def density(mu, x):
        tau = x / (1 - x)
        return (
            stats.norm.pdf(y, mu, np.hypot(s, tau)).prod(axis=-1)
            * (stats.norm.pdf(mu, 0, 0.5) * of_tau.pdf(tau, scale=scale) / (1 - x) ** 2)[..., 0]
        )

    mu, x = np.linspace(-4, 4, 801), (np.polynomial.legendre.leggauss(200)[0] + 1) / 2
    mass = density(mu[:, None, None], x[:, None]) @ np.polynomial.legendre.leggauss(200)[1]

    def integral(function):
        return float((mass * function(mu)).sum())

    whole = integral(np.ones_like)
    found = rct.bayesian.meta(FOUR, priors={"tau": tau_prior})
    mean = integral(lambda mu: mu) / whole
    assert found.effect.mean == pytest.approx(mean, abs=1e-6)
    assert found.effect.sd == pytest.approx((integral(lambda mu: (mu - mean) ** 2) / whole) ** 0.5, abs=1e-6)


def test_student_t_trials_equal_a_brute_force_sum():
    y, s = np.array([-0.3, -0.25, 0.9]), np.array([0.1, 0.15, 0.12])
    found = rct.bayesian.meta(
        pd.DataFrame({"estimate": y, "std_error": s}), priors={"trials": {"student-t": [4]}}
    )
    mu, tau, theta = np.linspace(-1.6, 1.8, 86), np.linspace(0.01, 2.51, 51), np.linspace(-1.5, 2, 351)
    log_density = stats.norm.logpdf(mu, 0, 0.5)[:, None] - tau**2 / 2 / 0.25
    for estimate, error in zip(y, s, strict=True):
        here = stats.norm.pdf(theta, estimate, error)
        between = stats.t.pdf((theta - mu[:, None, None]) / tau[:, None], 4) / tau[:, None]
        log_density = log_density + np.log((between * here).sum(axis=2))
    weight = np.exp(log_density - log_density.max())
    weight[:, 0] /= 2
    weight /= weight.sum()
    mean = float((weight.sum(axis=1) * mu).sum())
    sd = float(np.sqrt((weight.sum(axis=1) * (mu - mean) ** 2).sum()))
    assert found.effect.mean == pytest.approx(mean, abs=0.01 * sd)
    assert found.effect.sd == pytest.approx(sd, rel=0.01)
    new = sum(weight[i] @ stats.t.cdf((0 - mu[i]) / tau, 4) for i in range(len(mu)))
    assert found.new_agency.below(0) == pytest.approx(new, abs=0.003)


def test_an_outlying_trial_moves_the_robust_mean_less():
    frame = pd.DataFrame({"estimate": [-0.3, -0.32, -0.28, -0.31, -0.29, 1.2], "std_error": 0.05})
    plain, robust = (rct.bayesian.meta(frame, priors={"trials": kind})
                     for kind in ({"normal": []}, {"student-t": [3]}))  # fmt: skip
    assert abs(robust.effect.mean + 0.3) < abs(plain.effect.mean + 0.3) / 2
    assert robust.own[-1].mean > 1, "its own estimate is believed of its own place"


def test_with_many_degrees_of_freedom_student_t_is_normal():
    plain, robust = (rct.bayesian.meta(THREE, priors={"trials": kind})
                     for kind in ({"normal": []}, {"student-t": [200]}))  # fmt: skip
    a, b = plain.frame, robust.frame
    for column in ("estimate", "std_error", "conf_low", "conf_high"):
        assert b[column].to_numpy() == pytest.approx(a[column].to_numpy(), abs=0.004), column


def test_a_new_agency_is_less_certain_than_the_mean():
    found = rct.bayesian.meta(THREE)
    table = found.frame.set_index("term")
    assert list(table.index) == ["mean effect", "new agency", "wedge", "decisions", "weeks"]
    assert table["std_error"]["new agency"] > table["std_error"]["mean effect"]
    assert table["probability_reduced"]["new agency"] < table["probability_reduced"]["mean effect"]
    assert abs(table["estimate"]["decisions"] - table["estimate"]["mean effect"]) < abs(
        table["reported"]["decisions"] - table["estimate"]["mean effect"]
    ), "a trial is drawn towards the others"
    assert found.probability(below=0.9) < found.probability()
    assert "prior of tau decides much" in repr(found)


def test_the_posterior_of_earlier_trials_is_a_prior_of_the_next():
    found = rct.bayesian.meta(THREE)
    ((_, (mean, sd)),) = found.as_prior()["effect"].items()
    assert (mean, sd) == (found.new_agency.mean, found.new_agency.sd)


@pytest.mark.parametrize(
    ("frame", "priors", "message"),
    [
        (FOUR.drop(columns="std_error"), None, "lacks std_error"),
        (FOUR.iloc[:0], None, "no row"),
        (FOUR.assign(std_error=0.0), None, "standard error above 0"),
        (FOUR.assign(estimate=np.nan), None, "log rate ratio"),
        (FOUR, {"tau": {"gamma": [1, 1]}}, "tau has no distribution 'gamma'"),
        (FOUR, {"taus": {"half-normal": [1]}}, "did you mean 'tau'"),
        (FOUR, {"tau": False}, "not one distribution"),
    ],
)
def test_what_is_no_trial_and_no_prior_is_refused(frame, priors, message):
    with pytest.raises(rct.RctError, match=message):
        rct.bayesian.meta(frame, priors=priors)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"outcome": ["force", "injury"], "estimate": [-0.2, -0.1], "std_error": 0.1}),
         "outcomes but no column trial"),
        (THREE.assign(trial=["a", "a", "b"]), "trial 'a' stands in several rows"),
        (THREE.assign(scale="difference"), "differences of rates"),
        (THREE.assign(estimate=["-0.1", "a", "b"]), "is no number"),
    ],
)  # fmt: skip
def test_rows_that_are_not_one_log_rate_ratio_a_trial_are_refused(frame, message):
    with pytest.raises(rct.DataError, match=message):
        rct.bayesian.meta(frame)


def test_trials_of_a_t_distribution_without_a_standard_deviation_are_refused():
    with pytest.raises(rct.EstimationError, match=r"student-t: df = 2, but up to 2"):
        rct.bayesian.meta(THREE, priors={"trials": {"student-t": [2]}})


def test_a_start_that_is_no_normal_prior_is_refused():
    with pytest.raises(rct.EstimationError, match="normal takes .mean, sd., not .0.0,."):
        rct.bayesian.earlier_trials(THREE, discount=0.5, start=(0.0,))
