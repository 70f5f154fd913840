"""Prior incidents, other priors and power-scaling beside closed forms."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import rct
from rct.bayesian import check_fit
from rct.bayesian.prior_incidents import prior_incidents
from rct.bayesian.prior_sensitivity import power_scaling, prior_table, scaling_sensitivity
from rct.bayesian.unit_likelihood import unit_log_likelihood
from rct.posterior import Posterior

OFFICERS, MONTHS, DRAWS = 8, 9, 500
SURE = {"effect": {"normal": [0.0, 0.5]}, "intercept": {"normal": [-1.0, 1e-9]}, "period": False,
        "block": False, "cluster_sd": False, "cluster_period_sd": False}  # fmt: skip


@pytest.fixture(scope="module")
def panel():
    """Eight officers of one district each, half of them trained from month 5."""
    rng = np.random.default_rng(4)
    i, month = np.repeat(np.arange(OFFICERS), MONTHS), np.tile(np.arange(1, MONTHS + 1), OFFICERS)
    force = rng.poisson(0.8, len(i))
    frame = pd.DataFrame({
        "officer": [f"o{k}" for k in i], "month": month, "on": ((i % 2 == 1) & (month > 4)).astype(float),
        "force": force, "injury": rng.binomial(force, 0.4), "district": "all",
    })  # fmt: skip
    return rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force", "injury"], treated="on", cluster="district"
    )


def incidents(panel, *, injury=False, **priors):
    found = prior_incidents(SURE | priors, panel, outcome="force", level=0.95, seed=1, injury=injury)
    return [found[name] for name in ("low", "median", "high")]


def test_without_doubt_the_prior_incidents_are_the_rate_times_the_officers(panel):
    assert incidents(panel) == pytest.approx([OFFICERS * np.exp(-1)] * 3)


def test_the_periods_of_a_random_walk_spread_as_an_average_one_of_them_does(panel):
    """Simulated walks, centred: the variance of a period's effect, averaged over the periods."""
    walk = np.random.default_rng(1).normal(0, 0.5, (20_000, MONTHS)).cumsum(axis=1)
    spread = (walk - walk.mean(axis=1, keepdims=True)).std()
    low, median, high = np.log(incidents(panel, period={"random-walk": [0.5]})) - np.log(OFFICERS) + 1
    assert [low, high] == pytest.approx([-1.96 * spread, 1.96 * spread], rel=0.08)
    assert median == pytest.approx(0, abs=0.05)


def test_clusters_spread_by_a_half_normal_sd_times_a_normal(panel):
    """The quantile of |N(0, .3)| N(0, 1) in one district, by simulation of scipy's distributions."""
    product = stats.halfnorm(scale=0.3).rvs(200_000, random_state=1) * stats.norm.rvs(
        size=200_000, random_state=2
    )
    high = np.quantile(product, 0.975)
    found = np.log(incidents(panel, cluster_sd={"half-normal": [0.3]})) - np.log(OFFICERS) + 1
    assert [found[0], found[2]] == pytest.approx([-high, high], rel=0.1)


def test_surplus_zeros_leave_out_their_share(panel):
    found = np.array(incidents(panel, zero_share={"beta": [2.0, 6.0]})) / (OFFICERS * np.exp(-1))
    assert found == pytest.approx(1 - stats.beta(2, 6).ppf([0.975, 0.5, 0.025]), rel=0.05)


def test_injuries_are_a_share_of_force(panel):
    given = {"intercept_given": {"normal": [np.log(0.2), 1e-9]}, "period_given": False}
    expected = 0.2 * OFFICERS * np.exp(-1)
    assert incidents(panel, injury=True, **given) == pytest.approx([expected] * 3, rel=1e-3)


def joint_fit(panel):
    rng = np.random.default_rng(2)
    force, given = rng.normal(-0.3, 0.2, (2, DRAWS)), rng.normal(0.1, 0.25, (2, DRAWS))
    draws = {
        "intercept": (("chain", "draw", "outcome"), rng.normal([-0.3, -1.0], 0.1, (2, DRAWS, 2))),
        "effect": (("chain", "draw", "outcome"), np.stack([force, force + given], axis=2)),
        "effect_given": (("chain", "draw", "injury"), given[..., None]),
        "heterogeneity": (("chain", "draw"), rng.gamma(20, 0.1, (2, DRAWS))),
    }
    facts = {"n_units": OFFICERS, "n_clusters": 1, "baseline": 1.0, "warning": ""}
    return Posterior(
        outcomes=("force", "injury"), arms=tuple(panel.treatments), reference="control", model="joint",
        priors=SURE | {"effect_given": {"normal": [0.05, 0.3]}, "period_given": False,
                       "intercept_given": {"normal": [-1.5, 0.7]}, "heterogeneity": {"gamma": [2.0, 2.0]}},
        diagnostics={"seed": 5, "chains": 2, "draws": DRAWS}, level=0.95,
        meta={name: facts | {"n_events": float(panel.rows(name)["count"].sum())}
              for name in ("force", "injury")},
        source={"posterior": xr.Dataset(draws), "sample_stats": xr.Dataset()},
    )  # fmt: skip


def test_power_scaling_of_an_injury_scales_both_parts_of_its_prior_and_the_whole_likelihood(panel):
    fit = joint_fit(panel)
    (arm,) = fit.arms
    draws = fit.groups["posterior"]
    force, injury = (draws["effect"].isel(outcome=k).to_numpy().ravel() for k in (0, 1))
    prior = stats.norm.logpdf(force, 0, 0.5) + stats.norm.logpdf(injury - force, 0.05, 0.3)
    likelihood = unit_log_likelihood(fit, panel, "injury", most_draws=2 * DRAWS).sum(axis=1)
    found = power_scaling(fit, panel, outcome="injury", arm=arm)
    assert found["prior"] == pytest.approx(scaling_sensitivity(injury, prior))
    assert found["likelihood"] == pytest.approx(scaling_sensitivity(injury, likelihood))
    of_force = power_scaling(fit, panel, outcome="force", arm=arm)
    assert of_force["prior"] == pytest.approx(scaling_sensitivity(force, stats.norm.logpdf(force, 0, 0.5)))
    assert len({round(one, 6) for one in (*found.values(), *of_force.values())}) == 4


def test_the_ratio_hoped_for_makes_the_reference_priors_and_is_a_fall_of_a_fifth_by_default(panel):
    fit = joint_fit(panel)
    (arm,) = fit.arms
    checks = check_fit(fit, panel, hoped={"injury": 0.6}).checks
    means = {
        outcome: {one["prior"]: one["mean"] for one in checks[outcome]["priors"][arm]} for outcome in checks
    }
    assert means["injury"]["enthusiastic"] == pytest.approx(np.log(0.6))
    assert means["force"]["enthusiastic"] == pytest.approx(np.log(0.8))
    assert checks["injury"]["prior_incidents"]["median"] < checks["force"]["prior_incidents"]["median"] / 2


def test_the_prior_as_fitted_gives_the_posterior_itself(panel):
    fit = joint_fit(panel)
    (arm,) = fit.arms
    own = prior_table(fit, outcome="force", arm=arm)[0]
    row = fit.frame.iloc[0]
    assert [own[name] for name in ("estimate", "conf_low", "conf_high", "probability_reduced")] == (
        pytest.approx([row[name] for name in ("estimate", "conf_low", "conf_high", "probability_reduced")])
    )


def test_a_prior_far_from_the_draws_cannot_be_answered_for(panel):
    """Draws at an eighth of the rate: the sceptic's weights are lognormal with a large spread."""
    fit = joint_fit(panel)
    (arm,) = fit.arms
    far = np.random.default_rng(3).normal(-2, 0.1, (2, DRAWS, 2))
    draws = fit.groups["posterior"].assign(effect=(("chain", "draw", "outcome"), far))
    fit = replace(fit, source={"posterior": draws})
    table = {one["prior"]: one for one in prior_table(fit, outcome="force", arm=arm)}
    assert not table["sceptical"]["reliable"]
    assert table["sceptical"]["pareto_k"] >= 0.7
    assert table["as fitted"]["reliable"]
    assert table["half as strong"]["sd"] == pytest.approx(0.5 * 2**0.5), "half the precision"
    assert table["twice as strong"]["sd"] == pytest.approx(0.5 / 2**0.5)


def test_half_of_what_ties_lies_on_either_side():
    from rct.bayesian.predictive_checks import compared

    replicates = np.array([1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0])
    assert compared("largest", 2.0, replicates, 0.95)["tail"] == pytest.approx((1 + 1.5) / 8)
    assert compared("largest", 5.0, replicates, 0.95)["tail"] == pytest.approx(0.5 / 8)
    assert compared("largest", 9.0, replicates, 0.5) | {"tail": 0.0} == {
        "figure": "largest", "observed": 9.0, "median": 3.0, "low": 2.0, "high": 3.0, "tail": 0.0,
    }  # fmt: skip


def test_officers_of_equal_events_are_one_group_of_their_pooled_rates(panel):
    from rct.bayesian import officer_effects
    from rct.bayesian.officer_rates import officer_shrinkage

    fit = joint_fit(panel)
    fit = replace(fit, level=0.5)
    groups = officer_shrinkage(fit, panel, outcome="force")
    table = officer_effects(fit, panel, outcome="force")
    assert sum(one["units"] for one in groups) == OFFICERS
    for one in groups:
        own = table[table["events"].between(one["fewest"], one["most"])]
        assert len(own) == one["units"] >= 3
        assert one["own"] == pytest.approx(own["events"].sum() / own["expected"].sum())
        assert own["rate_ratio"].min() <= one["rate_ratio"] <= own["rate_ratio"].max()
        assert own["ratio_low"].min() <= one["ratio_low"] < one["ratio_high"] <= own["ratio_high"].max()
    high = table.loc[table["events"].idxmax()]
    assert high["probability_above"] > 0.5
    assert high["rank_low"] < table.loc[table["events"].idxmin(), "rank_low"], "rank 1 is the highest rate"
