"""Power from an agency's own past: learned assumptions, and trials on its real months."""

import numpy as np
import pytest

import rct
from rct import power
from rct.power.history_file import read_history
from rct.power.learned_assumptions import Counted, _trend_and_season, _variation, learned_trial
from rct.power.resampled_history import History, history_of, roster_of
from rct.simulation import synthetic_roster

TEXT = rct.load("louisville_icat").to_toml()
KNOWN = TEXT.replace("periods = 24", "periods = 48").replace("baseline = 12", "baseline = 36")
KNOWN = KNOWN.replace("trend = 0.0\n", "trend = -0.01\nseason = [1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1]\n")
NONE = {"force": 1.0, "citizen_injury": 1.0, "officer_injury": 1.0}


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("2,North,2020-01,x,0,0", "months.csv, row 4: force is 'x', not a number"),
        ("2,North,,1,0,0", "row 4: a missing period"),
        (",North,2020-01,1,0,0", "row 4: a blank id"),
        ("2,North,2020-01,1,0", "row 4 has 5 cells"),
        ("1,North,2020-01,1,0,0", "more than one row for officer_id and period: 1 in 2020-01"),
    ],
)
def test_what_is_wrong_in_a_table_of_earlier_months_is_said_with_its_row(tmp_path, last, message):
    header = "officer_id,division,period,force,citizen_injury,officer_injury"
    (tmp_path / "months.csv").write_text(f"{header}\n\n1,North,2020-01,1,0,0\n{last}\n")
    with pytest.raises(rct.DataError, match=message):
        read_history(tmp_path / "months.csv", rct.Trial.parse(TEXT))


def past(text=KNOWN, seed=1):
    trial = rct.Trial.parse(text)
    allocation = rct.randomize(trial, synthetic_roster(trial), seed="past")
    return rct.simulate(trial, allocation, effects=NONE, seed=seed)


def test_what_is_learned_is_what_the_past_was_made_with():
    text = KNOWN.replace("units = 600", "units = 1800").replace("force = 0.05", "force = 0.2")
    text = (
        text.replace("clusters = 9", "clusters = 36")
        .replace("per_step = 1", "")
        .replace("step = 1", "step = 1\nper_step = 4")
    )
    text = text.replace("cluster_sd = 0.15", "cluster_sd = 0.3").replace(
        "cluster_period_sd = 0.10", "cluster_period_sd = 0.2"
    )
    histories = [power.learn(rct.Trial.parse(text), past(text, seed)) for seed in range(1, 5)]
    learned = histories[0]
    assert learned["trend"] == pytest.approx(-0.01, abs=0.002)
    # One history of 1,800 officers tells the spread of a gamma variable of shape .6 to 11 %.
    assert 1 / np.mean([1 / one["heterogeneity"] for one in histories]) == pytest.approx(0.6, rel=0.15)
    assert learned["cluster_sd"] == pytest.approx(0.3, abs=0.1)
    assert learned["cluster_period_sd"] == pytest.approx(0.2, abs=0.05)
    season = np.array(learned["season"])
    assert season[6] / np.delete(season, 6).mean() == pytest.approx(2, rel=0.15)
    at_the_end = 0.2 * np.exp(-0.01 * 48)
    assert learned["rates"]["force"] == pytest.approx(at_the_end, rel=0.1)
    assert learned["rates"]["citizen_injury"] / learned["rates"]["force"] == pytest.approx(0.1, rel=0.1)


def test_a_trial_on_learned_assumptions_says_that_they_were_learned():
    found = power.simulate(rct.Trial.parse(TEXT), history=past(), sims=16, draws=99)
    assert "learned from 48 earlier periods of 600 units" in found.trial.power.assumptions[0]
    learned = found.trial.power
    said = learned.assumptions[1]
    assert f"events per officer and month: force {learned.rates['force']:.3g}, citizen injury" in said
    assert f"gamma shape of rates by officer {learned.heterogeneity:.2g}" in said
    assert (
        f"by division {learned.cluster_sd:.2f}, by division and month {learned.cluster_period_sd:.2f}" in said
    )
    assert f"trend −{-100 * np.expm1(learned.trend):.1f} % a month" in said
    assert f"to {learned.season[6]:.2f} of the mean" in said
    assert found.size.events["force"] < 30


def test_a_history_as_long_as_the_trial_is_one_stretch_and_said_to_be():
    trial, panel = rct.Trial.parse(TEXT), past()
    several = learned_trial(trial, panel, resampled=True).power.assumptions[0]
    assert "a random stretch of 24 of 48 earlier periods of 600 units" in several
    one = rct.Panel(panel.frame[panel.frame["period"] <= 24], panel.outcomes)
    assert "is the same 24 earlier periods" in learned_trial(trial, one, resampled=True).power.assumptions[0]


def test_effects_are_thinned_into_real_months():
    panel = past()
    history = history_of(panel, rct.Trial.parse(TEXT))
    effects = np.broadcast_to(np.log([[[0.5]], [[1.0]], [[1.5]]]), (3, 600, 24))
    drawn = [history.thinned(np.random.default_rng(seed), effects)[0] for seed in range(40)]
    base = [history.thinned(np.random.default_rng(seed), 0 * effects)[0] for seed in range(40)]
    ratio = np.sum(drawn, axis=(0, 2, 3)) / np.sum(base, axis=(0, 2, 3))
    assert ratio == pytest.approx([0.5, 1.0, 1.5], rel=0.05)
    wide = panel.frame.pivot(index="unit", columns="period", values="force").to_numpy()
    stretches = [wide[:, first : first + 24] for first in range(25)]
    assert any((base[0][0] == stretch).all() for stretch in stretches)


def test_every_stretch_of_months_can_be_drawn():
    history = History(("a",), np.arange(4)[None, None], np.ones((1, 4)), 3)
    none = np.zeros((1, 1, 3))
    drawn = {int(history.thinned(np.random.default_rng(seed), none)[0][0, 0, 0]) for seed in range(20)}
    assert drawn == {0, 1}


def test_placebo_trials_on_real_months_keep_the_level_and_find_a_strong_effect():
    trial, panel = rct.Trial.parse(TEXT), past()
    placebo = power.simulate(trial, history=panel, resample=True, effects=NONE, sims=192, draws=199)
    false = placebo.frame[placebo.frame["outcome"] == "force"]["power"]
    assert (false < 0.05 + 3.5 * (0.05 * 0.95 / 192) ** 0.5).all()
    strong = {"force": 0.3, "citizen_injury": 0.3, "officer_injury": 0.3}
    found = power.simulate(trial, history=panel, resample=True, effects=strong, sims=64, draws=199)
    assert found.primary["power"].iloc[0] > 0.6


def test_a_history_that_does_not_belong_to_the_trial_is_refused():
    trial, panel = rct.Trial.parse(TEXT), past()
    longer = rct.Trial.parse(TEXT.replace("periods = 24", "periods = 60"))
    with pytest.raises(rct.RctError, match="fewer than the trial's 60"):
        history_of(panel, longer)
    roster = roster_of(panel, trial)
    roster["officer_id"] = "x" + roster["officer_id"]
    with pytest.raises(rct.RctError, match="the history has no officer x00001 and 599 more"):
        power.simulate(trial, roster, history=panel, resample=True, sims=8)
    few = rct.Panel(panel.frame.assign(force=0), panel.outcomes)
    with pytest.raises(rct.RctError, match="too few to learn from"):
        power.learn(trial, few)


@pytest.mark.parametrize(
    ("clusters", "officers", "rate", "sd"), [(60, 5, 0.5, 0.2), (20, 10, 0.5, 0.2), (20, 10, 4.8, 0.3)]
)
def test_rare_events_and_small_clusters_hide_no_heterogeneity(clusters, officers, rate, sd):
    """Moments over many histories are those they were drawn with: shape 1 and this sd of log rates."""
    rng, found = np.random.default_rng(1), []
    for _ in range(300):
        by_cluster = np.exp(rng.normal(-(sd**2) / 2, sd, clusters))
        mean = rate * np.repeat(by_cluster, officers) * rng.gamma(1.0, 1.0, clusters * officers)
        counts = rng.poisson(np.repeat(mean[:, None] / 6, 6, axis=1)).astype(float)
        codes = np.repeat(np.arange(clusters), officers)
        counted = Counted(counts, np.ones_like(counts), codes, np.zeros(6, dtype=int))
        shape, cluster_sd, _ = _variation(counted, np.ones(6), 1.0)
        found.append((0.0 if shape is None else 1 / shape, np.expm1(cluster_sd**2)))
    heterogeneity, between = np.array(found).T
    assert np.median(heterogeneity) == pytest.approx(1.0, abs=0.15)
    assert np.median(between) < np.expm1(sd**2) + 0.04


def test_few_clusters_hide_no_variation_between_their_periods():
    """Means over many histories of 4 clusters × 6 periods, whose margins take 9 of 24 cells' freedom."""
    rng, found = np.random.default_rng(2), []
    for _ in range(400):
        cells = 500 * np.exp(rng.normal(0, 0.2, (4, 6)))
        counts = rng.poisson(np.repeat(cells, 2, axis=0)).astype(float)
        counted = Counted(counts, np.ones((8, 6)), np.repeat(np.arange(4), 2), np.zeros(6, dtype=int))
        found.append(_variation(counted, np.ones(6), 1.0)[2] ** 2)
    assert np.mean(found) == pytest.approx(0.04, rel=0.1)


def test_rates_are_those_of_the_first_period_after_the_history():
    counts = 1000 * np.exp(0.05 * np.arange(10))[None]
    counted = Counted(counts, np.ones((1, 10)), np.zeros(1, dtype=int), np.zeros(10, dtype=int))
    trend, season, relative = _trend_and_season(counted)
    assert (trend, season) == (pytest.approx(0.05), ())
    assert counts[0] / relative == pytest.approx(1000 * np.exp(0.05 * 10))


@pytest.mark.parametrize("reader", [power.learn, lambda trial, panel: history_of(panel, trial)])
def test_a_missing_count_is_no_zero(reader):
    trial, panel = rct.Trial.parse(TEXT), past()
    frame = panel.frame.assign(force=panel.frame["force"].astype(float))
    frame.loc[frame["period"] == 2, "force"] = np.nan
    with pytest.raises(rct.RctError, match="no count of force in 600 rows .first: unit x?\\w*, period 2"):
        reader(trial, rct.Panel(frame, panel.outcomes))
    own = panel.frame.assign(**{"exposure:force": 10.0})
    with pytest.raises(rct.RctError, match="an exposure of its own for force"):
        reader(trial, rct.Panel(own, panel.outcomes))
