"""Curves, sizes, designs, courses, priors and looks: each against what is known of the same simulation."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import rct
from rct import analysis, power
from rct.power import prior_power
from rct.power.design_comparison import spread_advice
from rct.power.detectable_effect import COLUMNS, Detectable, _hits, _row
from rct.power.panel_replicates import replicate_panel
from rct.power.posterior_replicates import fast_posterior
from rct.power.prior_power import posterior_z
from rct.power.probit_search import Look, Root
from rct.power.study import declared_study
from rct.power.trial_variants import pooled, resized

TRIAL = rct.load("louisville_icat")
OFFICERS = """
format = 1
name = "Officers"
[units]
randomize = "officer_id"
measure = "officer"
id = "officer_id"
[arms]
control = "usual"
treatments = ["training"]
[schedule]
kind = "parallel"
periods = 12
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = { estimator = "poisson", fixed_effects = ["period"] }
inference = "cluster-robust"
seed = 3
[power]
effects = { force = 0.7 }
rates = { force = 0.1 }
units = 100
"""


def only(effect="constant"):
    text = TRIAL.to_toml()
    before, after = text[: text.index("[analysis]")], text[text.index("[power]") :]
    promise = f'[analysis]\nprimary = {{ estimator = "poisson", effect = "{effect}" }}\nseed = 1\n\n'
    return rct.Trial.parse(before + promise + after)


@pytest.mark.parametrize(
    ("half", "said"),
    [
        (
            math.inf,
            "force: 64 simulations are too few to tell the smallest change found with power 0.8; "
            "give sims=8000",
        ),
        (0.4, "force: 64 simulations are too few .*; give sims=46000"),  # 64 (.4 / (.05 × .3))² = 45,511
        (0.1, r"force: -26 % \(-33 to -18\) is the smallest change found with power 0.8 \(64 simulations\)"),
    ],
)
def test_an_answer_that_simulation_noise_leaves_open_is_none(half, said):
    """Not "-100 to +0 %", but how many simulations would tell."""
    root = Root(0.3, max(0.3 - half, 0.0), 0.3 + half, Look(0.3, 50, 64), 64)
    frame = pd.DataFrame([_row("force", root, -1.0, 0.05)], columns=list(COLUMNS))
    assert re.fullmatch(said, repr(Detectable(frame, 0.8)))


def test_a_pooled_wedge_keeps_its_crossings_and_multiplies_its_units():
    four = pooled(TRIAL, 4)
    assert four.power.units == 2400
    assert four.schedule.per_step == (4,) * 9
    assert resized(TRIAL, clusters=11).schedule.per_step == (2, 2, *(1,) * 7)
    with pytest.raises(rct.TrialError, match="fewer than the 9 crossings"):
        resized(TRIAL, clusters=8)


def test_power_along_a_curve_rises_with_the_effect_and_the_number_of_clusters():
    found = power.curve(only(), [1.0, 0.7, 0.5], clusters=[9, 18], sims=128, draws=99)
    force = found[found["outcome"] == "force"].pivot(index="effect", columns="clusters", values="power")
    assert (force.loc[1.0] < 0.15).all()
    assert (np.diff(force.loc[[1.0, 0.7, 0.5]], axis=0) > 0).all()
    alone = power.simulate(only(), effects=dict.fromkeys(TRIAL.power.rates, 0.7), sims=128, draws=99)
    assert force.loc[0.7, 9] == alone.frame.set_index("outcome").loc["force", "power"]


def test_the_smallest_study_has_the_power_that_was_asked():
    found = power.smallest_study(only(), draws=99, precision=0.15)
    assert found.low <= found.number <= found.high
    enough, less = (
        power.curve(pooled(only(), number), [0.72], sims=256, draws=99, seed=77)["power"].iloc[0]
        for number in (found.high, found.low - 1)
    )
    assert enough > 0.8 - 3 * 0.025
    said = (
        f"the fewest agencies that are enough are {found.number} (by simulation {found.low} to {found.high})"
    )
    assert said in repr(found)
    assert less < 0.8 + 3 * 0.025


def test_part_of_an_agency_is_a_whole_one_and_its_power_that_of_the_whole_number(monkeypatch):
    root = Root(2.3**0.5, 2.1**0.5, 3.2**0.5, Look(1.0, 1, 64), 64)
    monkeypatch.setattr("rct.power.sufficient_study.probit_root", lambda _look, **_options: root)
    found = power.smallest_study(only(), draws=39)
    assert (found.number, found.low, found.high) == (3, 3, 4)
    assert found.power > 0.5
    assert found.sims == 256


def test_of_several_arms_the_one_that_is_hardest_to_tell_decides():
    name = analysis.label(TRIAL.analysis.primary)
    p_values = {"easy": [0.01, 0.01, 0.02], "hard": [0.01, 0.2, 0.3]}
    rows = pd.DataFrame(
        [
            {"analysis": name, "outcome": "force", "arm": arm, "p_value": p}
            for arm, own in p_values.items()
            for p in own
        ]
    )
    assert _hits(rows, TRIAL, 0.3) == {"force": Look(0.3, 1, 3)}


def test_an_outcome_without_an_effect_has_no_sufficient_study():
    text = only().to_toml().replace("force = 0.72", "force = 1.0")
    with pytest.raises(rct.RctError, match="no study is large enough"):
        power.smallest_study(rct.Trial.parse(text), "force")


def test_a_wedge_answers_twice_under_each_course():
    found = power.two_answers(TRIAL, sims=64, draws=199, seed=4)
    force = found[found["outcome"] == "force"].set_index(["course", "answer"])
    mean, constant = "poisson exposure-time mean of 1–12", "poisson constant"
    full = math.log(0.72)
    for course, share in (("constant", 1), ("growing over 12 periods", 6.5 / 12), ("3 periods late", 9 / 12)):
        assert math.log(force.loc[(course, mean), "mean_effect"]) == pytest.approx(share * full)
    late = force.loc["3 periods late"]
    assert abs(late.loc[mean, "bias"]) < 0.12 < late.loc[constant, "bias"]
    assert force.loc["fading over 12 periods"].loc[constant, "bias"] < -0.05
    assert (late["power"] == late["power"].iloc[0]).all()


def test_designs_of_the_same_budget_are_told_apart():
    found = power.compare_designs(TRIAL, ["stepped wedge, spread", "matched pairs"], sims=64, draws=99)
    force = found[found["outcome"] == "force"].set_index("design")
    assert force.loc["matched pairs", "power"] == 0
    assert force.loc["matched pairs", "smallest_p"] == 2 / 2**4
    assert force.loc["matched pairs", "note"].startswith("no p-value below 0.125")
    assert force.loc["stepped wedge, spread", "treated"] > 0.4
    with pytest.raises(rct.RctError, match="no design 'shift'"):
        power.compare_designs(TRIAL, ["shift"])
    with pytest.raises(rct.RctError, match="mixing is a share between 0 and 0.5"):
        power.compare_designs(TRIAL, ["shifts, training"], mixing=0.6)


def short_trial():
    """Give one of 12 weeks, 864 events of force and 252 shifts."""
    schedule = TRIAL.schedule.model_copy(update={"period": "week", "periods": 12, "baseline": 1})
    rates = TRIAL.power.model_copy(update={"rates": {"force": 0.12}, "effects": {"force": 0.72}})
    return TRIAL.model_copy(update={"schedule": schedule, "power": rates, "outcomes": TRIAL.outcomes[:1]})


def two_rates(ratio):
    """Give power and standard error where 126 shifts of 24/7 events by crews of 120 are compared with 126."""
    rate, cells, dispersion = 0.12 * 600 / 21, 126, 1 / (0.6 * 120)
    closed = power.rates(rate=rate, ratio=ratio, n=cells, dispersion=dispersion)
    return closed.power, math.sqrt(((1 + 1 / ratio) / rate + 2 * dispersion) / cells)


def test_shifts_have_the_power_of_two_compared_rates():
    found = power.compare_designs(short_trial(), ["shifts, no training"], sims=128, draws=99).iloc[0]
    expected, error = two_rates(0.72)
    assert found["randomized"] == found["units"] == 12 * 7 * 3
    assert found["treated"] == 0.5
    assert found["power"] == pytest.approx(expected, abs=3.5 * math.sqrt(expected * (1 - expected) / 128))
    assert found["coverage"] == pytest.approx(0.95, abs=3.5 * math.sqrt(0.95 * 0.05 / 128))
    assert abs(found["bias"]) < 3.5 * error / math.sqrt(128)
    assert "officers cannot lay training down" in found["note"]


def test_training_by_shift_is_diluted_by_the_officers_who_work_both_kinds():
    """Of a quarter mixed, treated shifts have 1 − .75 × .28 of the rate, the others 1 − .25 × .28."""
    found = power.compare_designs(short_trial(), ["shifts, training"], mixing=0.25, sims=128, draws=99).iloc[
        0
    ]
    diluted = math.log((1 - 0.75 * 0.28) / (1 - 0.25 * 0.28))
    expected, error = two_rates(math.exp(diluted))
    assert found["bias"] == pytest.approx(diluted - math.log(0.72), abs=3.5 * error / math.sqrt(128))
    assert found["power"] == pytest.approx(expected, abs=3.5 * math.sqrt(0.25 / 128))
    assert "25 % of each crew" in found["note"]


def test_officers_who_rotate_freely_leave_no_contrast():
    found = power.compare_designs(short_trial(), ["shifts, training"], mixing=0.5, sims=64, draws=99).iloc[0]
    assert found["power"] < 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / 64)


def test_the_schedule_alone_turns_a_third_into_a_half():
    effects = dict.fromkeys(TRIAL.power.rates, 0.75)
    found = power.simulate(only(), effects=effects, sims=512, draws=499, seed=2)
    said = spread_advice(found, draws=499)
    assert said.startswith(
        "The schedule alone makes a difference: with crossings from month 5 to 21, every second"
    )
    spread = int(said.split("show it in ")[1].split(" %")[0])
    assert found.primary["power"].iloc[0] == pytest.approx(0.339, abs=0.08)
    assert spread == pytest.approx(48, abs=9)


def test_posteriors_join_estimate_and_prior_by_precision():
    import pandas as pd

    z = posterior_z(pd.Series([-0.4, np.nan]), pd.Series([0.2, np.nan]), 0.0, 0.5)
    mean, precision = (-0.4 / 0.04) / (1 / 0.04 + 4), 1 / 0.04 + 4
    assert z == pytest.approx([mean * precision**0.5, 0.0])


def test_officers_randomized_one_by_one_have_the_laplace_posterior():
    trial = rct.Trial.parse(OFFICERS)
    found = power.assurance(trial, effect_sd={"force": 0.15}, sims=8, draws=19, threshold=0.9)
    study = declared_study(trial, None, effects=None, draws=19, seed=3)
    study = replace(study, effect_sd={"force": 0.15})
    panels = [replicate_panel(study, r)[0] for r in range(8)]
    probable = [rct.bayesian.laplace(panel, "force").probability() > 0.9 for panel in panels]
    assert 0 < sum(probable) < 8
    assert found.frame["assurance"].iloc[0] == sum(probable) / 8
    assert "Laplace" in found.method
    assert fast_posterior(study) == "officers"


def test_a_trial_without_events_leaves_the_prior():
    """P(reduction) is .5 under a prior around 0, so none of them shows a benefit."""
    trial = rct.Trial.parse(OFFICERS.replace("force = 0.1 }", "force = 1e-9 }"))
    row = power.assurance(trial, sims=2, draws=19, threshold=0.51).frame.iloc[0]
    assert row["assurance"] == 0
    assert power.assurance(trial, sims=2, draws=19, threshold=0.49).frame["assurance"].iloc[0] == 1


def test_assurance_is_the_closed_form_where_everything_is_normal(monkeypatch):
    """With estimate N(θ, s²), θ ~ N(μ, τ²) and a flat prior, assurance is Φ((−μ − z s) / √(s² + τ²))."""
    text = OFFICERS.replace("units = 100", "units = 1500").replace(
        "seed = 3", "seed = 3\npriors = { effect = { normal = [0, 20] } }"
    )
    trial = rct.Trial.parse(
        text.replace(', fixed_effects = ["period"]', "").replace("periods = 12", "periods = 12\nbaseline = 6")
    )
    monkeypatch.setattr(prior_power, "fast_posterior", lambda *_: None)
    found = power.assurance(trial, effect_sd={"force": 0.2}, sims=256, draws=19)
    row = found.frame.iloc[0]
    events = 1500 / 2 * 0.1 * 6
    s = math.sqrt(2 / events + 1 / events + 1 / (0.7 * events))
    expected = norm.cdf((-math.log(0.7) - norm.ppf(0.95) * s) / math.hypot(s, 0.2))
    assert row["assurance"] == pytest.approx(expected, abs=3.5 * row["mc_error"] + 0.01)
    assert row["prior_benefit"] == pytest.approx(norm.cdf(-math.log(0.7) / 0.2))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: power.simulate(TRIAL, sims=2.5), "sims must be a whole number"),
        (lambda: power.simulate(TRIAL, seed=-1), "seed must be a whole number"),
        (lambda: power.curve(TRIAL, []), "effects names no rate ratio"),
        (lambda: power.curve(TRIAL, [0.8], units=[0]), "units must be a whole number"),
        (lambda: power.detectable(TRIAL, precision=0), "precision must be a positive number"),
        (lambda: power.detectable(TRIAL, sims=0), "sims must be a whole number"),
        (lambda: power.smallest_study(TRIAL, power=0), "power must lie between alpha"),
        (lambda: power.smallest_study(TRIAL, largest=0), "largest must be a whole number"),
        (lambda: power.two_answers(TRIAL, courses={}), "names no course"),
        (lambda: power.monitor(TRIAL, [24], bounds=[math.nan]), r"bounds\[0\] must be a positive number"),
        (lambda: power.monitor(TRIAL, [24], bounds=[2], sims=0), "sims must be a whole number"),
        (lambda: power.assurance(TRIAL, effect_sd={"farce": 0.1}), "'farce', which is no outcome"),
        (lambda: power.assurance(TRIAL, effect_sd={"force": -1}), "effect_sd of force may not be negative"),
        (lambda: power.assurance(TRIAL, sims=0), "sims must be a whole number"),
        (lambda: power.rejection_probability(1, alpha=0), "alpha must lie in"),
    ],
)
def test_planning_questions_that_cannot_be_are_refused_in_words(ask, message):
    with pytest.raises(rct.RctError, match=message):
        ask()


def test_looks_cost_what_their_bounds_spend_and_stop_strong_effects_early():
    effects = {"effects": "force = 0.3, citizen_injury = 0.3, officer_injury = 0.3"}
    text = only().to_toml()
    start = text.index("effects = {")
    text = text[:start] + f"effects = {{ {effects['effects']} }}\n" + text[text.index("\n", start) + 1 :]
    found = power.monitor(rct.Trial.parse(text), [18, 21, 24], bounds=[2.5, 2.5, 2.0], sims=320, draws=999)
    force = found.frame[found.frame["outcome"] == "force"]
    assert force["power"].is_monotonic_increasing
    assert force["stops"].sum() == pytest.approx(force["power"].iloc[-1])
    assert force["power"].iloc[0] > 0.3
    assert found.expected_periods["force"] < 21.5
    first = f"force: of trials stop {100 * force['stops'].iloc[0]:.0f} % after period 18"
    assert repr(found).startswith(first)
    spent = 2 * norm.sf(2.5) * 2 + 2 * norm.sf(2.0)
    assert force["false_positive"].iloc[-1] <= spent + 3.5 * (spent / 320) ** 0.5
    with pytest.raises(rct.RctError, match="as many bounds"):
        power.monitor(TRIAL, [18, 24], bounds=[2.0])


def test_advice_on_the_schedule_keeps_the_effects_of_all_outcomes():
    """Injuries cannot stay as they were where force falls by 70 %: the study would be refused."""
    effects = {"force": 0.3, "citizen_injury": 0.3, "officer_injury": 0.3}
    found = power.simulate(only(), effects=effects, sims=16, draws=99)
    assert isinstance(spread_advice(found, draws=99), str)
