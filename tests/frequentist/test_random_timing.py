"""Randomized timing against R's `staggered`, the published Chicago table, and textbook special cases."""

import numpy as np
import pandas as pd
import pytest

from rct.errors import EstimationError
from rct.frequentist import random_timing_variance, staggered
from rct.frequentist.random_timing_variance import fit_timing, permuted_statistics
from rct.frequentist.timing_contrasts import comparison_shares, contrasts, effect_weights
from rct.panel import Panel

ESTIMATORS = {"eff": "efficient", "cs": "callaway-santanna", "sa": "sun-abraham", "dim": "difference"}


def two_period_frame(n=40):
    unit, after = np.divmod(np.arange(2 * n), 2)
    treated = unit % 2 == 0
    base = (unit * 7 + unit * unit * 31 + unit**3) % 11
    count = base + after * ((unit * 5 + unit * unit) % 7) + 2 * after * treated
    return pd.DataFrame(
        {"unit": [f"{u:02d}" for u in unit], "period": after + 1, "force": count,
         "start": np.where(treated, 2, 0), "team": [f"team {u // 2:02d}" for u in unit]}
    )  # fmt: skip


def panel_of(frame, **options):
    return Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="start", **options
    )


def test_without_adjustment_it_is_the_difference_in_means_with_hc2_errors():
    import statsmodels.formula.api as smf

    frame = two_period_frame()
    after = frame[frame["period"] == 2].assign(treated=lambda f: (f["start"] > 0) * 1.0)
    ols = smf.ols("force ~ treated", after).fit(cov_type="HC2")
    ours = staggered(panel_of(frame), "force", estimator="difference")
    assert ours.estimate == pytest.approx(ols.params["treated"], rel=1e-12)
    assert ours.std_error_neyman == pytest.approx(ols.bse["treated"], rel=1e-12)


def test_callaway_santanna_with_two_periods_is_the_difference_in_changes():
    import statsmodels.formula.api as smf

    frame = two_period_frame()
    wide = frame.pivot(index="unit", columns="period", values="force")
    change = pd.DataFrame(
        {"change": wide[2] - wide[1], "treated": frame.groupby("unit")["start"].first() > 0}
    ).astype(float)
    ols = smf.ols("change ~ treated", change).fit(cov_type="HC2")
    ours = staggered(panel_of(frame), "force", estimator="callaway-santanna")
    assert ours.estimate == pytest.approx(ols.params["treated"], rel=1e-12)
    assert ours.std_error_neyman == pytest.approx(ols.bse["treated"], rel=1e-12)


def test_influence_functions_with_two_periods_are_hc0_of_the_change():
    import statsmodels.formula.api as smf

    frame = two_period_frame()
    wide = frame.pivot(index="unit", columns="period", values="force")
    change = pd.DataFrame(
        {"change": wide[2] - wide[1], "treated": frame.groupby("unit")["start"].first() > 0}
    ).astype(float)
    ols = smf.ols("change ~ treated", change).fit(cov_type="HC0")
    ours = staggered(panel_of(frame), "force", estimator="callaway-santanna", variance="influence")
    assert ours.std_error == pytest.approx(ols.bse["treated"], rel=1e-12)
    for wrong in ({"estimator": "efficient"}, {"aggregate": "calendar"}, {"permutations": 9, "seed": 1}):
        options = {"estimator": "callaway-santanna", "variance": "influence", **wrong}
        with pytest.raises(EstimationError, match='variance="'):
            staggered(panel_of(frame), "force", **options)


def test_influence_functions_give_the_standard_error_of_another_program(chicago):
    ours = staggered(chicago, "force", estimator="callaway-santanna", variance="influence")
    # diff-diff 3.13, CallawaySantAnna(control_group="not_yet_treated"), simple aggregation.
    assert ours.estimate == pytest.approx(-0.01058211, abs=5e-9)
    assert ours.std_error == pytest.approx(0.00495266, abs=5e-9)


def weighted_callaway_santanna(outcomes, starts, weight, aggregate, event_time):
    """The estimate from weighted units, by loops over cohorts and periods as it is defined."""
    periods = outcomes.shape[1]

    def mean(values, members):
        return (weight * members * values).sum() / (weight * members).sum()

    effects, shares, of_cohort = [], [], {}
    for g in sorted({int(start) for start in starts if start > 0}):
        for t in range(1, periods + 1):
            waiting = (starts == 0) | (starts > t)
            wanted = t == g + event_time if aggregate == "event" else t >= g
            if not wanted or not waiting.any():
                continue
            change = outcomes[:, t - 1] - outcomes[:, g - 2]
            effect = mean(change, starts == g) - mean(change, waiting)
            effects.append(effect)
            shares.append(weight[starts == g].sum())
            of_cohort.setdefault(g, []).append(effect)
    if aggregate == "cohort":
        effects = [np.mean(own) for own in of_cohort.values()]
        shares = [weight[starts == g].sum() for g in of_cohort]
    return np.dot(effects, shares) / np.sum(shares)


@pytest.mark.parametrize(
    ("aggregate", "event_time"), [("simple", 0), ("cohort", 0), ("event", 0), ("event", 1), ("event", 2)]
)
@pytest.mark.parametrize("never", [True, False])
def test_influence_is_what_an_estimate_gains_by_the_weight_of_a_unit(aggregate, event_time, never):
    rng = np.random.default_rng(11)
    starts = np.repeat([0 if never else 5, 3, 4, 6], [9, 5, 12, 7])  # or the last cohort only compares
    outcomes = rng.poisson(rng.gamma(2, 1, (33, 1)) * (1 + 0.2 * np.arange(6))).astype(float)
    frame = pd.DataFrame(
        {"unit": np.repeat([f"{u:02d}" for u in range(33)], 6), "period": np.tile(np.arange(1, 7), 33),
         "force": outcomes.ravel(), "start": np.repeat(starts, 6)}
    )  # fmt: skip
    arguments = aggregate, event_time
    step, ones = 1e-4, np.ones(33)
    gains = [
        (
            weighted_callaway_santanna(outcomes, starts, ones + step * unit, *arguments)
            - weighted_callaway_santanna(outcomes, starts, ones - step * unit, *arguments)
        )
        / (2 * step)
        for unit in np.eye(33)
    ]
    options = {"event_times": [event_time]} if aggregate == "event" else {}
    found = staggered(
        panel_of(frame), "force", estimator="callaway-santanna", variance="influence", aggregate=aggregate,
        **options,
    )  # fmt: skip
    (ours,) = [found] if aggregate != "event" else found
    assert ours.estimate == pytest.approx(weighted_callaway_santanna(outcomes, starts, ones, *arguments))
    assert ours.std_error == pytest.approx(np.sqrt(np.sum(np.square(gains))), rel=1e-6)


def test_event_times_without_variance_are_left_out_unless_asked_for():
    frame = two_period_frame(60)
    later = frame.assign(period=frame["period"] + 2, start=np.where(frame["start"] > 0, 3, 0), force=0)
    frame = pd.concat([frame.assign(start=later["start"]), later.assign(force=(later["period"] == 3) * 1)])
    frame.loc[(frame["period"] == 3) & (frame["unit"].astype(int) % 3 == 0), "force"] = 2
    panel = panel_of(frame)
    rows = list(staggered(panel, "force", estimator="difference", aggregate="event"))
    assert [row.event_time for row in rows] == [0]
    assert "event times 1 were left out" in rows[0].warning
    with pytest.raises(EstimationError, match="variance of force is zero"):
        staggered(panel, "force", estimator="difference", aggregate="event", event_times=[1])
    none = panel_of(frame.assign(force=0))
    with pytest.raises(EstimationError, match="variance of force is zero"):
        staggered(none, "force", aggregate="event")


def test_the_efficient_estimator_has_the_smallest_variance_and_adjusts_for_the_past():
    panel = panel_of(two_period_frame())
    errors = {
        name: staggered(panel, "force", estimator=name).std_error_neyman for name in ESTIMATORS.values()
    }
    assert errors["efficient"] == min(errors.values())
    efficient = staggered(panel, "force")
    assert efficient.std_error < efficient.std_error_neyman


def test_measured_units_are_summed_to_the_randomized_ones():
    frame = two_period_frame()
    frame["start"] = np.where(frame["team"].str[-2:].astype(int) % 2 == 0, 2, 0)
    officers = staggered(panel_of(frame, randomized="team"), "force")
    totals = frame.groupby(["team", "period", "start"], as_index=False)["force"].sum()
    teams = staggered(panel_of(totals.rename(columns={"team": "unit"})), "force")
    assert officers.n_clusters == 20
    assert officers.estimate == pytest.approx(teams.estimate / 2, rel=1e-12)
    assert officers.std_error == pytest.approx(teams.std_error / 2, rel=1e-12)
    assert officers.baseline == pytest.approx(frame.loc[frame["period"] == 1, "force"].mean())


def test_permutations_need_a_seed_and_give_a_p_value_near_the_normal_one():
    panel = panel_of(two_period_frame(60))
    normal = staggered(panel, "force")
    shuffled = staggered(panel, "force", permutations=499, seed=4)
    assert shuffled.p_value == staggered(panel, "force", permutations=499, seed=4).p_value
    assert shuffled.p_value == pytest.approx(normal.p_value, abs=0.02)
    assert len(shuffled.null_draws) == 499
    with pytest.raises(EstimationError, match="seed"):
        staggered(panel, "force", permutations=99)


@pytest.mark.parametrize("beta", [None, 1.0])
@pytest.mark.parametrize("together", [1, 100, 10**6])
def test_re_assignments_computed_together_are_those_of_one_after_another(beta, together, monkeypatch):
    rng = np.random.default_rng(3)
    sizes, starts, block = np.array([5, 4, 2, 3]), np.array([3, 4, 6, 7]), np.repeat([0, 1], [9, 5])
    outcomes = rng.poisson(1.0, (14, 6)).astype(float)
    weights = effect_weights(starts, sizes, 6, "simple")
    design = contrasts(starts, weights, comparison_shares(starts, sizes, 6, last_only=False))
    monkeypatch.setattr(random_timing_variance, "VALUES_TOGETHER", together)
    found = permuted_statistics(outcomes, block, sizes, starts, *design, beta, permutations=20, seed=8)
    again, one_by_one = np.random.default_rng(8), []
    for _ in range(20):
        order = np.concatenate([again.permutation(np.flatnonzero(block == b)) for b in (0, 1)])
        fit = fit_timing(outcomes[order], sizes, starts, *design, beta)
        one_by_one.append(fit.estimate / fit.std_error)
    assert found == pytest.approx(one_by_one, rel=1e-12)


def test_units_treated_from_the_start_are_left_out_and_counted():
    frame = two_period_frame()
    early = two_period_frame(3).assign(start=1, unit=lambda f: "early " + f["unit"])
    ours = staggered(panel_of(pd.concat([frame, early])), "force")
    assert ours.estimate == staggered(panel_of(frame), "force").estimate
    assert "3 randomized units treated from the first period" in ours.warning


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(start=np.where(f["unit"] == "07", 2, 0)), r"one randomized unit .*07"),
        (lambda f: f.assign(start=2), "same period"),
        (lambda f: f.drop(index=f.index[5]), "same units in every period"),
        (lambda f: f.assign(start=0), "no row of the panel is treated"),
        (lambda f: f.assign(force=1), "variance of force is zero"),
    ],
)
def test_a_panel_without_randomized_timing_is_refused(change, message):
    with pytest.raises(EstimationError, match=message):
        staggered(panel_of(change(two_period_frame())), "force")


def test_rows_in_transition_are_refused():
    frame = two_period_frame()
    frame = pd.concat([frame, frame[frame["period"] == 1].assign(period=3)])
    frame["start"] = np.where(frame["start"] > 0, 3, 0)
    with pytest.raises(EstimationError, match="transition"):
        staggered(panel_of(frame, transition=1), "force")


def check(ours, reference, rel=1e-8):
    assert ours.estimate == pytest.approx(reference["value"], rel=rel)
    assert ours.std_error == pytest.approx(reference["se"], rel=rel)
    if "se_neyman" in reference:
        assert ours.std_error_neyman == pytest.approx(reference["se_neyman"], rel=rel)


@pytest.mark.parametrize("outcome", ["complaints", "force"])
@pytest.mark.parametrize("short", ESTIMATORS)
def test_every_estimate_of_r_s_staggered_on_chicago_is_found_again(chicago, references, short, outcome):
    checked = 0
    for aggregate in ("simple", "cohort", "calendar"):
        reference = references.get(f"staggered/{short}/{aggregate}/{outcome}")
        if reference:
            check(staggered(chicago, outcome, estimator=ESTIMATORS[short], aggregate=aggregate), reference)
            checked += 1
    assert checked


@pytest.mark.parametrize("outcome", ["complaints", "force"])
@pytest.mark.parametrize("short", ESTIMATORS)
def test_event_times_of_r_s_staggered_are_found_again(chicago, references, short, outcome):
    known = {
        int(name.split("/")[3][1:]): reference
        for name, reference in references.items()
        if name.startswith(f"staggered/{short}/eventstudy/") and name.endswith(f"/{outcome}")
    }
    if not known:
        pytest.skip("no event study of this outcome in the reference")
    rows = staggered(
        chicago, outcome, estimator=ESTIMATORS[short], aggregate="event", event_times=sorted(known)
    )
    assert [row.event_time for row in rows] == sorted(known)
    for row in rows:
        check(row, known[row.event_time])


@pytest.mark.parametrize("outcome", ["complaints", "sustained", "force"])
@pytest.mark.parametrize("estimator", ["efficient", "callaway-santanna"])
def test_the_published_event_studies_are_found_again_before_and_after_training(
    chicago_main, references, estimator, outcome
):
    times = range(-12, 22, 3)
    rows = staggered(chicago_main, outcome, estimator=estimator, aggregate="event", event_times=times)
    for row, time in zip(rows, times, strict=True):
        check(row, references[f"published/eventstudy/{estimator}/{time}/{outcome}"])
        assert ("placebo" in row.estimand) is (time < 0)


@pytest.mark.parametrize("outcome", ["complaints", "sustained", "force"])
@pytest.mark.parametrize("estimator", ["efficient", "callaway-santanna"])
def test_the_published_aggregates_and_their_randomization_p_values_are_found_again(
    chicago_main, references, estimator, outcome
):
    checked = 0
    for published, options in (
        ("simple", {"aggregate": "simple"}),
        ("cohort", {"aggregate": "cohort"}),
        ("ES0", {"aggregate": "event", "event_times": [0]}),
    ):
        name = f"published/{estimator}/{published}/{outcome}"
        if name not in references:
            continue
        rows = staggered(chicago_main, outcome, estimator=estimator, permutations=120, seed=1, **options)
        ours = next(iter(rows)) if published == "ES0" else rows
        check(ours, references[name])
        p = references[f"{name}/fisher_p"]
        monte_carlo = 4 * np.sqrt(p["value"] * (1 - p["value"]) / 120) + 1 / 121
        assert ours.p_value == pytest.approx(p["value"], abs=p["tolerance"]["abs"] + monte_carlo)
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize(
    ("name", "aggregate"), [("fisher4000", "simple"), ("fisher3000_calendar", "calendar")]
)
@pytest.mark.parametrize("outcome", ["complaints", "force"])
def test_studentized_permutation_p_values_of_the_full_panel(chicago, references, name, aggregate, outcome):
    reference = references[f"staggered/{name}/{outcome}"]
    ours = staggered(chicago, outcome, aggregate=aggregate, permutations=80, seed=2)
    monte_carlo = 4 * np.sqrt(reference["value"] * (1 - reference["value"]) / 80) + 1 / 81
    assert ours.p_value == pytest.approx(reference["value"], abs=reference["tolerance"]["abs"] + monte_carlo)


def test_placebo_times_are_near_zero_and_see_units_that_differ_before_training():
    frame = two_period_frame(60)
    later = frame.assign(period=frame["period"] + 2, start=np.where(frame["start"] > 0, 3, 0))
    panel = panel_of(pd.concat([frame.assign(start=later["start"]), later]))
    for time in (-2, 0):
        row = next(
            iter(staggered(panel, "force", estimator="difference", aggregate="event", event_times=[time]))
        )
        wide = panel.frame.pivot(index="unit", columns="period", values="force")[3 + time]
        treated = panel.frame.groupby("unit")["starts"].first() > 0
        everyone = wide.mean() if time < 0 else wide[~treated].mean()
        assert row.estimate == pytest.approx(wide[treated].mean() - everyone)
    with pytest.raises(EstimationError, match="zero by construction"):
        staggered(panel, "force", estimator="callaway-santanna", aggregate="event", event_times=[-1])
    with pytest.raises(EstimationError, match="event time -3"):
        staggered(panel, "force", aggregate="event", event_times=[-3])


@pytest.mark.parametrize("outcome", ["complaints", "sustained", "force"])
@pytest.mark.parametrize(("short", "estimator"), [("efficient", "efficient"), ("cs", "callaway-santanna")])
def test_the_published_percent_changes_are_found_again(chicago_main, references, short, estimator, outcome):
    ours = staggered(chicago_main, outcome, estimator=estimator, baseline=(1, 12))
    percent = references[f"published/percent/{short}/{outcome}"]
    assert ours.percent_change / 100 == pytest.approx(percent["value"], rel=1e-8)
    # The published limits are the estimate ± 1.96 standard errors, not 1.959964.
    published = [float(x) for x in percent["spec"].split("limits ")[1].split(", ")]
    limits = ours.estimate + np.array([-1.96, 1.96]) * ours.std_error
    assert limits / ours.baseline == pytest.approx(published, rel=1e-8)
    assert np.array(ours.percent_interval) / 100 == pytest.approx(published, abs=2e-5)
