"""`rct.simulate`: a panel of the declared truth, on the allocation it was given."""

import numpy as np
import pytest

import rct
from rct.simulation import synthetic_roster

TRIAL = rct.load("louisville_icat")
ALLOCATION = rct.randomize(TRIAL, synthetic_roster(TRIAL), seed="simulated")


def test_the_panel_follows_the_allocation():
    frame = rct.simulate(TRIAL, ALLOCATION, seed=1).frame
    starts = frame.groupby("randomized")["starts"].first()
    assert starts.to_dict() == ALLOCATION.frame.set_index("unit")["starts"].to_dict()
    assert (frame["treated"] == (frame["period"] >= frame["starts"])).all()
    assert len(frame) == 600 * 24


def test_the_panel_says_that_it_is_simulated_and_with_which_truth():
    panel = rct.simulate(TRIAL, ALLOCATION, effects={"force": 0.9}, seed=1)
    assert panel.meta["simulated"] is True
    assert panel.meta["effects"]["force"] == {"ICAT": 0.9}
    assert panel.meta["effects"]["officer_injury"] == {"ICAT": 0.64}
    assert "Simulated panel" in repr(panel)


def test_the_seed_alone_decides():
    one, two = (rct.simulate(TRIAL, ALLOCATION, seed=seed) for seed in (1, 1))
    assert one == two
    assert rct.simulate(TRIAL, ALLOCATION, seed=2) != one


def test_injuries_are_nested_in_force_row_by_row():
    frame = rct.simulate(TRIAL, ALLOCATION, seed=3).frame
    assert (frame["citizen_injury"] <= frame["force"]).all()
    assert (frame["officer_injury"] <= frame["force"]).all()


def test_a_large_effect_shows():
    panel = rct.simulate(TRIAL, ALLOCATION, effects=dict.fromkeys(TRIAL.power.rates, 0.2), seed=4)
    rates = panel.frame.groupby(panel.frame["treated"])["force"].mean()
    assert rates[1.0] / rates[0.0] == pytest.approx(0.2, abs=0.1)


def test_what_is_written_is_read_back_equal(tmp_path):
    panel = rct.simulate(TRIAL, ALLOCATION, seed=1)
    panel.write(tmp_path / "panel.parquet")
    assert rct.Panel.read(tmp_path / "panel.parquet") == panel


def test_officers_who_are_randomized_themselves_share_incidents_within_their_block():
    """Counts of a block vary as a compound Poisson: by the size-weighted mean number of officers."""
    text = TRIAL.to_toml().replace('randomize = "division"', 'randomize = "officer_id"\nblock = ["division"]')
    wedge = text[text.index("[schedule]") : text.index("[[outcomes]]")]
    text = text.replace(wedge, '[schedule]\nkind = "parallel"\nperiod = "month"\nperiods = 40\n\n')
    for old, new in (
        ('unit_of_count = "incident"', 'unit_of_count = "report"'),
        ("officers_per_incident = 1.0", "officers_per_incident = 2.0"),
        ("cluster_sd = 0.15\ncluster_period_sd = 0.10", ""),
        ("force = 0.05", "force = 0.5"),
        ("heterogeneity = 0.6", ""),
    ):
        text = text.replace(old, new)
    trial = rct.Trial.parse(text)
    allocation = rct.randomize(trial, synthetic_roster(TRIAL), seed=1)
    panel = rct.simulate(trial, allocation, effects=dict.fromkeys(trial.power.rates, 1.0), seed=1)
    cells = panel.frame.groupby(["block", "period"])["force"].sum()
    per_officer = cells / panel.frame.groupby(["block", "period"]).size()
    assert per_officer.mean() == pytest.approx(0.5, rel=0.03)
    assert per_officer.var() / per_officer.mean() * (600 / 9) == pytest.approx(2.0, rel=0.25)


def test_a_made_up_roster_is_as_even_as_can_be():
    sizes = synthetic_roster(TRIAL)["division"].value_counts()
    assert sorted(sizes) == [66] * 3 + [67] * 6
    assert np.sum(sizes) == 600


def test_a_blocked_trial_needs_its_roster():
    text = TRIAL.to_toml().replace('id = "officer_id"', 'id = "officer_id"\nblock = ["shift"]')
    with pytest.raises(rct.TrialError, match="blocked by shift"):
        synthetic_roster(rct.Trial.parse(text))


def test_missing_rates_are_named():
    text = TRIAL.to_toml().replace(", officer_injury = 0.012", "")
    with pytest.raises(rct.TrialError, match="does not name officer_injury"):
        rct.simulate(rct.Trial.parse(text), ALLOCATION, seed=1)


def test_covariates_that_the_trial_names_come_from_the_roster():
    trial = rct.Trial.parse(
        TRIAL.to_toml().replace("alpha = 0.05", 'alpha = 0.05\ncovariates = ["age", "rank"]')
    )
    roster = synthetic_roster(trial)
    roster["age"] = [str(25 + number % 30) for number in range(600)]
    roster["rank"] = ["sergeant" if number % 9 == 0 else "officer" for number in range(600)]
    panel = rct.simulate(trial, rct.randomize(trial, roster, seed=1), seed=1)
    assert panel.covariates == ("age", "rank")
    first = panel.frame[panel.frame["unit"] == "00001"]
    assert first["age"].unique().tolist() == [25]
    assert first["rank"].unique().tolist() == ["sergeant"]
    with pytest.raises(rct.TrialError, match='line [0-9]+: analysis.covariates: .*no column "age"'):
        rct.simulate(trial, rct.randomize(trial, synthetic_roster(trial), seed=1), seed=1)
