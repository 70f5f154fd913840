"""`rct.estimate` runs what the trial promises, and `analysis.check` refuses what it cannot run."""

import math

import numpy as np
import pytest

import rct
from rct import analysis
from rct.simulation import synthetic_roster

TEXT = rct.load("louisville_icat").to_toml()
BAYESIAN = '{ estimator = "bayesian", model = "marginal" },'


def trial_with(**changes):
    """The Louisville trial without its Bayesian analysis, with pieces of its text replaced."""
    text = TEXT.replace(BAYESIAN, "").replace("draws = 9999", "draws = 199")
    for old, new in changes.items():
        text = text.replace(*new) if isinstance(new, tuple) else text.replace(old, new)
    return rct.Trial.parse(text)


TRIAL = trial_with()
ALLOCATION = rct.randomize(TRIAL, synthetic_roster(TRIAL), seed="analysis")
PANEL = rct.simulate(TRIAL, ALLOCATION, seed=3)


@pytest.fixture(scope="module")
def results():
    return rct.estimate(TRIAL, PANEL, allocation=ALLOCATION)


def test_every_outcome_gets_every_promised_analysis(results):
    frame = results.frame
    assert len(frame) == 6
    assert frame["outcome"].tolist() == ["force", "citizen_injury", "officer_injury"] * 2
    assert [row.notes["role"] for row in results] == ["primary"] * 3 + ["secondary"] * 3


def test_an_exposure_time_mean_has_its_p_from_the_test_and_its_interval_from_cr2(results):
    row = next(iter(results["force"]))
    own = rct.frequentist.poisson(PANEL, "force", effect="exposure-time", average=(1, 12))
    test = rct.frequentist.randomization_test(
        PANEL, "force", allocation=ALLOCATION, draws=199, seed=TRIAL.analysis.seed
    )
    assert (row.estimate, row.conf_low, row.std_error) == (own.estimate, own.conf_low, own.std_error)
    assert row.p_value == test.p_value
    assert "CR2" in row.inference
    assert "randomization test" in row.inference


def test_a_constant_effect_has_its_interval_from_inverting_the_test(results):
    row = list(results["force"])[1]
    test = rct.frequentist.randomization_test(
        PANEL, "force", allocation=ALLOCATION, draws=199, seed=TRIAL.analysis.seed
    )
    assert (row.conf_low, row.conf_high, row.p_value) == (test.conf_low, test.conf_high, test.p_value)
    assert row.estimate == pytest.approx(rct.frequentist.poisson(PANEL, "force").estimate, abs=1e-6)


def test_primary_p_values_are_adjusted_over_the_outcomes_and_secondary_ones_are_not(results):
    primary, secondary = list(results)[:3], list(results)[3:]
    smallest = min(row.p_value for row in primary)
    assert min(row.p_adjusted for row in primary) == pytest.approx(min(1, 3 * smallest))
    assert all(math.isnan(row.p_adjusted) for row in secondary)
    assert all(
        math.isnan(r.p_adjusted) for r in rct.estimate(trial_with(holm="none"), PANEL, allocation=ALLOCATION)
    )


def test_westfall_young_is_taken_from_the_draws_that_the_outcomes_share(results):
    adjusted = rct.estimate(trial_with(holm="westfall-young"), PANEL, allocation=ALLOCATION)
    expected = rct.frequentist.adjust(rct.Estimates(results.rows[:3]), method="westfall-young")
    assert [row.p_adjusted for row in list(adjusted)[:3]] == [row.p_adjusted for row in expected]
    assert all(row.p_value <= row.p_adjusted for row in list(adjusted)[:3])
    bootstrapped = trial_with(a=("holm", "westfall-young"), b=('"randomization"', '"wild-bootstrap"'))
    rows = list(rct.estimate(bootstrapped, PANEL))[:3]
    assert all(row.p_value <= row.p_adjusted <= 1 for row in rows)
    without = trial_with(a=("holm", "westfall-young"), b=('"randomization"', '"cluster-robust"'))
    with pytest.raises(rct.TrialError, match="null draws of the primary"):
        analysis.check(without)


def test_outcomes_share_their_re_randomizations(results):
    assert len({row.draws_hash for row in results}) == 1


def test_estimates_say_what_they_rest_on(results):
    assert results.meta["trial_hash"] == TRIAL.hash
    assert results.meta["panel_hash"] == PANEL.hash
    assert results.meta["simulated"] is True


def test_what_is_written_is_read_back_equal(results, tmp_path):
    results.write(tmp_path / "estimates")
    assert rct.Estimates.read(tmp_path / "estimates") == results


def test_row_order_of_the_panel_changes_nothing(results):
    shuffled = PANEL.frame.sample(frac=1, random_state=1).sort_values(["unit", "period"])
    again = rct.Panel(shuffled.reset_index(drop=True), PANEL.outcomes, meta=PANEL.meta)
    assert rct.estimate(TRIAL, again, allocation=ALLOCATION) == results


def test_an_outcome_without_an_estimate_says_so_and_does_not_undo_the_others():
    silent = PANEL.frame.assign(
        officer_injury=PANEL.frame["officer_injury"].where(PANEL.frame["treated"] == 0, 0)
    )
    results = rct.estimate(TRIAL, rct.Panel(silent, PANEL.outcomes, meta=PANEL.meta), allocation=ALLOCATION)
    rows = list(results["officer_injury"])
    assert all(math.isnan(row.estimate) for row in rows)
    assert all("no event" in row.warning for row in rows)
    assert all(0 < row.p_value <= 1 for row in rows)
    assert np.isfinite([row.estimate for row in results["force"]]).all()


def test_an_outcome_without_any_event_does_not_undo_the_others():
    silent = PANEL.frame.assign(officer_injury=0)
    results = rct.estimate(TRIAL, rct.Panel(silent, PANEL.outcomes, meta=PANEL.meta), allocation=ALLOCATION)
    rows = list(results["officer_injury"])
    assert all(math.isnan(row.estimate) and math.isnan(row.p_value) for row in rows)
    assert all("no event in any row" in row.warning for row in rows)
    assert np.isfinite([row.estimate for row in results["force"]]).all()


def test_a_design_in_which_nothing_can_be_estimated_is_an_error():
    trial = trial_with(window=("average = [1, 12]", "average = [1, 22]"))
    with pytest.raises(rct.EstimationError, match=r"average=\(1, 22\)"):
        rct.estimate(trial, PANEL, allocation=ALLOCATION)


def test_randomization_inference_needs_the_allocation():
    with pytest.raises(rct.EstimationError, match="add --allocation FOLDER"):
        rct.estimate(TRIAL, PANEL)
    robust = rct.estimate(trial_with(inference=('"randomization"', '"cluster-robust"')), PANEL)
    assert "randomization" not in " ".join(row.inference for row in robust)


def test_a_wild_bootstrap_gives_the_p_value_and_the_interval_of_each_poisson_analysis():
    trial = trial_with(inference=('"randomization"', '"wild-bootstrap"'))
    rows = list(rct.estimate(trial, PANEL)["force"])
    for row, options in zip(rows, ({"effect": "exposure-time", "average": (1, 12)}, {}), strict=True):
        seed = TRIAL.analysis.seed
        test = rct.frequentist.wild_bootstrap(PANEL, "force", draws=199, seed=seed, **options)
        fitted = rct.frequentist.poisson(PANEL, "force", **options)
        assert (row.p_value, row.conf_low, row.conf_high) == (test.p_value, test.conf_low, test.conf_high)
        assert row.estimate == pytest.approx(fitted.estimate, abs=1e-8)
        assert row.std_error == fitted.std_error
        assert "wild cluster bootstrap" in row.inference
        assert "CR2" in row.inference


@pytest.mark.parametrize(
    ("primary", "message"),
    [
        ('{ estimator = "poisson", trends = "unit" }', "trends cannot be combined"),
        ('{ estimator = "staggered", inference = "wild-bootstrap" }', "is of poisson"),
    ],
)
def test_a_wild_bootstrap_of_what_it_does_not_know_is_refused(primary, message):
    text = '{ estimator = "poisson", effect = "exposure-time", average = [1, 12] }'
    changed = trial_with(
        a=('"randomization"', '"wild-bootstrap"'), b=(f"primary = {text}", f"primary = {primary}")
    )
    with pytest.raises(rct.TrialError, match=message):
        analysis.check(changed)


@pytest.mark.parametrize(
    ("spec", "function", "options"),
    [
        ('{ estimator = "linear", fixed_effects = ["randomized", "period"] }', "linear",
         {"fixed_effects": ["randomized", "period"]}),
        ('{ estimator = "negative_binomial" }', "negative_binomial", {}),
        ('{ estimator = "gee" }', "gee", {}),
        ('{ estimator = "poisson", random_effects = "gamma" }', "poisson", {"random_effects": "gamma"}),
    ],
)  # fmt: skip
def test_an_estimator_with_its_own_inference_may_be_promised(spec, function, options):
    trial = trial_with(secondary=('{ estimator = "poisson", effect = "constant" },', f"{spec},"))
    found = list(rct.estimate(trial, PANEL, allocation=ALLOCATION)["force"])[1]
    own = getattr(rct.frequentist, function)(PANEL, "force", **options)
    assert (found.estimate, found.p_value, found.inference) == (own.estimate, own.p_value, own.inference)


def test_a_difference_in_means_may_be_promised_by_a_parallel_trial():
    frame = PANEL.frame[PANEL.frame["period"] == 17].assign(officer=lambda f: f["unit"])
    panel = rct.Panel.from_frame(
        frame, unit="officer", period=None, outcomes=PANEL.outcomes, treated="treated",
        randomized="randomized", probability="probability",
    )  # fmt: skip
    spec = '{ estimator = "difference_in_means", inference = "hc2" }'
    trial = trial_with(
        secondary=('{ estimator = "poisson", effect = "constant" },', f"{spec},"),
        primary=('{ estimator = "poisson", effect = "exposure-time", average = [1, 12] }',
                 '{ estimator = "gee", fixed_effects = [] }'),
    )  # fmt: skip
    found = list(rct.estimate(trial, panel)["force"])[1]
    assert found.estimate == rct.frequentist.difference_in_means(panel, "force").estimate
    assert "HC2" in found.inference


@pytest.mark.parametrize("estimator", ["gee", "linear", "negative_binomial", "difference_in_means"])
def test_an_inference_that_would_change_nothing_is_refused(estimator):
    spec = f'{{ estimator = "{estimator}", inference = "randomization" }},'
    trial = trial_with(secondary=('{ estimator = "poisson", effect = "constant" },', spec))
    with pytest.raises(rct.TrialError, match="an inference of its own"):
        analysis.check(trial)


def test_a_panel_without_a_promised_outcome_is_refused():
    fewer = rct.Panel(
        PANEL.frame.drop(columns="officer_injury"), ("force", "citizen_injury"), meta=PANEL.meta
    )
    with pytest.raises(rct.TrialError, match="no officer_injury"):
        rct.estimate(TRIAL, fewer, allocation=ALLOCATION)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"poisson", effect = "exp', '"poison", effect = "exp', r"primary: .* did you mean 'poisson'"),
        ("average = [1", "averge = [1", "poisson has no option 'averge'; did you mean 'average'"),
        ('"exposure-time"', '"exposure-tme"', "did you mean 'exposure-time'"),
        ('effect = "constant"', 'correction = "CR9"', r'secondary\[0\]: correction = "CR9" is not'),
        ('"randomization"', '"hc2"', "'hc2' is not available yet for poisson; use randomization, cluster"),
        ('"poisson", effect = "constant"', '"bayesian", model = "agencies"', "takes one outcome, .* has 3"),
        ('"poisson", effect = "exp', '"poisson", seed = 3, effect = "exp', "has no option 'seed'"),
    ],
)  # fmt: skip
def test_a_promise_that_cannot_be_kept_is_refused_before_anything_runs(old, new, message):
    trial = trial_with(change=(old, new))
    with pytest.raises(rct.TrialError, match=message):
        analysis.check(trial)
    with pytest.raises(rct.TrialError, match=message):
        rct.estimate(trial, PANEL, allocation=ALLOCATION)


def test_the_same_promise_twice_is_refused_and_another_inference_is_another_promise():
    twice = '{ estimator = "poisson", effect = "constant" }, { estimator = "poisson", effect = "constant" },'
    trial = trial_with(secondary=('{ estimator = "poisson", effect = "constant" },', twice))
    with pytest.raises(rct.TrialError, match=r"secondary\[1\]: poisson constant is promised twice"):
        analysis.check(trial)
    analysis.check(
        trial_with(secondary=('"constant" },', '"constant" }, { estimator = "poisson", effect = "constant", '
                              'inference = "cluster-robust" },'))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("average = [1, 12]", "average = [1, 22]"),
            r"analysis.primary: .* exposure times of ICAT with data",
        ),
        (('effect = "constant"', "quadrature = 3"), r"secondary\[0\]: .* quadrature=3 is of random effects"),
        (('effect = "constant"', 'cluster = "nosuch"'), "no column 'nosuch'"),
        (("alpha = 0.05", 'alpha = 0.05\ncovariates = ["age"]'), 'no column "age"'),
    ],
)
def test_an_analysis_the_design_cannot_carry_is_found_before_there_are_data(change, message):
    trial = trial_with(change=change)
    analysis.check(trial)
    with pytest.raises(rct.RctError, match=message):
        analysis.rehearse(trial, rct.randomize(trial, synthetic_roster(trial), seed=1))


def test_an_effect_that_is_not_identified_is_found_before_there_are_data():
    wedge = TEXT[TEXT.index("[schedule]") : TEXT.index("[[outcomes]]")]
    trial = rct.Trial.parse(
        TEXT.replace(wedge, '[schedule]\nkind = "parallel"\nperiod = "month"\nperiods = 6\n').replace(
            'effect = "exposure-time", average = [1, 12]', 'effect = "constant", inference = "cluster-robust"'
        )
    )
    with pytest.raises(rct.TrialError, match="explained by the fixed effects"):
        analysis.rehearse(trial, rct.randomize(trial, synthetic_roster(trial), seed=1))


def test_an_analysis_with_a_list_among_its_options_is_named_in_words():
    trial = trial_with(change=('effect = "constant"', 'fixed_effects = ["randomized", "period"]'))
    assert analysis.label(trial.analysis.secondary[0]) == "poisson fixed_effects=randomized+period"


def test_the_promises_of_the_shipped_designs_can_be_kept():
    analysis.rehearse(TRIAL, ALLOCATION)


def test_in_a_blocked_trial_the_fit_beside_the_test_is_of_the_same_model():
    text = trial_with().to_toml().replace('id = "officer_id"', 'id = "officer_id"\nblock = ["area"]')
    trial = rct.Trial.parse(text.replace("average = [1, 12]", "average = [1, 9]"))
    roster = synthetic_roster(TRIAL).query("division < 'Division 9'")
    roster["area"] = roster["division"].map(lambda name: "east" if name < "Division 5" else "west")
    allocation = rct.randomize(trial, roster, seed=2)
    panel = rct.simulate(trial, allocation, seed=5)
    row = list(rct.estimate(trial, panel, allocation=allocation)["force"])[1]
    fit = rct.frequentist.poisson(panel, "force", fixed_effects=("unit", "block:period"))
    assert row.estimate == pytest.approx(fit.estimate, abs=1e-6)
    assert row.std_error == fit.std_error
    assert "block:period" in row.method


def test_the_seed_is_the_trials_own_or_follows_from_its_hash():
    assert analysis.trial_seed(TRIAL) == 20181101
    assert analysis.trial_seed(TRIAL, 5) == 5
    without = trial_with(seed=("seed = 20181101", ""))
    assert analysis.trial_seed(without) == analysis.trial_seed(without)
    assert analysis.trial_seed(without) != analysis.trial_seed(
        trial_with(seed=("seed = 20181101", ""), alpha=("alpha = 0.05", "alpha = 0.1"))
    )


def test_a_wedge_that_promises_one_answer_is_told_so():
    one = trial_with(secondary=('{ estimator = "poisson", effect = "constant" },', ""))
    assert any("two answers" in note for note in analysis.notes(one, ALLOCATION))
    assert not any("two answers" in note for note in analysis.notes(TRIAL, ALLOCATION))


def test_few_clusters_and_an_unattainable_alpha_are_told():
    few = rct.randomize(TRIAL, synthetic_roster(TRIAL).query("division < 'Division 4'"), seed=1)
    notes = " ".join(analysis.notes(TRIAL, few))
    assert "cannot reach significance at 0.05: with 6 distinct allocations" in notes
    assert "3 randomized units are few" in notes


@pytest.mark.parametrize("window", ["[1]", '"x"', "[3, 2]", "[0, 4]", "[1.5, 3]"])
def test_a_window_that_is_none_is_refused_with_its_line(window):
    with pytest.raises(rct.TrialError, match="is no window of periods"):
        trial_with(change=("average = [1, 12]", f"average = {window}"))


CURVE = (
    '{ estimator = "exposure_curve", curve = "linear", average = [1, 12] },\n'
    '    { estimator = "exposure_curve", curve = "exponential", long_run = 3, refreshers = [6] },'
)


def test_a_trial_file_may_promise_a_curve_in_exposure_time():
    """Its p-value is the test's, its interval the curve's; a refresher's ratio keeps a p-value of its own."""
    trial = rct.Trial.parse(TEXT.replace(BAYESIAN, CURVE).replace("draws = 9999", "draws = 19"))
    analysis.check(trial)
    analysis.rehearse(trial, ALLOCATION)
    rows = list(rct.estimate(trial, PANEL, allocation=ALLOCATION)["force"])
    averaged, long_run, refresher = rows[-3:]
    own = rct.frequentist.exposure_curve(PANEL, "force", curve="linear", average=(1, 12))
    assert (averaged.estimate, averaged.conf_low) == (own.estimate, own.conf_low)
    assert averaged.p_value == rows[0].p_value == long_run.p_value
    assert "randomization test" in averaged.inference
    assert "CR2" in averaged.inference
    assert "long run" in long_run.estimand
    assert "after a refresher" in refresher.estimand
    assert refresher.null_draws is None
    assert "randomization test" not in refresher.inference


def test_a_curve_beside_the_constant_effect_is_the_second_answer_of_a_wedge():
    primary = 'primary = { estimator = "exposure_curve", curve = "linear", average = [1, 12] }'
    text = "\n".join(primary if line.startswith("primary = {") else line for line in TEXT.splitlines())
    assert not any("two answers" in note for note in analysis.notes(rct.Trial.parse(text), ALLOCATION))


@pytest.mark.parametrize(
    ("options", "priors", "message"),
    [
        ("", "{ efect = { normal = [0, 1] } }", "no term is named 'efect' .did you mean 'effect'"),
        ("", "{ effect = { normal = [0] } }", "effect, normal takes"),
        (', model = "stepped-wedge"', "{ cluster_sd = false }", '"stepped-wedge" has cluster_sd'),
        (', refresher = "again"', "{}", 'refresher belongs to the model "fading"'),
        (", chains = 1", "{}", "chains = 1: a whole number of 2 or more"),
        (', inference = "randomization"', "{}", "bayesian has an inference of its own"),
    ],
)
def test_a_bayesian_promise_that_no_data_could_keep_is_refused_before_there_are_any(options, priors, message):
    text = TEXT.replace(BAYESIAN, f'{{ estimator = "bayesian"{options} }},')
    text = text.replace("[analysis]\n", f"[analysis]\npriors = {priors}\n", 1)
    with pytest.raises(rct.TrialError, match=f"analysis.secondary.1.: .*{message}"):
        analysis.check(rct.Trial.parse(text))


def test_a_bayesian_fit_that_fails_is_a_row_with_its_reason_and_takes_nothing_else_along(monkeypatch):
    from rct.bayesian import fitting

    def fails(*_, **__):
        raise rct.ConvergenceError("the chains cannot be believed: R-hat of effect is 2.190, not below 1.01")

    monkeypatch.setattr(fitting, "fit", fails)
    trial = rct.Trial.parse(TEXT.replace("draws = 9999", "draws = 19"))
    results = rct.estimate(trial, PANEL, allocation=ALLOCATION)
    failed = [row for row in results if row.method == "bayesian marginal"]
    assert [row.outcome for row in failed] == ["force", "citizen_injury", "officer_injury"]
    assert all(math.isnan(row.estimate) and "R-hat of effect is 2.190" in row.warning for row in failed)
    assert not any(math.isnan(row.estimate) for row in results if row not in failed)
    assert results.posteriors == {}
