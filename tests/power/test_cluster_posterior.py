"""The fast posterior of cluster-randomized trials against sampling, and against its limits."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm

import rct
from rct import power
from rct.bayesian.priors import DEFAULTS
from rct.power.cluster_posterior import _fixed_priors, _laplace, cluster_totals, probability_below_one
from rct.power.panel_replicates import replicate_panel
from rct.power.posterior_replicates import fast_posterior
from rct.power.study import declared_study
from rct.simulation import synthetic_roster

BASELINE = """
format = 1
name = "few clusters"
[units]
randomize = "division"
measure = "officer"
id = "officer_id"
[arms]
control = "usual"
treatments = ["ICAT"]
[schedule]
kind = "parallel"
periods = 12
baseline = 6
[[outcomes]]
name = "force"
primary = true
direction = "decrease"
[analysis]
primary = "poisson"
inference = "cluster-robust"
seed = 1
[power]
effects = { force = 0.75 }
rates = { force = 0.05 }
clusters = 6
units = 240
heterogeneity = 0.6
cluster_sd = 0.15
cluster_period_sd = 0.10
"""
# Posterior probability of a reduction by nutpie (2 chains of 1,500 draws of `stepped-wedge`), from
# validation/assurance_posteriors.csv; the error of sampling is up to .02.
SAMPLED = {0: 0.948, 1: 0.206, 4: 0.216, 5: 0.786}


@pytest.fixture(scope="module")
def study():
    found = declared_study(rct.Trial.parse(BASELINE), None, effects=None, draws=99, seed=20261129)
    return replace(found, effect_sd={"force": 0.2})


@pytest.mark.parametrize(("number", "sampled"), SAMPLED.items())
def test_it_is_the_sampled_probability(study, number, sampled):
    panel, _ = replicate_panel(study, number)
    totals = cluster_totals(panel.rows("force"))
    assert probability_below_one(totals, DEFAULTS) == pytest.approx(sampled, abs=0.025)


@pytest.mark.parametrize("number", [1, 4, 7])
def test_without_variation_it_is_the_poisson_regression(study, number):
    """Clusters and officers all alike, priors flat: the normal posterior of a generalized linear model."""
    rows = replicate_panel(study, number)[0].rows("force")
    tiny, flat = {"half-normal": [1e-4]}, {"normal": [0.0, 50.0]}
    priors = DEFAULTS | {
        "cluster_sd": tiny, "cluster_period_sd": tiny, "effect": flat, "intercept": flat,
        "period": {"zero-sum-normal": [50.0]},
    }  # fmt: skip
    design = pd.get_dummies(rows["period"], dtype=float).assign(treated=rows["treated"])
    fit = sm.GLM(rows["count"], design, family=sm.families.Poisson()).fit()
    expected = norm.cdf(-fit.params["treated"] / fit.bse["treated"])
    found = probability_below_one(cluster_totals(rows, heterogeneous=False), priors)
    assert 0.05 < expected < 0.95
    assert found == pytest.approx(expected, abs=1e-4)


def test_clusters_that_may_differ_more_leave_more_doubt(study):
    totals = cluster_totals(replicate_panel(study, 0)[0].rows("force"))
    wide = DEFAULTS | {"cluster_period_sd": {"half-normal": [3.0]}}
    narrow = DEFAULTS | {"cluster_period_sd": {"half-normal": [1e-4]}}
    doubtful, alike, sure = (probability_below_one(totals, prior) for prior in (wide, DEFAULTS, narrow))
    assert 0.5 < doubtful < alike < sure


def test_the_variance_between_officers_is_found_from_their_totals():
    trial = rct.Trial.parse(BASELINE.replace("units = 240", "units = 12000"))
    panel = rct.simulate(trial, rct.randomize(trial, synthetic_roster(trial), seed="x"), seed=2)
    assert cluster_totals(panel.rows("force")).officers_vary == pytest.approx(1 / (0.6 * 2000), rel=0.1)


def test_assurance_of_clusters_is_the_share_of_their_posteriors(study):
    found = power.assurance(
        study.trial, effect_sd={"force": 0.2}, sims=8, draws=19, threshold=0.8, seed=20261129
    )
    panels = (replicate_panel(study, number)[0].rows("force") for number in range(8))
    shown = [probability_below_one(cluster_totals(rows), DEFAULTS) > 0.8 for rows in panels]
    assert 0 < sum(shown) < 8
    assert found.frame["assurance"].iloc[0] == np.mean(shown)
    assert "cluster-by-period" in found.method


def test_which_trials_have_a_fast_posterior(study):
    louisville = rct.load("louisville_icat")
    wedge = declared_study(louisville, None, effects=None, draws=19, seed=3)
    assert fast_posterior(wedge, louisville.analysis.secondary) == "clusters"
    assert fast_posterior(wedge, ()) is None  # the exposure-time mean is no constant effect
    assert fast_posterior(study) == "clusters"
    analysis = study.trial.analysis.model_copy(update={"priors": {"cluster_sd": False}})
    assert fast_posterior(replace(study, trial=study.trial.model_copy(update={"analysis": analysis}))) is None


def test_the_grid_is_the_integral_over_both_standard_deviations(study):
    """Seven Gauss–Legendre nodes a side are as good as 24 midpoints of the priors' probability."""
    totals = cluster_totals(replicate_panel(study, 1)[0].rows("force"))
    middle = 0.3 * norm.ppf(0.5 + (np.arange(24) + 0.5) / 48)
    grid = [side.ravel() for side in np.meshgrid(middle, middle)]
    mean, sd, log_weight = _laplace(totals, _fixed_priors(DEFAULTS, 12), *grid)
    weight = np.exp(log_weight - log_weight.max())
    dense = (weight * norm.cdf(-mean / sd)).sum() / weight.sum()
    assert probability_below_one(totals, DEFAULTS) == pytest.approx(dense, abs=5e-4)
