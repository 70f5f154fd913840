"""What is said of a fit beside its effects: against closed forms, against ArviZ, against data made wrong."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import rct
from rct.bayesian.cell_rates import unit_rates
from rct.bayesian.pareto_smoothing import leave_one_out, pareto_k
from rct.bayesian.prior_incidents import prior_incidents
from rct.bayesian.prior_sensitivity import prior_table, scaling_sensitivity
from rct.bayesian.unit_likelihood import rates_log_likelihood
from rct.posterior import Posterior

PRIORS = {
    "effect": {"normal": [0.0, 0.5]}, "intercept": {"normal": [-3.0, 3.0]}, "block": False,
    "period": {"zero-sum-normal": [2.0]}, "heterogeneity": {"gamma": [2.0, 2.0]},
    "cluster_sd": {"half-normal": [0.3]}, "cluster_period_sd": False,
}  # fmt: skip
# az.psens, ArviZ 0.23.4, delta = .01, of the draws and log-densities of its test.
PSENS = (0.05602422185749186, 0.12076475496774598)
OFFICERS, MONTHS = 90, 10
PERIOD = np.array([0.2, -0.1, 0.0, 0.1, -0.2, 0.0, 0.1, -0.1, 0.0, 0.0])
CLUSTER = {"east": 0.1, "north": -0.2, "west": 0.1}
INTERCEPT, EFFECT, PHI = -0.9, -0.3, 0.8


def frame_of(seed=1, *, phi=PHI, burst=None):
    """Officers of three districts; burst: the gamma shape of month-to-month bursts, none by default."""
    rng = np.random.default_rng(seed)
    district = np.array(sorted(CLUSTER))[np.arange(OFFICERS) % 3]
    start = np.array([4, 6, 8])[np.arange(OFFICERS) % 3]
    exposure = 0.5 + 0.25 * (np.arange(OFFICERS) % 5)
    month = np.arange(1, MONTHS + 1)
    log_rate = INTERCEPT + PERIOD + np.array([CLUSTER[d] for d in district])[:, None]
    log_rate = log_rate + EFFECT * (month >= start[:, None])
    mean = rng.gamma(phi, 1 / phi, (OFFICERS, 1)) * exposure[:, None] * np.exp(log_rate)
    if burst:
        mean = mean * rng.gamma(burst, 1 / burst, mean.shape)
    return pd.DataFrame({
        "officer": np.repeat([f"o{i:02d}" for i in range(OFFICERS)], MONTHS),
        "month": np.tile(month, OFFICERS),
        "district": np.repeat(district, MONTHS),
        "start": np.repeat(start, MONTHS),
        "exposure": np.repeat(exposure, MONTHS),
        "force": rng.poisson(mean).ravel(),
    })  # fmt: skip


def panel_of(frame):
    return rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="start", exposure="exposure",
        cluster="district",
    )  # fmt: skip


def posterior_at_the_truth(spread=0.0, *, arm="treated", draws=200):
    """Four chains at the truth, each number with a normal spread."""
    rng = np.random.default_rng(7)

    def around(value, *dims):
        shape = (4, draws, *np.shape(value))
        return (("chain", "draw", *dims), np.asarray(value) + spread * rng.normal(size=shape))

    data = xr.Dataset(
        {
            "effect": around(EFFECT), "intercept": around(INTERCEPT), "heterogeneity": around(PHI),
            "period": around(PERIOD, "period_number"),
            "cluster": around([CLUSTER[name] for name in sorted(CLUSTER)], "cluster_name"),
        },
        coords={"period_number": np.arange(1, MONTHS + 1), "cluster_name": sorted(CLUSTER)},
    )  # fmt: skip
    return Posterior(
        outcomes=("force",), arms=(arm,), reference="control", model="marginal", priors=PRIORS,
        diagnostics={"seed": 5, "chains": 4, "draws": draws, "ok": True, "failures": [], "divergences": 0,
                     "rhat": {"effect": 1.0}, "ess_bulk": {"effect": 900.0}, "ess_tail": {"effect": 900.0}},
        level=0.95, meta={"force": {"n_units": OFFICERS, "n_clusters": 3, "n_events": 1.0, "baseline": 0.4,
                                    "warning": ""}},
        source={"posterior": data, "sample_stats": xr.Dataset()},
    )  # fmt: skip


def fitted_to(panel, posterior):
    """Say of a posterior that its events are those of a panel."""
    facts = posterior.meta["force"] | {"n_events": float(panel.rows("force")["count"].sum())}
    return replace(posterior, meta={"force": facts})


@pytest.fixture(scope="module")
def panel():
    return panel_of(frame_of())


@pytest.fixture(scope="module")
def posterior(panel):
    return fitted_to(panel, posterior_at_the_truth(0.05, arm=panel.treatments[0]))


def test_an_officers_likelihood_is_the_negative_binomial_of_his_total_and_the_multinomial_of_its_months(
    panel,
):
    posterior = fitted_to(panel, posterior_at_the_truth(arm=panel.treatments[0]))
    rates = unit_rates(posterior, panel, "force", most_draws=4)
    found = rates_log_likelihood(rates)[0]
    rows = panel.rows("force")
    for number, (_, one) in enumerate(list(rows.groupby("unit"))[:8]):
        eta = (
            INTERCEPT + PERIOD[one["period"] - 1] + one["cluster"].map(CLUSTER) + EFFECT * one["treated"]
        ).to_numpy(float)
        mean, count = one["exposure"].to_numpy() * np.exp(eta), one["count"].to_numpy()
        expected = stats.nbinom.logpmf(count.sum(), PHI, PHI / (PHI + mean.sum())) + stats.multinomial.logpmf(
            count, count.sum(), mean / mean.sum()
        )
        assert found[number] == pytest.approx(expected, rel=1e-10)
        assert rates.expected()[0, number] == pytest.approx(mean.sum(), rel=1e-12)


def test_data_of_the_model_pass_its_checks_and_bursts_do_not(posterior, panel):
    passed = {
        row["figure"]: row for row in rct.bayesian.check_fit(posterior, panel).checks["force"]["predictive"]
    }
    assert min(row["tail"] for row in passed.values()) > 0.01
    assert passed["events in east"]["low"] < passed["events in east"]["observed"]
    bursty = panel_of(frame_of(burst=0.2))
    failed = rct.bayesian.check_fit(fitted_to(bursty, posterior), bursty).checks["force"]["predictive"]
    by_name = {row["figure"]: row["tail"] for row in failed}
    assert by_name["variance by mean of unit-periods"] < 0.01
    assert by_name["share of unit-periods without an event"] < 0.01


def test_leaving_a_unit_out_is_the_exact_posterior_predictive_where_that_is_known():
    """Normal data with known variance: leave-one-out densities in closed form."""
    rng = np.random.default_rng(3)
    y = rng.normal(0.4, 1, 12)
    mu = rng.normal(y.sum() / 13, 13**-0.5, (4, 4000))
    found = leave_one_out(stats.norm.logpdf(y, mu[:, :, None], 1))
    others = y.sum() - y
    exact = stats.norm.logpdf(y, others / 12, np.sqrt(1 + 1 / 12))
    assert found.elpd == pytest.approx(exact, abs=0.03)
    assert found.pareto_k.max() < 0.5


def test_pareto_k_is_the_shape_of_the_tail():
    """Weights U^-k have a generalized Pareto tail of shape k."""
    rng = np.random.default_rng(4)
    for shape in (0.3, 0.9):
        assert pareto_k(-shape * np.log(rng.random(20_000))) == pytest.approx(shape, abs=0.1)


def test_officers_left_out_are_those_of_the_panel(posterior, panel):
    found = rct.bayesian.check_fit(posterior, panel).checks["force"]["left_out"]
    rates = unit_rates(posterior, panel, "force", most_draws=1000)
    whole = rates_log_likelihood(rates)
    assert found["units"] == OFFICERS
    assert found["units_above"] == 0
    assert found["elpd"] < np.log(np.exp(whole).mean(axis=0)).sum(), "worse than with the unit in"


def test_power_scaling_is_what_arviz_computes():
    """az.psens of ArviZ 0.23.4, delta .01, of the same draws and log densities (without smoothing)."""
    rng = np.random.default_rng(12)
    draws = rng.normal(-0.2, 0.3, 4000)
    assert scaling_sensitivity(draws, stats.norm.logpdf(draws, 0, 0.5)) == pytest.approx(PSENS[0], rel=0.02)
    assert scaling_sensitivity(draws, stats.norm.logpdf(draws, -0.5, 0.4)) == pytest.approx(
        PSENS[1], rel=0.02
    )


def test_other_priors_give_the_posteriors_that_they_would_have_given():
    """A normal likelihood: the posterior under another normal prior is known."""
    posterior = posterior_at_the_truth(draws=20_000)
    y, s = -0.35, 0.2
    own = 1 / (1 / s**2 + 1 / 0.25)
    rng = np.random.default_rng(6)
    posterior.groups["posterior"]["effect"] = (
        ("chain", "draw"), rng.normal(own * y / s**2, np.sqrt(own), (4, 20_000))
    )  # fmt: skip
    table = {row["prior"]: row for row in prior_table(posterior, outcome="force", arm="treated")}
    assert list(table) == ["as fitted", "half as strong", "twice as strong", "sceptical", "enthusiastic"]
    for row in table.values():
        variance = 1 / (1 / s**2 + 1 / row["sd"] ** 2)
        mean = variance * (y / s**2 + row["mean"] / row["sd"] ** 2)
        assert row["estimate"] == pytest.approx(mean, abs=0.01)
        assert row["conf_low"] == pytest.approx(mean - 1.96 * np.sqrt(variance), abs=0.02)
        assert row["probability_reduced"] == pytest.approx(
            stats.norm.cdf(0, mean, np.sqrt(variance)), abs=0.01
        )
        assert row["reliable"]
    assert table["sceptical"]["probability_reduced"] < table["enthusiastic"]["probability_reduced"]


def test_the_prior_of_an_injury_is_that_of_force_and_of_injury_given_force_together():
    """The draws of injuries were weighted as if their prior were that of force alone."""
    posterior = posterior_at_the_truth(draws=20_000)
    y, s, sd = -0.35, 0.2, np.hypot(0.5, 0.3)
    own = 1 / (1 / s**2 + 1 / sd**2)
    rng = np.random.default_rng(6)
    effect = np.stack(
        [np.full((4, 20_000), -0.1), rng.normal(own * (y / s**2 - 0.1 / sd**2), np.sqrt(own), (4, 20_000))], 2
    )
    posterior = replace(
        posterior, outcomes=("force", "injury"), model="joint",
        priors=PRIORS | {"effect_given": {"normal": [-0.1, 0.3]}},
        source={"posterior": xr.Dataset({"effect": (("chain", "draw", "outcome"), effect)})},
    )  # fmt: skip
    table = {row["prior"]: row for row in prior_table(posterior, outcome="injury", arm="treated")}
    assert (table["as fitted"]["mean"], table["as fitted"]["sd"]) == pytest.approx((-0.1, sd))
    for row in table.values():
        variance = 1 / (1 / s**2 + 1 / row["sd"] ** 2)
        assert row["estimate"] == pytest.approx(
            variance * (y / s**2 + row["mean"] / row["sd"] ** 2), abs=0.01
        )


def test_a_panel_that_was_not_fitted_is_refused(posterior, panel):
    """Places that the fit does not know were taken for its last one."""
    frame = frame_of()
    for other in (frame.assign(district="d" + frame["district"]), frame[frame["month"] > 1],
                  frame[frame["officer"] != "o01"]):  # fmt: skip
        for asked in (rct.bayesian.check_fit, rct.bayesian.officer_effects):
            with pytest.raises(rct.DataError, match="the panel is not the one that was fitted"):
                asked(
                    posterior,
                    panel_of(other),
                    **({} if asked is rct.bayesian.check_fit else {"outcome": "force"}),
                )


def test_the_sceptic_gives_one_in_twenty_to_more_than_hoped_for():
    priors = rct.bayesian.reference_priors(ratio=0.72)
    mean, sd = priors["sceptical"]["effect"]["normal"]
    assert stats.norm.cdf(np.log(0.72), mean, sd) == pytest.approx(0.05)
    mean, sd = priors["enthusiastic"]["effect"]["normal"]
    assert mean == pytest.approx(np.log(0.72))
    assert stats.norm.sf(0, mean, sd) == pytest.approx(0.05)
    for wrong in (1, 0, -1):
        with pytest.raises(rct.EstimationError, match="hoped for"):
            rct.bayesian.reference_priors(ratio=wrong)


def test_a_discounted_trial_counts_for_its_share():
    """Conjugate normal updating with standard errors s / sqrt(discount), one trial at a time."""
    frame = pd.DataFrame({"estimate": [-0.3, -0.1], "std_error": [0.1, 0.2]})
    found = rct.bayesian.earlier_trials(frame, discount=0.4)["effect"]["normal"]
    mean, variance = 0.0, 0.25
    for y, s in [(-0.3, 0.1), (-0.1, 0.2)]:
        gain = variance / (variance + s**2 / 0.4)
        mean, variance = mean + gain * (y - mean), variance * (1 - gain)
    assert found == pytest.approx([mean, variance**0.5])
    assert rct.bayesian.earlier_trials(frame, discount=0)["effect"]["normal"] == [0.0, 0.5]
    with pytest.raises(rct.EstimationError, match="between 0 and 1"):
        rct.bayesian.earlier_trials(frame, discount=2)


def test_prior_incidents_are_lognormal_where_there_are_no_clusters(panel):
    priors = PRIORS | {"cluster_sd": False}
    found = prior_incidents(priors, panel, outcome="force", level=0.95, seed=1)
    exposure = panel.rows("force")["exposure"].sum() / MONTHS
    sd = np.sqrt(9 + 4 * (1 - 1 / MONTHS))
    assert np.log(found["median"]) == pytest.approx(-3 + np.log(exposure), abs=0.2)
    assert np.log(found["high"]) == pytest.approx(-3 + np.log(exposure) + 1.96 * sd, abs=0.5)
    assert found["observed"] == panel.rows("force")["count"].sum() / MONTHS


def test_prior_incidents_of_blocks_have_levels_that_sum_to_zero(panel):
    """Two blocks of equal exposure: the hyperbolic cosine of their normal level is added."""
    rows = frame_of()
    rows["half"] = np.where(rows["officer"].str[1:].astype(int) < OFFICERS // 2, "a", "b")
    blocked = rct.Panel.from_frame(
        rows, unit="officer", period="month", outcomes=["force"], starts="start", block="half"
    )
    priors = PRIORS | {
        "cluster_sd": False, "period": False, "intercept": {"normal": [-1.0, 0.01]},
        "block": {"zero-sum-normal": [1.0]},
    }  # fmt: skip
    found = prior_incidents(priors, blocked, outcome="force", level=0.95, seed=1)
    level = stats.norm.ppf([0.5, 0.75, 0.9875]) * 0.5**0.5
    expected = OFFICERS * np.exp(-1) * np.cosh(level)
    assert [found["low"], found["median"], found["high"]] == pytest.approx(expected, rel=0.05)


def test_officers_effects_are_their_gamma_conditionals(posterior, panel):
    exact = fitted_to(panel, posterior_at_the_truth(arm=panel.treatments[0], draws=1000))
    table = rct.bayesian.officer_effects(exact, panel, outcome="force").set_index("unit")
    rates = unit_rates(exact, panel, "force", most_draws=4)
    shape, rate = PHI + rates.events, PHI + rates.expected()[0]
    assert table["rate_ratio"].to_numpy() == pytest.approx(
        stats.gamma.ppf(0.5, shape, scale=1 / rate), rel=0.25
    )
    assert table["ratio_high"].to_numpy() == pytest.approx(
        stats.gamma.ppf(0.975, shape, scale=1 / rate), rel=0.2
    )
    assert table["shrinkage"].to_numpy() == pytest.approx(PHI / (PHI + rates.expected()[0]))
    assert list(table.index) == sorted(table.index), "no ranking"
    assert (table["rank_low"] <= table["rank_high"]).all()
    assert (table["rank_low"].min(), table["rank_high"].max()) == (1, OFFICERS), "ranks are counted from one"
    assert (table["rank_high"] - table["rank_low"]).median() > 20, "ranks are uncertain, and said to be"


def test_answers_are_counted_from_the_draws(posterior, panel):
    draws = posterior.effect_draws("force")
    plain = posterior.answers().iloc[0]
    assert plain["probability_larger"] == (draws < np.log(0.9)).mean()
    assert plain["averted"] == pytest.approx(np.median(1 - np.exp(draws)) * 0.4 * 1200)
    assert not plain["rate_uncertain"]
    checked = rct.bayesian.check_fit(posterior, panel)
    row = checked.answers(larger_than=0.2, equivalence=(0.8, 1.25)).iloc[0]
    assert row["probability_larger"] == (draws < np.log(0.8)).mean()
    assert row["probability_equivalent"] == ((draws > np.log(0.8)) & (draws < np.log(1.25))).mean()
    assert row["rate_uncertain"]
    exact = fitted_to(panel, posterior_at_the_truth(1e-9, arm=panel.treatments[0]))
    exact = rct.bayesian.check_fit(exact, panel)
    rows = panel.rows("force")
    eta = INTERCEPT + PERIOD[rows["period"] - 1] + rows["cluster"].map(CLUSTER).to_numpy()
    plain, on = rows["exposure"] * np.exp(eta), rows["treated"] > 0
    of_unit = pd.DataFrame(
        {"treated": plain * on, "all": plain * np.exp(EFFECT * on), "count": rows["count"]}
    )
    of_unit = of_unit.groupby(rows["unit"]).sum()
    own = of_unit["treated"] * (PHI + of_unit["count"]) / (PHI + of_unit["all"])
    rate = exact.groups["posterior"]["untreated_rate"].to_numpy() * 1200 * (1 - np.exp(EFFECT))
    expected = own.sum() / rows["exposure"][on].sum() * 1200 * (1 - np.exp(EFFECT))
    answer = exact.answers().iloc[0]
    assert rate.mean() == pytest.approx(expected, abs=4 * rate.std() / rate.size**0.5)
    found = [answer[f"averted{end}"] for end in ("_low", "", "_high")]
    assert found == pytest.approx(np.quantile(rate, [0.025, 0.5, 0.975]))
    with pytest.raises(rct.DataError, match="a share below 1"):
        posterior.answers(larger_than=10)


def test_checks_survive_on_disk(posterior, panel, tmp_path):
    checked = rct.bayesian.check_fit(posterior, panel)
    again = Posterior.read(checked.write(tmp_path / "fit"))
    assert again.checks == checked.checks
    assert again.answers().equals(checked.answers())
