"""Every model's likelihood of each officer, and what rests on it, beside densities of scipy row by row."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import rct
from rct.bayesian import check_fit, officer_effects
from rct.bayesian.cell_rates import unit_rates
from rct.bayesian.fading_effect import periods_since_training
from rct.bayesian.predictive_checks import replicate
from rct.bayesian.priors import DEFAULTS
from rct.bayesian.rates_at_hand import with_rates_at_hand
from rct.bayesian.unit_likelihood import unit_log_likelihood
from rct.posterior import Posterior, arviz_data

OFFICERS, MONTHS, CHAINS, DRAWS = 12, 6, 2, 3
DOSES = (0.5, 1.0)
MODELS = ("marginal", "fading", "dose", "joint", "negative-binomial", "zero-inflated")


@pytest.fixture(scope="module")
def panel():
    """Officers of two districts with exposures of their own, trained at two doses in months 3 and 5."""
    rng = np.random.default_rng(8)
    i = np.repeat(np.arange(OFFICERS), MONTHS)
    month = np.tile(np.arange(1, MONTHS + 1), OFFICERS)
    force = rng.poisson(1.2, len(i))
    dose = np.where(month >= np.array([3, 5, 9])[i % 3], np.where(i % 2, *DOSES), 0.0)
    frame = pd.DataFrame({
        "officer": [f"o{k:02d}" for k in i], "month": month, "district": np.where(i % 2, "east", "west"),
        "arm": np.where(i % 2, "half", "whole"), "exposure": 0.5 + 0.25 * (i % 4), "force": force,
        "dose": dose, "injury": rng.binomial(force, 0.3), "again": ((month == 6) & (i % 3 == 0)).astype(int),
    })  # fmt: skip
    # One officer was away for two months, and one for all that followed the fourth.
    frame = frame[~((i == 3) & np.isin(month, (2, 3))) & ~((i == 7) & (month > 4))]
    return rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force", "injury"], treated="dose", arm="arm",
        exposure="exposure", cluster="district", covariates=["again"],
    )  # fmt: skip


def fit_of(model, panel, *, draws=DRAWS):
    """Draws without meaning, each number with a spread of its own."""
    rng = np.random.default_rng(3)
    outcomes = ("force", "injury") if model == "joint" else ("force",)
    arms = ("dose 1",) if model == "dose" else tuple(panel.treatments)
    outer = ("outcome",) if model == "joint" else ()
    sizes = {"outcome": 2, "injury": 1, "arm": 2, "period_number": MONTHS, "cluster_name": 2, "dose": 2}

    def drawn(mean, *dims):
        shape = (CHAINS, draws, *(sizes[name] for name in dims))
        return (("chain", "draw", *dims), mean + 0.3 * rng.normal(size=shape))

    def positive(mean):
        dims, values = drawn(0.0)
        return dims, mean * np.exp(values)

    inner = () if len(arms) == 1 else ("arm",)
    made = {
        "intercept": drawn(-0.5, *outer), "period": drawn(0.0, *outer, "period_number"),
        "cluster": drawn(0.0, *outer, "cluster_name"),
        "cluster_period": drawn(0.0, *outer, "cluster_name", "period_number"),
        "effect": drawn(-0.3, *outer, *inner),
    }  # fmt: skip
    if model in ("negative-binomial", "zero-inflated"):
        made["dispersion"] = positive(1.5)
    else:
        made["heterogeneity"] = positive(0.8)
    if model == "zero-inflated":
        made["zero_share"] = positive(0.2)
    if model == "fading":
        made["fading"] = positive(0.2)
    if model == "dose":
        dims, values = drawn(0.0)
        share = 1 / (1 + np.exp(-values))
        made["dose_share"] = ((*dims, "dose"), np.stack([share, 1 - share], axis=-1))
    if model == "joint":
        made["effect_given"] = drawn(0.1, "injury", *inner)
        total = made["effect"][1]
        total[:, :, 1] = total[:, :, 0] + made["effect_given"][1][:, :, 0]
    coords = {"period_number": np.arange(1, MONTHS + 1), "cluster_name": ["east", "west"]}
    coords |= {"arm": list(arms)} if inner else {}
    facts = {"n_units": OFFICERS, "n_clusters": 2, "baseline": 1.0, "warning": "", "refresher": None}
    if model == "fading":
        facts["refresher"] = "again"
    meta = {name: facts | {"n_events": float(panel.rows(name)["count"].sum())} for name in outcomes}
    return Posterior(
        outcomes=outcomes, arms=arms, reference="control", model=model,
        priors={name: DEFAULTS[name] for name in (
            "effect", "effect_given", "intercept", "intercept_given", "period", "period_given", "cluster_sd",
            "cluster_period_sd", "heterogeneity", "zero_share")}
        | {"block": False, "heterogeneity": DEFAULTS["heterogeneity"] if "heterogeneity" in made else False,
           "zero_share": DEFAULTS["zero_share"] if model == "zero-inflated" else False},
        diagnostics={"seed": 5, "chains": CHAINS, "draws": draws}, level=0.95, meta=meta,
        source={"posterior": xr.Dataset(made, coords=coords), "sample_stats": xr.Dataset()},
    )  # fmt: skip


def rates_by_hand(fit, panel, outcome, *, treated=True):
    """Give each row's mean at the last draw of the last chain, without the code that is tested."""
    at = fit.groups["posterior"].isel(chain=-1, draw=-1)
    place = fit.outcomes.index(outcome)
    one = at.isel(outcome=place) if "outcome" in at.dims else at
    rows = panel.rows(outcome).reset_index(drop=True)
    since = periods_since_training(rows.assign(refreshed=rows["again"]) if fit.model == "fading" else rows)
    means = []
    intercept, period, cluster, both = (
        one[name].to_numpy() for name in ("intercept", "period", "cluster", "cluster_period")
    )
    effects = (one["effect_given"].isel(injury=0) if place else one["effect"]).to_numpy().ravel()
    for number, row in enumerate(rows.to_dict("records")):
        k, t = ("east", "west").index(row["cluster"]), row["period"] - 1
        eta = float(intercept + period[t] + cluster[k] + both[k, t])
        if treated and row["treated"] > 0:
            effect = effects[fit.arms.index(row["arm"]) if len(fit.arms) > 1 else 0]
            if fit.model == "dose":
                eta += effect * float(one["dose_share"][: DOSES.index(row["treated"]) + 1].sum())
            elif fit.model == "fading":
                f = float(one["fading"])
                first = np.mean([math.exp(-f * s) for s in range(3)])  # the refresher comes in the fourth
                eta += effect * row["treated"] * math.exp(-f * since[number]) / first
            else:
                eta += effect * row["treated"]
        means.append(eta)
    if place:
        force = rates_by_hand(fit, panel, "force", treated=treated)
        return force * (1 + np.exp(-8 * np.array(means))) ** (-1 / 8)
    return rows["exposure"].to_numpy() * np.exp(means)


def by_hand(fit, panel):
    """Give the officers' log-likelihoods by densities of scipy, of totals with their parts or of cells."""
    at = fit.groups["posterior"].isel(chain=-1, draw=-1)
    rows = panel.rows("force").reset_index(drop=True)
    mean, found = rates_by_hand(fit, panel, "force"), []
    for _, own in rows.groupby("unit"):
        count, rate = own["count"].to_numpy(), mean[own.index]
        if "heterogeneity" in at:
            phi, total = float(at["heterogeneity"]), rate.sum()
            value = stats.nbinom.logpmf(count.sum(), phi, phi / (phi + total))
            value += stats.multinomial.logpmf(count, count.sum(), rate / total)
        else:
            size = float(at["dispersion"])
            cells = stats.nbinom.pmf(count, size, size / (size + rate))
            pi = float(at["zero_share"]) if "zero_share" in at else 0.0
            value = np.log((1 - pi) * cells + pi * (count == 0)).sum()
        if fit.model == "joint":
            hurt = panel.rows("injury").reset_index(drop=True)["count"].to_numpy()[own.index]
            chance = rates_by_hand(fit, panel, "injury")[own.index] / rate
            value += stats.binom.logpmf(hurt, count, chance).sum()
        found.append(value)
    return np.array(found)


@pytest.mark.parametrize("model", MODELS)
def test_each_officers_likelihood_is_that_of_scipy_row_by_row(panel, model):
    fit = fit_of(model, panel)
    found = unit_log_likelihood(fit, panel, fit.outcomes[-1], most_draws=100)
    assert found.shape == (CHAINS * DRAWS, OFFICERS)
    assert found[-1] == pytest.approx(by_hand(fit, panel), rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_the_untreated_rate_is_that_of_the_treated_rows_without_treatment(panel, model):
    """Its mean is that of the officers' gamma conditionals; bursts of single months are left at theirs."""
    fit, again = fit_of(model, panel), 4000
    last = fit.groups["posterior"].isel(chain=[-1], draw=[-1])
    fit = replace(fit, source={"posterior": last.isel(draw=np.zeros(again, int))})
    drawn = with_rates_at_hand(fit, panel)["untreated_rate"].to_numpy().reshape(again, -1)
    rows = panel.rows("force").reset_index(drop=True)
    treated, exposure = rows["treated"].to_numpy() > 0, rows["exposure"].to_numpy()
    unit = rows["unit"].factorize(sort=True)[0]
    weights = np.stack([
        np.bincount(unit, rates_by_hand(fit, panel, name, treated=False) * treated) for name in fit.outcomes
    ]) / exposure[treated].sum()  # fmt: skip
    if "heterogeneity" not in last:
        pi = float(last["zero_share"].squeeze()) if "zero_share" in last else 0.0
        assert drawn[:, 0] == pytest.approx((1 - pi) * weights.sum(), rel=1e-12)
        return
    phi = float(last["heterogeneity"].squeeze())
    shape = phi + np.bincount(unit, rows["count"])
    scale = 1 / (phi + np.bincount(unit, rates_by_hand(fit, panel, "force")))
    spread = np.atleast_2d(np.cov(drawn.T))
    assert spread == pytest.approx((weights * shape * scale**2) @ weights.T, rel=0.1)
    assert (abs(drawn.mean(axis=0) - weights @ (shape * scale)) < 4 * np.sqrt(np.diag(spread) / again)).all()


def test_events_averted_while_the_effect_fades_are_the_mean_of_the_first_periods(panel):
    """Not at the mean log rate ratio, which would claim more; an arm has its own."""
    fit = fit_of("fading", panel)
    fit = replace(fit, source={"posterior": with_rates_at_hand(fit, panel)})
    last, answers = fit.groups["posterior"].isel(chain=-1, draw=-1), []
    for arm, effect in zip(fit.arms, last["effect"].to_numpy(), strict=True):
        course = np.exp(-float(last["fading"]) * np.arange(3))
        ratio = np.exp(effect * course / course.mean()).mean()
        answers.append(float(last["untreated_rate"]) * (1 - ratio))
        one = replace(fit, source={"posterior": fit.groups["posterior"].isel(chain=[-1], draw=[-1])})
        found = one.answers(officers=1, periods_per_year=1).set_index("arm")["averted"]
        assert found[arm] == pytest.approx(answers[-1], rel=1e-12)
    assert answers[0] != pytest.approx(answers[1], rel=0.01)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_checked_by_replicates_by_leaving_out_and_by_power_scaling(panel, model):
    fit = check_fit(fit_of(model, panel, draws=60), panel)
    for outcome in fit.outcomes:
        checks = fit.checks[outcome]
        assert {"priors", "prior_incidents", "predictive", "power_scaling"} <= set(checks)
        alone = model == "joint" and outcome != "force"
        assert ("left_out" in checks) is not alone
        assert ("officers" in checks) is ("heterogeneity" in fit.groups["posterior"] and not alone)
        for figure in checks["predictive"]:
            if "variance" not in figure["figure"] and "share" not in figure["figure"]:
                ends = [figure[end] for end in ("low", "median", "high")]
                assert ends == [round(end) for end in ends], "counts are whole numbers"


def test_zeros_and_bursts_of_replicates_are_those_of_their_distribution(panel):
    """Replicates of one draw: zeros, mean and variance of the zero-inflated model in closed form."""
    rates = unit_rates(fit_of("zero-inflated", panel), panel, "force", most_draws=100)
    rng = np.random.default_rng(2)
    made = np.stack([replicate(rates, 0, rng) for _ in range(4000)])
    mean = rates.exposure * np.exp(rates.log_rate[0] + rates.log_effect[0])[rates.row_cell]
    phi, pi = rates.dispersion[0], rates.surplus[0]
    zeros = pi + (1 - pi) * (phi / (phi + mean)) ** phi
    variance = (1 - pi) * (mean + mean**2 / phi) + pi * (1 - pi) * mean**2
    assert (made == 0).mean() == pytest.approx(zeros.mean(), abs=0.004)
    assert made.mean() == pytest.approx((1 - pi) * mean.mean(), rel=0.02)
    assert made.var(axis=0).sum() == pytest.approx(variance.sum(), rel=0.05)


def test_of_too_many_draws_evenly_spaced_ones_of_every_chain_are_taken(panel):
    fit = fit_of("marginal", panel)
    drawn = fit.groups["posterior"]["heterogeneity"].to_numpy()
    for most, taken in ((100, drawn), (6, drawn), (5, drawn[:, ::2]), (4, drawn[:, ::2]), (3, drawn[:, ::2])):
        found = unit_rates(fit, panel, "force", most_draws=most).heterogeneity
        assert np.array_equal(found, taken.ravel()), "chain after chain"


def test_an_officers_effect_on_injuries_is_asked_of_force(panel):
    fit = fit_of("joint", panel)
    assert len(officer_effects(fit, panel, outcome="force")) == OFFICERS
    with pytest.raises(rct.EstimationError, match='is on force, not on injury: ask for outcome="force"'):
        officer_effects(fit, panel, outcome="injury")


def test_another_panel_is_refused_whatever_the_model(panel):
    fewer = panel.frame[panel.frame["unit"] != "o01"]
    other = rct.Panel.from_frame(fewer, unit="unit", period="period", outcomes=["force"], treated="treated")
    for model in ("fading", "negative-binomial"):
        with pytest.raises(rct.DataError, match="the panel is not the one that was fitted"):
            check_fit(fit_of(model, panel), other)


def test_other_clusters_of_the_same_officers_are_another_panel(panel):
    other = panel.frame.assign(cluster=panel.frame["unit"].str[-1].astype(int) % 3)
    other["cluster"] = other["cluster"].astype(str)
    columns = {"unit": "unit", "period": "period", "treated": "treated", "cluster": "cluster"}
    third = rct.Panel.from_frame(other, outcomes=["force"], **columns)
    with pytest.raises(
        rct.DataError, match=r"12 units in \d clusters with .* where the fit had 12 in 2 with"
    ):
        unit_rates(fit_of("marginal", panel), third, "force", most_draws=10)


def test_without_the_effects_of_division_months_no_officer_has_a_rate(panel):
    """Without them it would be the rate of another division-month."""
    fit = fit_of("marginal", panel)
    lacking = replace(fit, source={"posterior": fit.groups["posterior"].drop_vars("cluster_period")})
    with pytest.raises(rct.EstimationError, match="gives no expected events of single units"):
        unit_rates(lacking, panel, "force", most_draws=10)


def test_leaving_officers_out_is_arviz_of_all_draws(panel):
    """ArviZ's own loo of the officers' log-likelihoods; of fewer draws k is noise."""
    import warnings

    import arviz as az

    fit = fit_of("marginal", panel, draws=400)
    found = check_fit(fit, panel).checks["force"]["left_out"]
    likelihood = unit_log_likelihood(fit, panel, "force", most_draws=CHAINS * 400)
    groups = {
        "posterior": fit.groups["posterior"][["effect"]],
        "log_likelihood": xr.Dataset(
            {"y": (("chain", "draw", "unit"), likelihood.reshape(CHAINS, 400, OFFICERS))}
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = az.loo(arviz_data(groups), pointwise=True, reff=1.0)
    each = np.asarray(whole.loo_i if hasattr(whole, "loo_i") else whole.elpd_i)
    assert found["elpd"] == pytest.approx(each.sum())
    assert found["elpd_std_error"] == pytest.approx(math.sqrt(OFFICERS) * each.std(ddof=1))
    assert found["largest_k"] == pytest.approx(float(np.asarray(whole.pareto_k).max()))
    assert found["units_above"] == int((np.asarray(whole.pareto_k) >= 0.7).sum())


def test_officers_randomized_alone_share_their_cells(panel):
    """A cell for each officer and month made rates of thousands of officers too large for any memory."""
    draws_of_chain = 20  # enough for the tail that ArviZ fits
    fit = fit_of("marginal", panel, draws=draws_of_chain)
    draws = fit.groups["posterior"].drop_vars(["cluster", "cluster_period"])
    alone = replace(
        fit,
        source={"posterior": draws},
        priors=fit.priors | {"cluster_sd": False, "cluster_period_sd": False},
    )
    rates = unit_rates(alone, panel, "force", most_draws=100)
    rows = panel.rows("force")
    assert len(rates.cells) == len(rows[["period", "arm", "treated"]].drop_duplicates()) < len(rows) / 2
    whole = unit_rates(fit, panel, "force", most_draws=100)
    places = fit.groups["posterior"]["cluster"].to_numpy().reshape(CHAINS * draws_of_chain, -1)
    both = fit.groups["posterior"]["cluster_period"].to_numpy().reshape(CHAINS * draws_of_chain, 2, -1)
    k, t = (rows["cluster"] == "west").to_numpy().astype(int), rows["period"].to_numpy() - 1
    found = (rates.log_rate + rates.log_effect)[:, rates.row_cell] + places[:, k] + both[:, k, t]
    assert found == pytest.approx((whole.log_rate + whole.log_effect)[:, whole.row_cell])
    names = [row["figure"] for row in check_fit(alone, panel).checks["force"]["predictive"]]
    assert "events in east" in names
