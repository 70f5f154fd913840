"""The likelihood of each model against scipy's, or against the marginal model where they must coincide."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import rct
from rct.bayesian.agency_fit import AGENCIES
from rct.bayesian.count_rows import count_rows
from rct.bayesian.fading_effect import periods_since_training, rows_since_training, window
from rct.bayesian.fitting import MODELS, model_inputs, model_priors
from rct.bayesian.injuries_within_force import _correlation_factor, nested_rows, require_equal_trends, thinned
from rct.bayesian.monotone_dose import rows_by_dose
from rct.bayesian.overdispersed_cells import cell_log_likelihood
from rct.bayesian.stated_in_pymc import stated
from rct.prior_words import in_words

OFFICERS, MONTHS = 24, 6


def frame_of(seed=3):
    """Officers of six squads, injuries within force, one squad trained each month from the second on."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        [(f"o{i:02d}", f"s{i % 6}", 2 + i % 6, t) for i in range(OFFICERS) for t in range(1, MONTHS + 1)],
        columns=["officer", "squad", "start", "month"],
    )
    frame["force"] = rng.poisson(1.5, len(frame))
    frame["citizen"] = rng.binomial(frame["force"], 0.4)
    frame["injured"] = rng.binomial(frame["force"], 0.2)
    frame["trained"] = (frame["month"] >= frame["start"]).astype(float)
    frame["days"] = rng.uniform(0.5, 1.5, len(frame))
    return frame


def panel_of(frame, **options):
    used = {"outcomes": ["force", "citizen", "injured"], "treated": "trained", "cluster": "squad"}
    return rct.Panel.from_frame(frame, unit="officer", period="month", **(used | options))


def built(name, panel, outcomes, priors=None):
    model = MODELS[name]
    rows = model.prepare(count_rows(panel, outcomes))
    return stated(model, model_inputs(model, rows, model_priors(model, rows, priors)))


@cache
def start_and_log_density(model):
    return model.initial_point(), model.compile_logp(mode="FAST_COMPILE")


def density(model, **values):
    """Log-density at the model's start with some values instead."""
    start, log_density = start_and_log_density(model)
    return float(log_density(start | {name: np.asarray(value) for name, value in values.items()}))


def constants(*values):
    import pytensor.tensor as pt

    return [pt.as_tensor_variable(np.asarray(value, dtype=float)) for value in values]


def probability(nu):
    """The bent log link by scipy: the type I generalized logistic distribution function."""
    return stats.genlogistic.cdf(8 * np.asarray(nu), 1 / 8)


def test_injuries_within_force_are_binomial():
    force, injuries, nu = np.array([[[5.0, 9.0, 4.0]]]), np.array([[[2.0, 0.0, 1.0]]]), [[[-0.3, -2.0, 1.0]]]
    found = thinned(*constants(injuries, force, nu)).eval(mode="FAST_COMPILE")
    coefficient = stats.binom.logpmf(injuries, force, 0.5) - force * np.log(0.5)
    right = stats.binom.logpmf(injuries, force, probability(nu))
    assert found + coefficient == pytest.approx(right, rel=1e-9)


def test_up_to_one_half_the_link_is_the_logarithm_and_beyond_one_it_never_ends():
    nu = np.log([[[0.01, 0.2, 0.5]]])
    all_hurt = thinned(*constants([[[1.0] * 3]], [[[1.0] * 3]], nu)).eval(mode="FAST_COMPILE")
    assert all_hurt == pytest.approx(nu, abs=5e-4)
    beyond = thinned(*constants([[[2.0] * 3]], [[[3.0] * 3]], [[[1.0, 2.0, 4.0]]])).eval(mode="FAST_COMPILE")
    assert np.diff(beyond).ravel() == pytest.approx([-8, -16], abs=1e-2)


def test_the_prior_of_injuries_given_force_is_said_with_the_link_that_it_has():
    low, middle, high = 100 * probability(-1.5 + np.array([-1.96, 0, 1.96]) * 0.7)
    words = in_words("intercept_given", {"normal": [-1.5, 0.7]})
    assert f"{middle:.0f} % of force incidents (95 % from {low:.0f} % to {high:.0f} %)" in words
    assert high < 86


def test_the_sd_of_clusters_keeps_its_half_normal_prior():
    import pymc as pm

    sd = pm.draw(built("stepped-wedge", panel_of(frame_of()), ["force"])["cluster_sd"], 500, random_seed=1)
    assert stats.kstest(sd, stats.halfnorm(scale=0.3).cdf).pvalue > 0.01


def test_effects_on_injuries_are_those_on_force_plus_those_given_force():
    model = built("joint", panel_of(frame_of()), ["force", "citizen", "injured"])
    import pymc as pm

    force, given, whole = pm.draw(
        [model[n] for n in ("effect_on_force", "effect_given", "effect")], random_seed=1
    )
    assert whole == pytest.approx(np.r_[force, force + given])
    assert model.named_vars_to_dims["effect"] == ("outcome",)


def test_correlations_of_divisions_are_lkj():
    """Under LKJ(2) of three, (1 + r) / 2 is Beta(2.5, 2.5) for each r, and the mean determinant is 5/9."""
    import pymc as pm

    with pm.Model():
        factor = _correlation_factor(3, 2.0)
        matrix = factor @ factor.T
    draws = pm.draw(matrix, 2000, random_seed=1)
    for i, j in ((1, 0), (2, 0), (2, 1)):
        assert stats.kstest((1 + draws[:, i, j]) / 2, stats.beta(2.5, 2.5).cdf).pvalue > 0.01
    assert draws[:, 0, 0] == pytest.approx(1)
    assert np.linalg.det(draws).mean() == pytest.approx(5 / 9, abs=0.02)


def test_the_joint_density_of_injuries_is_added_to_that_of_force():
    """Moving only what injuries depend on moves the density by the beta-binomial's change and the prior's."""
    frame = frame_of()
    no_clusters = {"cluster_sd": False, "cluster_period_sd": False, "cluster_correlation": False}  # fmt: skip
    model = built("joint", panel_of(frame), ["force", "citizen"], no_clusters)
    cells = frame.groupby(["squad", "month", "trained"], as_index=False)[["force", "citizen"]].sum()
    change = [density(model, intercept=[-1.0, -1.2], effect_given=[d]) for d in (0.0, -0.5)]

    def binomial(d):
        p = probability(-1.2 + d * cells["trained"])
        return stats.binom.logpmf(cells["citizen"], cells["force"], p).sum() + stats.norm.logpdf(d, 0, 0.3)

    assert change[1] - change[0] == pytest.approx(binomial(-0.5) - binomial(0.0), rel=1e-9)


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (["force"], "only 'force' was given"),
        (["citizen", "force"], "'force' is above 'citizen' in .* rows"),
    ],
)
def test_injuries_that_are_no_part_of_force_are_refused(outcomes, message):
    with pytest.raises(rct.EstimationError, match=message):
        rct.bayesian.fit(panel_of(frame_of()), outcomes, model="joint", seed=1)


def test_one_injury_more_than_incidents_or_another_exposure_is_no_part_of_force():
    frame = frame_of()
    frame.loc[7, "citizen"] = frame.loc[7, "force"] + 1
    with pytest.raises(rct.EstimationError, match=r"in 1 rows \(first: unit o01, period 2\)"):
        nested_rows(count_rows(panel_of(frame), ["force", "citizen"]))
    frame.loc[7, "citizen"] = frame.loc[7, "force"]
    assert nested_rows(count_rows(panel_of(frame), ["force", "citizen"])).outcomes == ["force", "citizen"]
    apart = panel_of(frame.assign(ones=1.0), exposure={"force": "ones", "citizen": "days", "injured": "ones"})
    with pytest.raises(rct.EstimationError, match="'citizen' and 'force' are not observed .* same exposure"):
        nested_rows(count_rows(apart, ["force", "citizen"]))


def test_refreshers_start_the_time_since_training_again():
    rows = pd.DataFrame(
        {
            "unit": ["a"] * 6 + ["b"] * 3,
            "randomized": ["a"] * 6 + ["b"] * 3,
            "starts": [2] * 6 + [1] * 3,
            "period": [1, 2, 3, 4, 5, 6, 1, 2, 3],
            "treated": [0, 1, 1, 1, 1, 1, 1, 0, 1],
            "refreshed": [0, 0, 0, 0, 1, 0, 0, 1, 0],
        }
    )
    assert periods_since_training(rows).tolist() == [0, 0, 1, 2, 0, 1, 0, 0, 0]
    assert periods_since_training(rows.drop(columns="refreshed")).tolist() == [0, 0, 1, 2, 3, 4, 0, 0, 0]
    shuffled = rows.sample(frac=1, random_state=2)
    assert periods_since_training(shuffled).tolist() == [
        periods_since_training(rows)[i] for i in shuffled.index
    ]


def test_an_officer_on_leave_when_training_began_is_not_fresh_from_it():
    """Of squad s, trained in period 2, an officer comes in period 4; so does one randomized alone."""
    rows = pd.DataFrame(
        {
            "unit": ["a"] * 5 + ["b"] * 2 + ["c"] * 2,
            "randomized": ["s"] * 7 + ["c"] * 2,
            "starts": [2] * 9,
            "period": [1, 2, 3, 4, 5, 4, 5, 4, 5],
            "treated": [0] + [1] * 8,
        }
    )
    assert periods_since_training(rows).tolist() == [0, 0, 1, 2, 3, 2, 3, 2, 3]
    again = rows.assign(refreshed=[0, 0, 0, 0, 1, 0, 0, 0, 0])
    assert periods_since_training(again).tolist() == [0, 0, 1, 2, 0, 2, 3, 2, 3], "the refresher is a's own"


def test_a_fading_effect_is_a_dose_that_falls():
    """The density moves with the effect as the marginal model's does at the doses of the same course."""
    frame = frame_of()
    since = (frame["month"] - frame["start"]).clip(lower=0)
    share = np.exp(-0.3 * since) / np.exp(-0.3 * np.arange(since.max() + 1)).mean()
    as_dose = frame.assign(trained=frame["trained"] * share)
    fading = built("fading", panel_of(frame), ["force"])
    marginal = built("marginal", panel_of(as_dose), ["force"])
    change = [density(fading, effect=e, fading_log__=np.log(0.3)) for e in (0.2, -0.6)]
    expected = [density(marginal, effect=e) for e in (0.2, -0.6)]
    assert change[1] - change[0] == pytest.approx(expected[1] - expected[0], rel=1e-9)


def test_refreshers_belong_to_the_fading_model_and_are_zero_or_one():
    frame = frame_of().assign(again=2)
    with pytest.raises(rct.EstimationError, match='belongs to the model "fading"'):
        rct.bayesian.fit(panel_of(frame), "force", refresher="again", seed=1)
    with pytest.raises(rct.EstimationError, match="no column 'again'"):
        rct.bayesian.fit(panel_of(frame), "force", model="fading", refresher="again", seed=1)
    panel = panel_of(frame, covariates=("again",))
    with pytest.raises(rct.EstimationError, match="other values than 0 and 1"):
        rct.bayesian.fit(panel, "force", model="fading", refresher="again", seed=1)


def test_steps_of_the_dose_in_proportion_are_the_log_linear_model():
    frame = frame_of()
    frame["trained"] *= 0.25 * (1 + frame["officer"].str[-1].astype(int) % 4)
    dose = built("dose", panel_of(frame), ["force"])
    marginal = built("marginal", panel_of(frame), ["force"])
    start = dose.initial_point()["dose_share_simplex__"]
    assert start == pytest.approx([0, 0, 0])
    change = [density(dose, effect=e) for e in (0.2, -0.6)]
    expected = [density(marginal, effect=e) for e in (0.2, -0.6)]
    assert change[1] - change[0] == pytest.approx(expected[1] - expected[0], rel=1e-9)


def test_what_fades_and_what_grows_says_of_which_periods_and_dose_it_speaks():
    frame = frame_of()
    rows = rows_since_training(count_rows(panel_of(frame), ["force"]))
    for longest, periods in ((4, 5), (11, 12), (20, 12)):
        course = pd.DataFrame({"treated": [0.0] + [1.0] * (longest + 1), "since": [30, *range(longest + 1)]})
        timed = replace(rows, rows={"force": course})
        assert window(timed) == periods
        assert MODELS["fading"].estimand(timed).endswith(f"mean over periods 1–{periods} in training")
    frame["trained"] *= np.where(frame["officer"].str[-1].astype(int) % 2, 0.25, 0.75)
    frame["kind"] = np.where(frame["officer"].str[-1].astype(int) % 2, "short", "long")
    dosed = rows_by_dose(count_rows(panel_of(frame, arm="kind"), ["force"]))
    assert dosed.arms == ["dose 0.75"]
    assert MODELS["dose"].estimand(dosed).endswith("at dose 0.75, the highest")
    by_dose = dosed.rows["force"].groupby("treated")["level"].unique()
    assert [list(by_dose[dose]) for dose in (0.0, 0.25, 0.75)] == [[0], [1], [2]]


def test_trends_of_force_and_of_injuries_given_force_are_of_one_kind():
    normal, walk = {"zero-sum-normal": [1.0]}, {"random-walk": [0.5]}
    for period, given in ((False, normal), (normal, False), (normal, walk)):
        with pytest.raises(rct.EstimationError, match="period and period_given need the same distribution"):
            require_equal_trends({"period": period, "period_given": given})
    for period, given in ((False, False), (normal, normal), (walk, {"random-walk": [0.1]})):
        require_equal_trends({"period": period, "period_given": given})


def test_chains_are_judged_by_every_number_that_the_effects_rest_on():
    of_all = {"effect", "heterogeneity", "dispersion", "zero_share", "fading", "dose_share", "effect_given",
              "cluster_sd", "cluster_period_sd", "agency_sd"}  # fmt: skip
    for model in (*MODELS.values(), AGENCIES):
        assert set(model.judged) == of_all & set(model.terms)


def test_one_dose_is_no_dose_response():
    with pytest.raises(rct.EstimationError, match="needs at least two doses; the panel has 1"):
        rct.bayesian.fit(panel_of(frame_of()), "force", model="dose", seed=1)


def test_a_wedge_model_is_the_marginal_one_and_keeps_its_cluster_terms():
    panel = panel_of(frame_of())
    wedge, marginal = (built(name, panel, ["force"]) for name in ("stepped-wedge", "marginal"))
    assert density(wedge, effect=-0.3) == pytest.approx(density(marginal, effect=-0.3), rel=1e-12)
    with pytest.raises(rct.EstimationError, match='"stepped-wedge" has cluster_period_sd'):
        rct.bayesian.fit(panel, "force", model="stepped-wedge", priors={"cluster_period_sd": False}, seed=1)
    with pytest.raises(rct.EstimationError, match='"stepped-wedge" has cluster_sd'):
        rct.bayesian.fit(panel_of(frame_of(), cluster=None), "force", model="stepped-wedge", seed=1)


@pytest.mark.parametrize("surplus", [None, 0.15])
def test_cells_are_negative_binomial_with_surplus_zeros(surplus):
    import pytensor.tensor as pt

    frame = frame_of()
    frame.loc[frame["officer"].str[-1].astype(int) % 2 == 0, "days"] = 1.0
    model = MODELS["negative-binomial"]
    rows = count_rows(panel_of(frame.drop(index=[5, 17]), exposure="days"), ["force"])
    tables = model_inputs(model, rows, model_priors(model, rows, None)).tables
    eta = -0.2 + 0.1 * np.arange(MONTHS) - 0.5 * tables["dose_0"]
    shared = {name: pt.as_tensor_variable(values) for name, values in tables.items()}
    size, pi = 0.8, surplus or 0.0
    found = cell_log_likelihood(
        shared, *constants(eta, [size]), None if surplus is None else constants([surplus])[0]
    ).eval(mode="FAST_COMPILE")
    one = rows.rows["force"]
    mean = one["exposure"] * np.exp(-0.2 + 0.1 * (one["period"] - 1) - 0.5 * one["treated"])
    each = (1 - pi) * stats.nbinom.pmf(one["count"], size, size / (size + mean)) + pi * (one["count"] == 0)
    assert found == pytest.approx(np.log(each).sum(), rel=1e-10)


def test_blocks_that_differ_in_the_share_treated_have_time_trends_of_their_own():
    frame = frame_of().assign(
        district=lambda f: np.where(f["squad"].isin(["s0", "s1", "s2"]), "north", "south")
    )
    model = built("marginal", panel_of(frame, block="district"), ["force"])
    assert model.named_vars_to_dims["period"] == ("block_name", "period_number")
    assert model.named_vars_to_dims["block"] == ("block_name",)
    even = frame.assign(district=np.where(frame["officer"].str[1:].astype(int) < 12, "north", "south"))
    model = built("marginal", panel_of(even, block="district"), ["force"])
    assert model.named_vars_to_dims["period"] == ("period_number",)


def test_every_term_has_a_default_and_words():
    from rct.bayesian.agency_fit import AGENCIES
    from rct.bayesian.priors import DEFAULTS, DISTRIBUTIONS
    from rct.posterior import MODEL_WORDS
    from rct.prior_words import in_words

    terms = {term for model in (*MODELS.values(), AGENCIES) for term in model.terms}
    assert terms == set(DEFAULTS) == set(DISTRIBUTIONS)
    assert set(MODEL_WORDS) >= set(MODELS)
    for term, prior in DEFAULTS.items():
        assert ":" in in_words(term, prior)


def test_a_trial_with_several_models_gives_each_the_priors_it_has():
    from rct.bayesian.fitting import priors_of_model

    asked = {"effect": {"normal": [0, 1]}, "fading": {"gamma": [2, 20]}, "efect": {"normal": [0, 1]}}
    assert set(priors_of_model("fading", asked)) == {"effect", "fading", "efect"}
    assert set(priors_of_model("marginal", asked)) == {"effect", "efect"}


def test_exposure_that_varies_between_officers_is_one_product():
    """Expected events of strips against a loop over officers."""
    import pytensor.tensor as pt

    from rct.bayesian.marginal_poisson import expected_events

    frame = frame_of()
    rows = count_rows(panel_of(frame, exposure="days"), ["force"])
    model = MODELS["marginal"]
    tables = model_inputs(
        model, rows, model_priors(model, rows, {"cluster_sd": False, "cluster_period_sd": False})
    ).tables
    assert tables["exposure"].shape[1:] == (6, 4, MONTHS)
    eta = -0.2 + 0.1 * np.arange(MONTHS) - 0.5 * tables["dose_0"]
    shared = {name: pt.as_tensor_variable(values) for name, values in tables.items()}
    found = expected_events(shared, pt.as_tensor_variable(eta)).eval(mode="FAST_COMPILE")
    rate = np.exp(-0.2 + 0.1 * (frame["month"] - 1) - 0.5 * frame["trained"])
    expected = (frame["days"] * rate).groupby(frame["officer"]).sum()
    assert np.sort(found.ravel()) == pytest.approx(np.sort(expected), rel=1e-12)
