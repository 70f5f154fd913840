"""The limits of what is believed, each from both sides."""

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import rct
from rct.bayesian import sampling
from rct.bayesian.count_rows import count_rows
from rct.bayesian.fitting import MODELS, fit_facts, fit_warnings, model_priors

GOOD = {"rhat": 1.0, "bulk": 900.0, "tail": 900.0}


def judged(monkeypatch, *, effect=None, period=None, divergent=0, energy=1.0, draws=5000):
    """Judge draws whose R-hat, effective sizes, divergences and E-BFMI are given."""
    import arviz as az

    values = {"effect": GOOD | (effect or {}), "period": GOOD | (period or {})}

    def table(figure):
        return xr.Dataset({name: one[figure] for name, one in values.items()})

    monkeypatch.setattr(az, "rhat", lambda _: table("rhat"))
    monkeypatch.setattr(az, "ess", lambda _, method: table(method))
    monkeypatch.setattr(sampling, "energy_fraction", lambda _: energy)
    diverging = np.zeros((2, draws // 2), bool)
    diverging.ravel()[:divergent] = True
    statistics = xr.Dataset(
        {
            "diverging": (("chain", "draw"), diverging),
            "energy": (("chain", "draw"), np.zeros((2, draws // 2))),
        }
    )
    return sampling.diagnose(xr.Dataset(), statistics, ["effect"])["failures"]


@pytest.mark.parametrize(
    ("just_good", "just_bad", "words"),
    [
        ({"effect": {"rhat": 1.0099}}, {"effect": {"rhat": 1.01}}, "of effect is 1.010, not below 1.01"),
        ({"period": {"rhat": 1.0499}}, {"period": {"rhat": 1.05}}, "of period is 1.050, not below 1.05"),
        ({"effect": {"bulk": 400.0}}, {"effect": {"bulk": 399.0}}, "bulk effective sample size of effect"),
        ({"effect": {"tail": 400.0}}, {"effect": {"tail": 399.0}}, "tail effective sample size of effect"),
        ({"period": {"bulk": 9.0}}, {"effect": {"bulk": math.nan}}, "bulk effective sample size of effect"),
        ({"divergent": 5}, {"divergent": 6}, "6 of 5000 draws diverged"),
        ({"energy": 0.3}, {"energy": 0.299}, "E-BFMI is 0.30, below 0.3"),
        ({}, {"effect": {"rhat": math.nan}}, "R-hat of effect is nan"),
    ],
)  # fmt: skip
def test_every_limit_is_held_from_both_sides(monkeypatch, just_good, just_bad, words):
    assert judged(monkeypatch, **just_good) == []
    (failure,) = judged(monkeypatch, **just_bad)
    assert words in failure


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("places", [np.ones((4, 1)), np.array([[0.3], [-1.2], [0.1], [2.0]])])
def test_chains_that_stand_still_are_refused_without_warnings_about_arithmetic(places):
    dims, still = ("chain", "draw"), np.repeat(places, 500, axis=1)
    statistics = {"diverging": (dims, np.zeros((4, 500), bool)), "energy": (dims, np.ones((4, 500)))}
    found = sampling.diagnose(xr.Dataset({"effect": (dims, still)}), xr.Dataset(statistics), ["effect"])
    assert found["failures"][0].startswith("R-hat of effect is")


def test_many_failures_are_told_in_short(monkeypatch):
    failures = [f"R-hat of {name} is 1.5, not below 1.01" for name in ("effect", "period", "phi")]
    failures += ["40 of 2000 draws diverged"]
    monkeypatch.setattr(
        sampling, "draw", lambda *_: {"posterior": xr.Dataset(), "sample_stats": xr.Dataset()}
    )
    monkeypatch.setattr(sampling, "diagnose", lambda *_: {"ok": False, "failures": failures})
    with pytest.raises(rct.ConvergenceError) as refused:
        sampling.sample(None, [], [], sampling.Settings(10, 10, 2, 1, progress=False))
    assert "R-hat of effect is 1.5, not below 1.01 (and of 2 more); 40 of 2000 draws diverged." in str(
        refused.value
    )


def test_the_second_run_takes_smaller_steps(monkeypatch):
    asked = []

    def draw(density, kept, settings, acceptance):
        asked.append(acceptance)
        return {"posterior": xr.Dataset(), "sample_stats": xr.Dataset()}

    monkeypatch.setattr(sampling, "draw", draw)
    monkeypatch.setattr(sampling, "diagnose", lambda *_: {"ok": len(asked) > 1, "failures": ["no"]})
    _, found = sampling.sample(None, [], [], sampling.Settings(10, 10, 2, 1, progress=False))
    assert asked == [0.9, 0.99]
    assert found["target_accept"] == 0.99


def panel_of(events, *, squads=True, **options):
    """Eight officers over six months, half trained from month 4, with so many events spread over them."""
    i, month = np.repeat(np.arange(8), 6), np.tile(np.arange(1, 7), 8)
    frame = pd.DataFrame({
        "officer": [f"o{k}" for k in i], "month": month, "squad": [f"s{k // 2}" for k in i], "force": 0,
        "on": ((i // 2 % 2 == 1) & (month > 3)).astype(float),
    })  # fmt: skip
    # From the end of the frame and from the middle: on both sides.
    frame.loc[np.argsort(np.tile(np.arange(6), 8), kind="stable")[::-1][:events], "force"] = 1
    return rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], treated="on",
        **({"randomized": "squad", "cluster": "squad"} if squads else {}), **options,
    )  # fmt: skip


def warnings_of(panel, priors=None):
    rows = count_rows(panel, ["force"])
    return fit_warnings("force", rows, model_priors(MODELS["marginal"], rows, priors), MODELS["marginal"])


def test_fewer_than_ten_events_are_few():
    assert warnings_of(panel_of(10)) == []
    assert warnings_of(panel_of(9)) == ["9 events in all: the effect is little more than its prior"]


def test_randomized_squads_without_cluster_terms_are_warned_of():
    without = {"cluster_sd": False, "cluster_period_sd": False}
    (found,) = warnings_of(panel_of(20), without)
    assert found.startswith("4 clusters were randomized, but the model has no cluster terms")
    assert warnings_of(panel_of(20), {"cluster_period_sd": False}) == []
    assert warnings_of(panel_of(20, squads=False)) == []


@pytest.mark.parametrize(("lacking", "warned"), [("block", True), ("period", True), (None, False)])
def test_blocks_that_differ_need_their_level_and_their_trend(lacking, warned):
    frame = panel_of(20, squads=False).frame.copy()
    frame["half"] = np.where(frame["unit"] < "o4", "a", "b")
    frame.loc[
        (frame["half"] == "b") & (frame["period"] == 3) & frame["unit"].isin(["o6", "o7"]), "treated"
    ] = 1.0
    frame.loc[(frame["half"] == "b") & (frame["period"] > 2) & (frame["unit"] == "o5"), "treated"] = 1.0
    panel = rct.Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], treated="treated", block="half"
    )
    assert count_rows(panel, ["force"]).blocked_periods
    found = warnings_of(panel, {lacking: False} if lacking else None)
    assert any("differs between blocks" in one for one in found) is warned


@pytest.mark.parametrize(("mean", "warned"), [(0.99, False), (-0.99, False), (1.02, True), (-1.02, True)])
def test_two_standard_deviations_from_the_prior_are_a_disagreement(mean, warned):
    rows = count_rows(panel_of(20), ["force"])
    used = model_priors(MODELS["marginal"], rows, None)
    draws = xr.Dataset({"effect": (("chain", "draw"), np.full((2, 5), mean))})
    facts = fit_facts("force", rows, used, MODELS["marginal"], draws)
    assert ("prior and data disagree: the effect lies 2.0 standard" in facts["warning"]) is warned


@pytest.mark.parametrize(("more", "blocked"), [(0, False), (1, False), (2, True)])
def test_blocks_whose_treated_shares_differ_by_one_unit_alone_have_one_time_trend(more, blocked):
    """Four officers a block, two of them trained in one block and so many more in the other."""
    i, month = np.repeat(np.arange(8), 4), np.tile(np.arange(1, 5), 8)
    trained = np.isin(i, [0, 1, 4, 5, 6, 7][: 4 + more]) & (month > 2)
    frame = pd.DataFrame({
        "officer": [f"o{k}" for k in i], "month": month, "on": trained.astype(float), "force": 1,
        "half": np.where(i < 4, "a", "b"),
    })  # fmt: skip
    panel = rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], treated="on", block="half"
    )
    assert count_rows(panel, ["force"]).blocked_periods is blocked
