"""The joint test of pre-trends and balance, against loops over cohorts and against randomization itself."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rct.errors import DataError, EstimationError
from rct.frequentist import pretrend_test, staggered
from rct.panel import Panel

UNITS, PERIODS = 24, 9
STARTS = np.array([4, 6, 8, 0])


@cache
def layout(arms):
    """Units in four cohorts of six; counts and ages are put in later."""
    unit, period = np.indices((UNITS, PERIODS))
    frame = pd.DataFrame(
        {"unit": [f"{u:02d}" for u in unit.ravel()], "period": period.ravel() + 1,
         "start": STARTS[unit.ravel() % 4], "force": 0, "age": 30.0,
         "arm": np.where(unit.ravel() < 12, "A", "B"), "half": unit.ravel() % 2, "site": "one"}
    )  # fmt: skip
    return Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="start",
        covariates=["age", "site"], arm="arm" if arms else None,
    )  # fmt: skip


def panel_of(seed=1, drift=0.0, shift=0.0, arms=False):
    """drift: growth of the first cohort before training; shift: its age."""
    rng = np.random.default_rng(seed)
    unit, period = np.indices((UNITS, PERIODS))
    mean = np.exp(rng.normal(1, 0.4, (UNITS, 1)) + drift * (unit % 4 == 0) * period)
    age = 30 + rng.normal(0, 4, UNITS) + shift * (np.arange(UNITS) % 4 == 0)
    empty = layout(arms)
    frame = empty.frame.assign(force=rng.poisson(mean).ravel(), age=age[unit.ravel()])
    return Panel(frame, empty.outcomes, covariates=empty.covariates, meta=empty.meta)


def by_hand(panel, times):
    """Differences in means before training, cohort by cohort, and their Neyman covariance."""
    wide = panel.frame.pivot(index="unit", columns="period", values="force")
    starts = panel.frame.groupby("unit")["starts"].first().replace(0, PERIODS + 1)
    groups = sorted(starts.unique())
    sizes = {g: (starts == g).sum() for g in groups}

    def differences(means):
        found = []
        for time in times:
            treated = [g for g in groups[:-1] if g + time >= 1]
            total = sum(sizes[g] for g in treated)
            value = 0.0
            for g in treated:
                later = [h for h in groups if h > g + time]
                comparison = sum(sizes[h] * means[h][g + time - 1] for h in later) / sum(
                    sizes[h] for h in later
                )
                value += sizes[g] / total * (means[g][g + time - 1] - comparison)
            found.append(value)
        return np.array(found)

    means = {g: wide[starts == g].mean().to_numpy() for g in groups}
    covariance = np.zeros((len(times), len(times)))
    for g in groups:
        blank = {h: np.zeros(PERIODS) for h in groups}
        jacobian = np.column_stack([differences({**blank, g: row}) for row in np.eye(PERIODS)])
        covariance += jacobian @ np.cov(wide[starts == g].to_numpy().T) @ jacobian.T / sizes[g]
    return differences(means), covariance


def test_differences_and_their_covariance_are_those_of_a_loop_over_cohorts():
    panel, times = panel_of(), [-3, -2, -1]
    estimate, covariance = by_hand(panel, times)
    test = pretrend_test(panel, "force", estimator="difference")
    assert test.frame["event_time"].tolist() == times
    np.testing.assert_allclose(test.frame["estimate"], estimate, rtol=1e-10)
    np.testing.assert_allclose(test.frame["std_error"], np.sqrt(np.diag(covariance)), rtol=1e-10)
    wald = estimate @ np.linalg.solve(covariance, estimate)
    assert test.statistic == pytest.approx(wald, rel=1e-9)
    assert test.df == 3
    assert test.p_value == pytest.approx(stats.chi2.sf(wald, 3), rel=1e-9)


@pytest.mark.parametrize("estimator", ["efficient", "callaway-santanna", "sun-abraham", "difference"])
def test_its_rows_are_the_placebo_effects_of_the_event_study(estimator):
    panel = panel_of()
    test = pretrend_test(panel, "force", event_times=[-3, -2], estimator=estimator)
    rows = list(staggered(panel, "force", estimator=estimator, aggregate="event", event_times=[-3, -2]))
    np.testing.assert_allclose(test.frame["estimate"], [row.estimate for row in rows], rtol=1e-10)
    np.testing.assert_allclose(test.frame["std_error"], [row.std_error_neyman for row in rows], rtol=1e-10)
    single = pretrend_test(panel, "force", event_times=[-2], estimator=estimator)
    assert single.statistic == pytest.approx((rows[1].estimate / rows[1].std_error_neyman) ** 2, rel=1e-9)


def test_on_chicago_the_rows_are_the_published_placebos(chicago_main, references):
    test = pretrend_test(chicago_main, "force", event_times=[-12, -9, -6, -3])
    for _, row in test.frame.iterrows():
        known = references[f"published/eventstudy/efficient/{row['event_time']:.0f}/force"]
        assert row["estimate"] == pytest.approx(known["value"], rel=1e-8)
        assert row["std_error"] == pytest.approx(known["se_neyman"], rel=1e-7)
    assert 0.05 < test.p_value < 1


def test_permutations_hold_the_size_that_chi_square_does_not():
    """200 trials without a pre-trend, six units a cohort and a covariate beside three placebo effects."""
    tests = [
        pretrend_test(panel_of(seed), "force", covariates=["age"], estimator="difference",
                      permutations=19, seed=seed)
        for seed in range(200)
    ]  # fmt: skip
    by_permutation = np.mean([test.p_value <= 0.05 for test in tests])
    by_chi_square = np.mean([test.p_chi_square <= 0.05 for test in tests])
    assert by_permutation == pytest.approx(0.05, abs=0.046)  # three Monte-Carlo errors
    assert by_chi_square > 0.1


def test_a_cohort_that_drifts_before_training_is_found():
    panels = [panel_of(seed, drift=0.6) for seed in range(30)]
    tests = [
        pretrend_test(panel, "force", estimator="difference", permutations=99, seed=1) for panel in panels
    ]
    assert np.mean([test.p_value <= 0.05 for test in tests]) > 0.6


def test_a_covariate_that_differs_between_cohorts_is_found_and_needs_no_event_time():
    options = {"covariates": ["age"], "permutations": 99, "seed": 1}
    found = pretrend_test(panel_of(shift=15.0), "force", **options)
    assert found.p_value <= 0.02
    assert found.frame["term"].tolist() == ["event time -3", "event time -2", "age"]
    assert "p = " in found.summary() or "p < " in found.summary()


def test_draws_are_of_the_seed_alone():
    first, second, *others = (
        pretrend_test(panel_of(), "force", permutations=49, seed=seed).p_value for seed in (5, 5, 6, 7, 8)
    )
    assert first == second
    assert {first} != {*others}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"event_times": [0]}, EstimationError, "up to -2"),
        ({"event_times": [-1]}, EstimationError, "up to -2"),
        ({"event_times": []}, EstimationError, "list of whole numbers"),
        ({"event_times": [-20]}, EstimationError, "no cohort is observed"),
        ({"estimator": "best"}, EstimationError, "estimator must be one of"),
        ({"permutations": 9}, EstimationError, "give a seed"),
        ({"covariates": ["height"]}, DataError, "no covariate 'height'"),
        ({"covariates": ["site"]}, DataError, "is no number"),
    ],
)
def test_what_cannot_be_tested_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        pretrend_test(panel_of(), "force", **options)


def test_several_arms_and_constant_covariates_are_refused():
    with pytest.raises(EstimationError, match="one treatment arm"):
        pretrend_test(panel_of(arms=True), "force")
    panel = panel_of()
    same = Panel(panel.frame.assign(age=30.0), panel.outcomes, (), panel.covariates, meta=panel.meta)
    with pytest.raises(DataError, match="same for every unit"):
        pretrend_test(same, "force", covariates=["age"])


def test_timing_is_re_assigned_within_blocks_alone():
    """Units of a block have the same counts: only orders across blocks change the statistic."""
    plain = panel_of(drift=0.2)
    block = plain.frame["unit"].astype(int) // 8
    counts = np.random.default_rng(7).poisson(4 + 4 * np.arange(3)[:, None], (3, PERIODS))
    frame = plain.frame.assign(force=counts[block, plain.frame["period"] - 1])
    p_values = []
    for blocks in (block.astype(str), ""):
        panel = Panel(
            frame.assign(block=blocks), plain.outcomes, covariates=plain.covariates, meta=plain.meta
        )
        options = {"estimator": "difference", "event_times": [-1], "permutations": 99, "seed": 1}
        p_values.append(pretrend_test(panel, "force", **options).p_value)
        draws = staggered(panel, "force", estimator="difference", permutations=99, seed=1)
        assert (np.ptp(draws.null_draws) < 1e-9) == (len(p_values) == 1)
    assert p_values[0] == 1.0
