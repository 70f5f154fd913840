"""The wild cluster bootstrap of the score: exact on the wedge, its root the maximum-likelihood estimate."""

import itertools

import numpy as np
import pandas as pd
import pytest

from rct.errors import EstimationError
from rct.frequentist import poisson, wild_bootstrap
from rct.frequentist.inference import score_bootstrap
from rct.frequentist.inference.sign_weights import POINTS, sign_weights
from rct.panel import Panel


def panel_of(n_clusters, seed=0, ratio=1.0, arms=False, cluster_sd=0.0):
    unit, period = np.indices((n_clusters * 4, 8))
    rng = np.random.default_rng(seed)
    squad = unit % n_clusters
    start = (3 + squad % 5) * (squad % 4 != 3)
    dose = (start > 0) & (period + 1 >= start)
    noise = np.exp(rng.normal(0, cluster_sd, (n_clusters, 8)))[squad, period]
    hours = 1.0 + (unit * 7 + period * 3) % 5
    mean = hours * (3 + squad % 5) * (1 + 0.05 * period) * ratio**dose * noise / 3
    frame = pd.DataFrame(
        {"unit": [f"{u:03d}" for u in unit.ravel()], "period": period.ravel() + 1,
         "squad": squad.ravel(), "start": start.ravel(), "force": rng.poisson(mean).ravel(),
         "hours": hours.ravel(), "age": rng.normal(size=unit.size)}
    )  # fmt: skip
    frame["squad"] = [f"squad {s:02d}" for s in frame["squad"]]
    if arms:
        frame["arm"] = np.where(squad.ravel() % 2 == 0, "A", "B")
    return Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="start", randomized="squad",
        exposure="hours", covariates=["age"], arm="arm" if arms else None,
    )  # fmt: skip


def test_all_512_signs_of_the_wedge_give_the_reference_p_value(wedge, references):
    ours = wild_bootstrap(wedge, "force")
    reference = references["sw9x24/wild_score"]
    assert ours.p_value == pytest.approx(reference["value"], abs=1e-9)
    assert ours.notes["statistic"] == pytest.approx(reference["score"], rel=1e-9)
    assert "all 512 vectors" in ours.inference


def test_the_root_of_the_score_is_the_maximum_likelihood_estimate_of_every_contrast():
    panel = panel_of(10, ratio=0.7)
    for options in (
        {},
        {"covariates": ["age"]},
        {"effect": "exposure-time", "average": (1, 3)},
        {"fixed_effects": ("period",)},
    ):
        ours, fitted = wild_bootstrap(panel, "force", **options), poisson(panel, "force", **options)
        assert ours.estimate == pytest.approx(fitted.estimate, abs=1e-8)
        assert ours.conf_low < ours.estimate < ours.conf_high
        assert (ours.estimand, ours.term) == (fitted.estimand, fitted.term)
    several = wild_bootstrap(panel, "force", effect="exposure-time")
    fitted = poisson(panel, "force", effect="exposure-time")
    assert several.frame["estimate"].to_numpy() == pytest.approx(fitted.frame["estimate"], abs=1e-8)
    arms = panel_of(10, ratio=0.7, arms=True)
    assert wild_bootstrap(arms, "force").frame["estimate"].to_numpy() == pytest.approx(
        poisson(arms, "force").frame["estimate"], abs=1e-8
    )


def test_a_limit_of_the_interval_is_a_ratio_that_is_just_not_rejected():
    panel = panel_of(10, ratio=0.7, cluster_sd=0.2)
    ours = wild_bootstrap(panel, "force", level=0.9)
    frame = panel.frame
    for limit, inward in ((ours.conf_low, 1), (ours.conf_high, -1)):
        for step, rejected in ((inward * 0.01, False), (-inward * 0.01, True)):
            offset = frame["exposure"] * np.exp((limit + step) * frame["treated"])
            shifted = Panel(frame.assign(exposure=offset), panel.outcomes, covariates=panel.covariates)
            assert (wild_bootstrap(shifted, "force").p_value <= 0.1) is rejected


def test_clusters_with_few_signs_get_six_points_and_sampled_weights_have_mean_zero_and_variance_one():
    assert sign_weights(8, "auto", 999, 1).name == "webb"
    assert sign_weights(9, "auto", 99, 1).name == "rademacher"
    for points in POINTS.values():
        assert points.mean() == pytest.approx(0)
        assert (points**2).mean() == pytest.approx(1)
    every = sign_weights(3, "webb", "exact", None)
    expected = sorted(map(tuple, itertools.product(range(6), repeat=3)))
    assert every.exact
    assert sorted(map(tuple, every.codes.tolist())) == expected
    sampled = sign_weights(50, "auto", 4000, 1)
    totals = sampled.totals(np.ones(50))
    assert not sampled.exact
    assert totals.mean() == pytest.approx(0, abs=4 * np.sqrt(50 / 4000))
    assert totals.var() == pytest.approx(50, rel=0.1)


def test_sampled_p_values_come_near_the_exact_one_and_count_the_observed_score():
    panel = panel_of(12, ratio=0.8, cluster_sd=0.3)
    exact = wild_bootstrap(panel, "force", draws="exact")
    sampled = wild_bootstrap(panel, "force", draws=1999, seed=3)
    assert sampled.p_value == pytest.approx(exact.p_value, abs=0.04)
    reached = np.count_nonzero(np.abs(sampled.null_draws) >= abs(sampled.notes["statistic"]) - 1e-9)
    assert sampled.p_value == (1 + reached) / 2000
    again = wild_bootstrap(panel, "force", draws=1999, seed=3)
    assert (again.p_value, again.draws_hash) == (sampled.p_value, sampled.draws_hash)
    assert wild_bootstrap(panel, "force", draws=1999, seed=4).draws_hash != sampled.draws_hash


def test_draws_are_those_of_the_clusters_by_name():
    panel = panel_of(12)
    other = panel.frame.assign(cluster="x" + panel.frame["cluster"])
    renamed = Panel(other, panel.outcomes, panel.fractional, panel.covariates, meta=panel.meta)
    here, there = (wild_bootstrap(own, "force", draws=99, seed=3) for own in (panel, renamed))
    np.testing.assert_array_equal(here.null_draws, there.null_draws)
    assert here.draws_hash != there.draws_hash


def test_it_holds_its_size_where_clusters_vary_and_finds_a_large_effect(monkeypatch):
    # Searching limits takes most of the time and changes no p-value.
    monkeypatch.setattr(score_bootstrap, "limits", lambda *_args, **_kwargs: (np.nan, np.nan))
    p_values = [wild_bootstrap(panel_of(12, seed, cluster_sd=0.4), "force").p_value for seed in range(60)]
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 60)
    assert np.mean(p_values) == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / 60))
    found = [wild_bootstrap(panel_of(12, seed, 0.4, cluster_sd=0.4), "force").p_value for seed in range(10)]
    assert np.mean(np.array(found) <= 0.05) > 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 99}, "seed"),
        ({"draws": 0, "seed": 1}, "positive number"),
        ({"weights": "mammen"}, "weights"),
        ({"level": 1.5}, "level"),
        ({"cluster": "unit", "draws": "exact"}, "vectors of weights"),
        ({"fixed_effects": ("squad_period",)}, "no column"),
        ({"fixed_effects": ("unit", "randomized:period")}, "explained by the fixed effects"),
    ],
)
def test_a_bootstrap_that_means_nothing_is_refused(options, message):
    with pytest.raises((EstimationError, Exception), match=message):
        wild_bootstrap(panel_of(10), "force", **options)


def test_few_clusters_are_told_that_they_can_never_reject():
    ours = wild_bootstrap(panel_of(5, ratio=0.2), "force", weights="rademacher")
    assert ours.notes["draws"] == 2**5
    assert "can give is 0.0625, above 0.05: the test can never reject" in ours.warning
    assert ours.conf_low == -np.inf
    assert "only 5 clusters (fewer than 9)" in ours.warning
    assert "fewer than" not in wild_bootstrap(panel_of(9), "force").warning


def test_an_effect_that_one_of_two_clusters_shows_is_refused():
    with pytest.raises(EstimationError, match="rests on one cluster alone"):
        wild_bootstrap(panel_of(2, ratio=0.2), "force")
