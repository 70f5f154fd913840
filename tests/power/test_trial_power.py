"""Power by simulation of the declared trial, against an independent simulator and itself.

Reference: a Louisville-like wedge (9 divisions, 24 months, 600 officers, gamma shape .6, division sd .15,
division-month sd .10), force .05 a month, ratio .75; own NumPy simulator of 3,000 to 4,000 replicates with
1,999 re-randomizations, standard error .009 (crossing monthly) and .011 (crossing every second month).
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

import rct
from rct import power
from rct.power.batch_forms import batch_form
from rct.power.design_candidates import DESIGNS
from rct.power.panel_replicates import panel_rows, replicate_panel
from rct.power.study import batch_rows, declared_study
from rct.power.trial_draws import draw_totals_of_trials, draw_trial
from rct.simulation import synthetic_roster

TRIAL = rct.load("louisville_icat")
SIMS = 320
FORCE_ONLY = {"force": 0.75, "citizen_injury": 0.75, "officer_injury": 0.75}


def constant_only(text=None):
    text = text or TRIAL.to_toml()
    start = text.index("primary = { estimator"), text.index("inference = "), text.index("secondary = [")
    end = text.index("alpha = ")
    return rct.Trial.parse(
        text[: start[0]] + 'primary = { estimator = "poisson", effect = "constant" }\n'
        + text[start[1] : start[2]] + text[end:]
    )  # fmt: skip


def force_row(result):
    return result.frame.set_index("outcome").loc["force"]


def within(row, reference, reference_error):
    return abs(row["power"] - reference) < 3.5 * (row["mc_error"] ** 2 + reference_error**2) ** 0.5


@pytest.fixture(scope="module")
def monthly():
    return power.simulate(constant_only(), effects=FORCE_ONLY, sims=SIMS, draws=199, seed=11)


def test_the_randomization_test_has_the_power_an_independent_simulator_found(monthly):
    assert within(force_row(monthly), 0.339, 0.009)


def test_crossing_every_second_month_raises_it_to_a_half():
    text = TRIAL.to_toml().replace("baseline = 12\nstep = 1", "baseline = 3\nstep = 2")
    result = power.simulate(constant_only(text), effects=FORCE_ONLY, sims=SIMS, draws=199, seed=12)
    assert within(force_row(result), 0.485, 0.011)


def test_cluster_robust_inference_has_the_power_that_simulator_found():
    text = constant_only().to_toml().replace('"randomization"', '"cluster-robust"')
    result = power.simulate(rct.Trial.parse(text), effects=FORCE_ONLY, sims=SIMS, seed=13)
    assert within(force_row(result), 0.282, 0.009)


def test_transition_periods_are_left_out_of_every_replicate_s_test():
    text = constant_only().to_toml().replace("step = 1", "step = 1\ntransition = 1", 1)
    strong = {**dict.fromkeys(FORCE_ONLY, 0.4), "force": 0.4}
    row = force_row(power.simulate(rct.Trial.parse(text), effects=strong, sims=4, draws=39, seed=4))
    assert row["power"] > 0.5
    assert row["coverage"] > 0.5
    assert row["failed"] == 0


def test_without_an_effect_power_is_the_level_and_intervals_cover():
    result = power.simulate(
        constant_only(), effects=dict.fromkeys(FORCE_ONLY, 1.0), sims=SIMS, draws=199, seed=14
    )
    assert (result.frame["power"] < 0.05 + 3.5 * (0.05 * 0.95 / SIMS) ** 0.5).all()
    assert (result.frame["coverage"] > 0.95 - 3.5 * (0.05 * 0.95 / SIMS) ** 0.5).all()
    assert result.frame["type_s"].isna().all()


def test_estimates_are_unbiased_and_significance_exaggerates(monthly):
    row = force_row(monthly)
    assert abs(row["bias"]) < 0.05
    assert row["type_m"] > 1.2


def test_a_wedge_gets_power_for_both_its_answers():
    result = power.simulate(TRIAL, sims=64, seed=1)
    analyses = ["poisson exposure-time mean of 1–12", "poisson constant"]
    assert sorted(result.frame["analysis"].unique()) == sorted(analyses)
    both = result.frame[result.frame["outcome"] == "force"].set_index("analysis")["excludes_null"]
    assert both[analyses[0]] < both[analyses[1]]


def test_workers_and_the_number_of_replicates_do_not_change_a_replicate():
    alone = power.simulate(TRIAL, sims=70, draws=99, seed=5)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        shared = power.simulate(TRIAL, sims=70, draws=99, seed=5, executor=pool)
    pd.testing.assert_frame_equal(alone.replicates, shared.replicates, check_exact=True)
    fewer = power.simulate(TRIAL, sims=64, draws=99, seed=5).replicates
    first = alone.replicates[alone.replicates["replicate"] < 64].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer, first, check_exact=True)


def test_any_analysis_can_be_powered_through_its_own_estimator():
    """Each replicate is what estimator and test say of the same drawn officers and the same redraws."""
    text = constant_only().to_toml()
    effects = ("unit", "period")
    trial = rct.Trial.parse(text.replace('effect = "constant"', 'fixed_effects = ["unit", "period"]'))
    replicates = power.simulate(trial, effects=FORCE_ONLY, sims=2, draws=199, seed=3).replicates
    study = declared_study(trial, None, effects=FORCE_ONLY, draws=199, seed=3)
    mechanism, roster = study.allocation, study.allocation.roster
    for replicate in range(2):
        drawn = draw_trial(study, replicate)
        starts = dict(zip(mechanism.frame["unit"], mechanism.starts(drawn.sequence), strict=True))
        cells = pd.DataFrame(
            {
                "officer": np.repeat(roster["officer_id"], 24), "division": np.repeat(roster["division"], 24),
                "month": np.tile(np.arange(1, 25), len(roster)), "force": drawn.counts[0].ravel(),
            }
        )  # fmt: skip
        panel = rct.Panel.from_frame(
            cells.assign(first=cells["division"].map(starts)), unit="officer", period="month",
            outcomes=["force"], starts="first", randomized="division",
        )  # fmt: skip
        fit = rct.frequentist.poisson(panel, "force", fixed_effects=effects)
        test = rct.frequentist.randomization_test(
            panel, "force", fixed_effects=effects,
            allocation=mechanism.starts(mechanism.draws(199, seed=study.seed)),
        )  # fmt: skip
        row = replicates[replicates["replicate"] == replicate].set_index("outcome").loc["force"]
        assert row["truth"] == pytest.approx(np.log(0.75))
        assert row["estimate"] == pytest.approx(fit.estimate, rel=1e-9)
        assert row["std_error"] == pytest.approx(fit.std_error, rel=1e-9)
        assert row["p_value"] == pytest.approx(test.p_value, rel=1e-12)


def test_the_panel_path_and_the_batch_path_agree_on_the_same_counts():
    """Both run on the same panel: batch on totals, the estimators on rows."""
    from rct.power.poisson_replicates import PoissonPromise
    from rct.power.replicates import Replicates
    from rct.power.study import declared_study

    study = declared_study(TRIAL, None, effects=None, draws=199, seed=2)
    panel = rct.simulate(TRIAL, study.allocation, seed=8)
    totals = panel.frame.pivot_table(index="randomized", columns="period", values="force", aggfunc="sum")
    assigned = study.allocation.frame["sequence"].to_numpy()
    doses = study.allocation.sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
    replicates = Replicates(
        counts=totals.to_numpy()[None].astype(float), assigned=assigned[None],
        sizes=panel.frame.groupby("randomized")["unit"].nunique().to_numpy().astype(float),
        blocks=assigned * 0, doses=doses, probabilities=study.allocation.probabilities.to_numpy(),
        redraws=study.allocation.draws(199, seed=7), exact=False, ratio=1.0,
        untreated_rate=np.full(24, 0.05),
    )  # fmt: skip
    batch = pd.DataFrame(PoissonPromise("c", None, True).analyse(replicates, alpha=0.05, only_p=False)).iloc[
        0
    ]
    fitted = rct.frequentist.poisson(panel, "force")
    assert batch["estimate"] == pytest.approx(fitted.estimate, rel=1e-8)
    assert batch["std_error"] == pytest.approx(fitted.std_error, rel=1e-8)
    test = rct.frequentist.randomization_test(panel, "force", allocation=study.allocation, draws=199, seed=7)
    assert batch["p_value"] == pytest.approx(test.p_value)


def test_batch_and_panel_agree_in_a_blocked_trial_too():
    """The rows of power come from totals with periods within blocks; the estimators get the panel."""
    from rct.power.study import declared_study, run_block

    text = constant_only().to_toml().replace('id = "officer_id"', 'id = "officer_id"\nblock = ["area"]')
    trial = rct.Trial.parse(text)
    names = [f"Division {1 + number % 8}" for number in range(160)]
    roster = pd.DataFrame({"officer_id": [f"{number:03d}" for number in range(160)], "division": names})
    roster["area"] = roster["division"].map(lambda name: "east" if name < "Division 5" else "west")
    effects = dict.fromkeys(FORCE_ONLY, 0.5)
    study = declared_study(trial, roster, effects=effects, draws="exact", seed=6)  # all 576
    study = replace(study, effect_sd={"force": 0.0})  # posteriors need the error that the interval does not
    batch = run_block(study, 0, 1).set_index("outcome").loc["force"]
    assigned, counts = draw_totals_of_trials(study, 0, 1)
    sequence, totals = assigned[0], counts[:, 0]
    frame = study.allocation.frame
    cells = pd.DataFrame(
        {
            "division": np.repeat(frame["unit"], 24), "month": np.tile(np.arange(1, 25), 8),
            "area": np.repeat(frame["block"], 24), "force": totals[0].ravel(),
            "first": np.repeat(study.allocation.starts(sequence), 24),
        }
    )  # fmt: skip
    panel = rct.Panel.from_frame(
        cells, unit="division", period="month", outcomes=["force"], starts="first", block="area"
    )
    fit = rct.frequentist.poisson(panel, "force", fixed_effects=("unit", "block:period"))
    assert batch["estimate"] == pytest.approx(fit.estimate, rel=1e-8)
    assert batch["std_error"] == pytest.approx(fit.std_error, rel=1e-6)
    test = rct.frequentist.randomization_test(
        panel, "force", allocation=study.allocation.starts(study.redraws)
    )
    assert batch["p_value"] == pytest.approx(test.p_value, abs=0.002)
    assert "block:period" in test.method


def test_the_batch_of_units_seen_once_is_their_panel_analysed_one_by_one():
    candidate = DESIGNS["shifts, no training"](constant_only(), 0.0)
    short = candidate.trial.schedule.model_copy(update={"periods": 40})
    trial = candidate.trial.model_copy(update={"schedule": short})
    study = declared_study(trial, None, effects=None, draws=199, seed=5, rehearsed=False)
    mixed = replace(study.truth.departures, mixing=0.1)  # so that both draw cell by cell, the same counts
    study = replace(study, truth=replace(study.truth, departures=mixed))
    batch = batch_rows(study, [batch_form(study, trial.analysis.primary)], 0, 2)
    for replicate in range(2):
        slow = panel_rows(study, [trial.analysis.primary], replicate).set_index("outcome")
        fast = batch[batch["replicate"] == replicate].set_index("outcome")
        assert fast["estimate"].to_numpy() == pytest.approx(slow["estimate"].to_numpy(), rel=1e-6)
        assert fast["p_value"].to_numpy() == pytest.approx(slow["p_value"].to_numpy(), abs=0.15)


@pytest.mark.parametrize("officers", [27, 90])
def test_an_agency_with_hardly_an_event_gets_its_power_too(officers):
    names = [f"Division {1 + number % 9}" for number in range(officers)]
    roster = pd.DataFrame({"officer_id": [f"{number:03d}" for number in range(officers)], "division": names})
    frame = power.simulate(TRIAL, roster, sims=64, seed=1).frame
    assert frame["power"].between(0, 0.3).all()
    assert frame["failed"].sum() > 0


def test_the_verdict_is_in_plain_words_and_names_the_error(monthly):
    assert (
        "A true change of −25 % in use-of-force incidents would be found significant in" in monthly.sentence
    )
    assert "9 randomized units (600 measured units), 24 months" in monthly.sentence
    assert not monthly.meets(0.8)


def test_a_design_that_cannot_reach_alpha_says_so_first():
    text = TRIAL.to_toml().replace("clusters = 9", "clusters = 3")
    result = power.simulate(rct.Trial.parse(text), sims=8, seed=1)
    assert result.sentence.startswith("This trial cannot work: whatever training does, no result can be")


def test_the_study_is_written_for_others_to_read(tmp_path, monthly):
    monthly.write(tmp_path / "power")
    again = pd.read_csv(tmp_path / "power" / "power.csv")
    assert again["power"].tolist() == monthly.frame["power"].tolist()
    kept = power.Power.read(tmp_path / "power")
    assert (kept.sentence, kept.verdicts) == (monthly.sentence, monthly.verdicts)
    pd.testing.assert_frame_equal(kept.frame, monthly.frame)
    pd.testing.assert_frame_equal(kept.family, monthly.family)
    assert kept.trial.power == monthly.trial.power
    with pytest.raises(rct.DataError, match="no finished study"):
        power.Power.read(tmp_path)


def test_a_study_from_history_is_read_with_what_it_learned(tmp_path):
    trial = rct.load("louisville_icat")
    panel = rct.simulate(trial, rct.randomize(trial, synthetic_roster(trial), seed="h"), seed=2)
    found = power.simulate(trial, history=panel, sims=4, draws=19)
    kept = power.Power.read(found.write(tmp_path))
    assert kept.trial.power == found.trial.power
    assert kept.trial.power.rates != trial.power.rates


def test_the_smallest_detectable_effect_is_detected_with_the_wanted_power():
    found = power.detectable(constant_only(), power=0.5, sims=256, draws=199, seed=3)
    ratio = found.frame.set_index("outcome").loc["force", "ratio"]
    again = power.simulate(
        constant_only(), effects=dict.fromkeys(FORCE_ONLY, ratio), sims=256, draws=199, seed=99
    )
    assert force_row(again)["power"] == pytest.approx(0.5, abs=0.12)


def test_what_no_effect_can_reach_is_said():
    text = constant_only().to_toml().replace("clusters = 9", "clusters = 3")
    found = power.detectable(rct.Trial.parse(text), sims=16, draws=99, seed=1)
    assert found.frame["ratio"].isna().all()
    assert "no effect, however large" in repr(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"sims": 0}, "sims must be a whole number, 1"), ({"resample": True}, "give one")],
)
def test_what_cannot_be_simulated_is_refused(arguments, message):
    with pytest.raises(rct.RctError, match=message):
        power.simulate(TRIAL, **arguments)


def test_every_exposure_time_has_its_own_truth():
    """A curve's rows are different effects: fading over six periods leaves less each time, then nothing."""
    text = TRIAL.to_toml()
    before, after = text[: text.index("[analysis]")], text[text.index("[power]") :]
    promise = (
        '[analysis]\nprimary = { estimator = "poisson", effect = "constant" }\n'
        'secondary = [{ estimator = "exposure_curve", curve = "linear", refreshers = [4] }]\nseed = 1\n\n'
    )
    trial = rct.Trial.parse(before + promise + after.replace("[power]\n", "[power]\ncourse = { fade = 6 }\n"))
    rows = power.simulate(trial, effects=FORCE_ONLY, sims=2, draws=19, seed=1).replicates
    own = rows[rows["analysis"].str.contains("exposure time") & (rows["outcome"] == "force")]
    truths = own.groupby("analysis")["truth"].first()
    share = {int(name.rsplit(" ", 1)[1]): truth / np.log(0.75) for name, truth in truths.items()}
    assert share[1] == pytest.approx(1.0)
    assert all(share[t] > share[t + 1] for t in range(1, 6))
    assert share[9] == pytest.approx(0.0, abs=1e-12)
    assert not rows["analysis"].str.contains("refresher,|, refresher$").any()
    assert own.groupby("analysis").size().eq(2).all()


def test_shares_of_incidents_are_not_cut_to_whole_numbers():
    text = constant_only().to_toml().replace("officers_per_incident = 1.0", "officers_per_incident = 4.0")
    text = text.replace('name = "force"\n', 'name = "force"\nattribution = "share"\nfractional = true\n', 1)
    study = declared_study(rct.Trial.parse(text), None, effects=None, draws=19, seed=1)
    drawn = [draw_trial(study, r).counts[0].sum() for r in range(3)]
    seen = []

    class Seen:
        name, rerandomizes = "seen", False

        def analyse(self, replicates, **_):
            seen.append(replicates.counts.sum(axis=(1, 2)))
            return {"p_value": np.ones(len(replicates.counts))}

    batch_rows(study, [Seen()], 0, 3)
    assert seen[0] == pytest.approx(drawn)


def test_officers_on_record_where_they_are_now_are_analysed_panel_by_panel():
    """Totals by home division are not what such a trial records, so no batch may stand for them."""
    trial = rct.load("louisville_icat")
    power_ = trial.power.model_copy(update={"transfers": 0.02})
    current = trial.units.model_copy(update={"movers": "current"})
    at_home = trial.model_copy(update={"power": power_})
    now = at_home.model_copy(update={"units": current})
    studies = [declared_study(one, None, effects=None, draws=19, seed=3) for one in (at_home, now)]
    forms = [batch_form(study, study.trial.analysis.primary) for study in studies]
    assert forms[0] is not None
    assert forms[1] is None
    panels = [replicate_panel(study, 5)[0] for study in studies]
    assert (panels[0].frame["force"] == panels[1].frame["force"]).all()
    moved = panels[0].frame["randomized"] != panels[1].frame["randomized"]
    assert 0 < moved.mean() < 0.5
    with pytest.raises(rct.RctError, match="movers"):
        power.monitor(now, [18, 24], bounds=[2.5, 2.0], sims=2, draws=19)
