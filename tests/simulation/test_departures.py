"""Each departure from the allocation is in the simulated truth as the trial file declares it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import rct
from rct.simulation import synthetic_roster
from rct.simulation.companies import Companies
from rct.simulation.departures import draw_conduct
from rct.simulation.officer_counts import draw_counts
from rct.simulation.truth import declared_truth

LOUISVILLE = rct.load("louisville_icat").to_toml()


def declared(keys, text=LOUISVILLE):
    return rct.Trial.parse(text.replace("trend = 0.0\n", f"{keys}\n"))


def conduct(keys, units=9_000, seed=1):
    trial = declared(keys)
    truth = declared_truth(trial)
    allocation = rct.randomize(trial, synthetic_roster(trial), seed="departures")
    sequence = allocation.frame["sequence"].to_numpy()
    clusters = np.arange(units) % 9
    drawn = draw_conduct(np.random.default_rng(seed), truth, allocation.sequences, sequence, clusters)
    table = allocation.sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
    return drawn, table[sequence[clusters]], clusters


def test_a_trial_without_departures_has_none():
    assert not declared_truth(rct.load("louisville_icat")).departures.individual


def test_the_declared_share_is_never_trained_and_has_no_effect():
    drawn, assigned, _ = conduct("untrained = 0.2")
    never = drawn.received[:, -1] == 0
    assert never.mean() == pytest.approx(0.2, abs=4 * (0.16 / 9000) ** 0.5)
    assert (drawn.log_effects[0, never] == 0).all()
    assert drawn.log_effects[0, ~never] == pytest.approx(np.log(0.72) * assigned[~never])


def test_the_declared_share_is_trained_when_the_first_are():
    drawn, assigned, _ = conduct("trained_anyway = 0.3")
    early = (drawn.received[:, 12] == 1) & (assigned[:, 12] == 0)
    untreated_yet = assigned[:, 12] == 0
    assert early.sum() / untreated_yet.sum() == pytest.approx(0.3, abs=4 * (0.21 / 8000) ** 0.5)
    assert (drawn.received[:, :12] == 0).all()


def test_contamination_gives_the_untrained_their_share_of_the_mean_effect():
    drawn, assigned, _ = conduct("contamination = 0.5")
    share = assigned.mean(axis=0)
    expected = 0.5 * np.log(0.72) * share
    for period in (0, 14, 19):
        untrained = drawn.log_effects[0, assigned[:, period] == 0, period]
        assert untrained == pytest.approx(expected[period])
        assert drawn.log_effects[0, assigned[:, period] == 1, period] == pytest.approx(np.log(0.72))


def test_officers_leave_at_the_rate_of_the_arm_they_are_in():
    drawn, assigned, _ = conduct('attrition = { "usual training" = 0.01, ICAT = 0.05 }')
    for dose, hazard in ((0, 0.01), (1, 0.05)):
        at_risk = drawn.present[:, :-1] & (assigned[:, :-1] == dose)
        left = at_risk & ~drawn.present[:, 1:]
        risk = at_risk.sum()
        assert left.sum() / risk == pytest.approx(hazard, abs=4 * (hazard / risk) ** 0.5)
    assert (np.diff(drawn.present.astype(int), axis=1) <= 0).all()


def test_officers_move_and_take_their_training_with_them():
    drawn, _, clusters = conduct("transfers = 0.02")
    moved = drawn.place[:, 1:] != drawn.place[:, :-1]
    assert moved.mean() == pytest.approx(0.02, abs=4 * (0.02 / moved.size) ** 0.5)
    assert (np.diff(drawn.received, axis=1) >= 0).all()
    assert (drawn.place[:, 0] == clusters).all()


def test_trained_officers_report_more_although_nothing_else_changes():
    trial = declared("reporting = { force = 1.5 }\nuntrained = 0.0")
    text = trial.to_toml().replace("units = 600", "units = 20000").replace("force = 0.72", "force = 1.0")
    trial = rct.Trial.parse(text)
    allocation = rct.randomize(trial, synthetic_roster(trial), seed="x")
    effects = {"force": 1.0, "citizen_injury": 1.0, "officer_injury": 1.0}
    panel = rct.simulate(trial, allocation, effects=effects, seed=3)
    fit = rct.frequentist.poisson(panel, "force")
    assert fit.estimate == pytest.approx(np.log(1.5), abs=3.5 * fit.std_error)
    assert abs(fit.estimate - np.log(1.5)) < 0.15


def test_the_panel_says_who_received_training_and_who_was_there():
    trial = declared("untrained = 0.25\nattrition = { ICAT = 0.05 }")
    panel = rct.simulate(trial, rct.randomize(trial, synthetic_roster(trial), seed="x"), seed=3)
    last = panel.frame[panel.frame["period"] == 24]
    assert last["treated"].eq(1).all()
    assert last["received"].mean() == pytest.approx(0.75, abs=0.07)
    gone = panel.frame[panel.frame["exposure"] == 0]
    assert len(gone) > 0
    assert gone["force"].sum() == 0


def test_the_season_is_put_on_the_months_it_names():
    trial = declared("season = [1, 1, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1]")
    calendar = np.exp(declared_truth(trial).calendar(24))
    july = [8, 20]  # the trial starts in November
    assert calendar[july] / calendar[0] == pytest.approx(3)
    assert calendar[:12].mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("attrition = { ICTA = 0.1 }", "ICTA is not an arm"),
        ("reporting = { fores = 1.1 }", "fores is not an outcome"),
        ("season = [1, 2]", "twelve"),
        ("mixing = 0.2", "for a schedule of shifts"),
    ],
)
def test_departures_that_cannot_be_are_refused(keys, message):
    with pytest.raises(rct.TrialError, match=message):
        declared_truth(declared(keys))


CURRENT = LOUISVILLE.replace('id = "officer_id"', 'id = "officer_id"\nmovers = "current"')


def test_who_moves_is_on_record_where_he_is_now():
    """The rows carry the assignment of the present division; where he was randomized nothing moves."""
    trials = [declared("transfers = 0.02", text) for text in (CURRENT, LOUISVILLE)]
    allocation = rct.randomize(trials[0], synthetic_roster(trials[0]), seed="x")
    current, home = (rct.simulate(trial, allocation, seed=3).frame for trial in trials)
    moved = current["randomized"] != current["randomized"].groupby(current["unit"]).shift()
    moved = moved[current["period"] > 1]
    assert moved.mean() == pytest.approx(0.02, abs=4 * (0.02 / len(moved)) ** 0.5)
    assert home.groupby("unit")["randomized"].nunique().eq(1).all()
    columns = ["sequence", "block", "arm", "starts", "treated", "probability", "cluster"]
    ours, theirs = (
        frame.drop_duplicates(["randomized", "period"])
        .set_index(["randomized", "period"])
        .sort_index()[columns]
        for frame in (current, home)
    )
    pd.testing.assert_frame_equal(ours, theirs)
    assert current.groupby(["randomized", "period"])[columns].nunique().eq(1).all(axis=None)
    for same in ("received", "force", "exposure"):  # what happened is the same, only the record differs
        assert (current[same] == home[same]).all()


def test_an_officer_brings_his_training_into_an_untrained_division():
    trial = declared("transfers = 0.05", CURRENT)
    panel = rct.simulate(trial, rct.randomize(trial, synthetic_roster(trial), seed="x"), seed=3)
    brought = (panel.frame["treated"] == 0) & (panel.frame["received"] == 1)
    assert brought.any()
    assert not ((panel.frame["treated"] == 1) & (panel.frame["received"] == 0)).any()


@pytest.mark.parametrize("counting", ["every", "share", "first"])
def test_nobody_who_has_left_is_in_an_incident_and_the_others_keep_their_rate(counting):
    truth = declared_truth(declared("attrition = { ICAT = 0.1 }"))
    truth = replace(
        truth, counting=(counting, "first", "first"), rates=(0.5, 0.02, 0.01), mean_size=1.6,
        cluster_sd=0.0, cluster_period_sd=0.0, heterogeneity=np.inf,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    clusters, shape = np.arange(540) % 9, (540, 12)
    present = np.cumsum(rng.random(shape) < 0.1, axis=1) == 0
    counts = draw_counts(rng, truth, clusters, clusters, np.zeros((3, *shape)), present=present)
    assert counts[0, ~present].sum() == 0
    late = present & (np.arange(12) > 5)
    error = (counts[0] * late).sum(axis=1).std() * 540**0.5 / late.sum()
    assert counts[0, late].mean() == pytest.approx(0.5, abs=3.5 * error)
    assert error < 0.04


def test_the_others_of_an_incident_are_of_the_division_where_it_was():
    group = np.array([0, 0, 0, 1, 1, 1])
    place = np.array([[0, 1], [0, 0], [0, 0], [1, 1], [1, 1], [1, 0]])
    present = np.array([[1, 1], [1, 1], [1, 0], [1, 1], [1, 1], [1, 1]], dtype=bool)
    companies = Companies.of_trial(group, 2, place=place, present=present)
    first, second = (companies.of(np.arange(6), np.full(6, period)) for period in (0, 1))
    assert [list(companies.members(g)) for g in (first[0], first[3])] == [[0, 1, 2], [3, 4, 5]]
    assert [list(companies.members(g)) for g in (second[1], second[3])] == [[1, 5], [0, 3, 4]]
    assert companies.sizes[second[[0, 1]]].tolist() == [3, 2]


@pytest.mark.parametrize(
    ("key", "replaced", "message"),
    [
        ("transfers = 0.1", ('randomize = "division"', 'randomize = "officer_id"'), "randomized itself"),
        ("attrition = { ICAT = 0.1 }", None, "cannot leave"),
    ],
)
def test_moves_and_leaving_that_cannot_be_are_refused(key, replaced, message):
    trial = declared(key, LOUISVILLE.replace(*replaced) if replaced else LOUISVILLE)
    if replaced is None:
        trial = trial.model_copy(update={"schedule": trial.schedule.model_copy(update={"kind": "shifts"})})
    with pytest.raises(rct.TrialError, match=message):
        declared_truth(trial)


def test_a_shift_with_officers_of_both_arms_has_their_mean_rate():
    truth = declared_truth(rct.load("louisville_icat"))
    truth = replace(truth, departures=replace(truth.departures, mixing=0.3))
    arms = ["usual training", "ICAT"]
    table = pd.DataFrame({"sequence": [0, 1], "period": [1, 1], "arm": arms, "dose": [0.0, 1.0]})
    drawn = draw_conduct(np.random.default_rng(1), truth, table, np.array([0, 1, 1]), np.arange(3))
    rates = np.exp(drawn.log_effects[0, :, 0])
    assert rates == pytest.approx([0.3 * 0.72 + 0.7, 0.7 * 0.72 + 0.3, 0.7 * 0.72 + 0.3])
