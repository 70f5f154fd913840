"""Negative binomial regression against statsmodels and glmmTMB."""

import numpy as np
import pytest
from scipy.special import betaln, roots_sh_jacobi
from scipy.stats import nbinom

from rct.errors import ConvergenceError, DataError, EstimationError
from rct.frequentist import beta_dispersions, negative_binomial, poisson, random_rate_negative_binomial
from rct.frequentist.pooled_rates import pooled_rates
from rct.panel import Panel

from .conftest import officer_panel


def test_the_joint_fit_of_six_hundred_chicago_officers_is_found_again(chicago_600, references):
    reference = references["nb2_pooled/sub600/complaints/observed_info"]
    ours = negative_binomial(chicago_600, "complaints")
    assert ours.estimate == pytest.approx(reference["value"], rel=reference["tolerance"]["rel"])
    assert ours.std_error == pytest.approx(reference["se"], rel=reference["tolerance"]["rel_se"])
    assert ours.notes["dispersion"] == pytest.approx(reference["alpha"], rel=1e-6)
    assert ours.notes["log_likelihood"] == pytest.approx(reference["llf"], abs=1e-6)
    # R's standard error holds the dispersion fixed.
    mass = references["MASS_glm.nb_pooled/sub600/complaints"]
    assert ours.estimate == pytest.approx(mass["value"], rel=mass["tolerance"]["rel"])
    assert ours.notes["dispersion"] == pytest.approx(1 / mass["theta"], rel=1e-6)


def test_glmm_tmb_s_fit_with_random_rates_is_found_again(chicago_600, references):
    reference = references["glmmTMB_nbinom2_ri/sub600/complaints"]
    ours = negative_binomial(chicago_600, "complaints", random_effects="normal")
    assert ours.estimate == pytest.approx(reference["value"], rel=reference["tolerance"]["rel"])
    assert ours.std_error == pytest.approx(reference["se"], rel=reference["tolerance"]["rel_se"])
    assert ours.notes["random_effects_sd"] == pytest.approx(reference["sd_uid"], rel=1e-3)
    assert 1 / ours.notes["dispersion"] == pytest.approx(reference["theta"], rel=1e-3)
    assert ours.notes["log_likelihood"] == pytest.approx(reference["logLik"], abs=1e-3)


def test_the_slopes_of_the_approximated_likelihood_are_its_derivatives(unequal_exposure):
    pooled = pooled_rates(
        unequal_exposure, "force", model="", fixed_effects=(), covariates=["tenure"], level=0.95
    )
    point, variances = np.array([-0.2, 0.01, -6.0]), np.array([-0.4, 0.7])

    def at(shift):
        return random_rate_negative_binomial._laplace(pooled, point + shift, variances, np.zeros(90))

    for own in np.eye(3) * 1e-4:
        slope = (at(own).value - at(-own).value) / 2e-4
        assert np.sum(own * at(0).score) / 1e-4 == pytest.approx(slope, rel=1e-5)


def beta_mixture(frame, ratio, intercept, tenure, r, s):
    """Log-likelihood of the units, the probability integrated out by Gauss–Jacobi quadrature."""
    nodes, weights = roots_sh_jacobi(80, r + s - 1, r)
    total = 0.0
    for _, own in frame.groupby("officer"):
        size = own["hours"] * np.exp(intercept + ratio * own["treated"] + tenure * own["tenure"])
        each = nbinom.pmf(own["force"].to_numpy()[:, None], size.to_numpy()[:, None], nodes)
        total += np.log(weights @ np.prod(each, axis=0)) - betaln(r, s)
    return total


def test_gamma_random_effects_maximize_the_mixture_of_negative_binomials(officers):
    # Odd officers have twice the events of even ones, in busts: their dispersion differs.
    busy = officers["officer"].astype(int) % 2
    frame = officers.assign(
        hours=1.0,
        force=officers["force"] * (1 + busy * (1 + 3 * (officers["month"] % 5 == 0))),
        tenure=officers["tenure"] - officers["tenure"].mean(),  # the intercept is at the mean of a covariate
    )
    panel = officer_panel(frame)
    options = {"fixed_effects": (), "covariates": ["tenure"]}
    ours = negative_binomial(panel, "force", random_effects="gamma", **options)
    pooled = pooled_rates(panel, "force", model="", level=0.95, **options)
    fit = beta_dispersions.fit_beta_dispersions(pooled, np.array([0.0, 0.0, np.log(frame["force"].mean())]))
    at = np.array([*fit.coefficients[[0, 2, 1]], fit.r, fit.s])
    here = beta_mixture(frame, *at)
    assert ours.notes["log_likelihood"] == pytest.approx(here, abs=1e-6)
    assert ours.estimate == pytest.approx(at[0], abs=1e-6)
    for step in np.diag([0.05, 0.05, 0.005, 0.1 * fit.r, 0.1 * fit.s]):
        assert beta_mixture(frame, *(at + step)) < here
        assert beta_mixture(frame, *(at - step)) < here
    step = np.array([0.01, 0, 0, 0, 0])
    curvature = (2 * here - beta_mixture(frame, *(at + step)) - beta_mixture(frame, *(at - step))) / 1e-4
    point = np.r_[fit.coefficients, np.log([fit.r, fit.s])]
    assert beta_dispersions._information(pooled, point)[0, 0] == pytest.approx(curvature, rel=1e-3)


def test_random_rates_that_the_counts_do_not_show_are_refused(officers):
    frame = officers.assign(hours=1.0, force=(officers["officer"].astype(int) + officers["month"]) % 2)
    with pytest.raises(ConvergenceError, match="do not tell the spread"):
        negative_binomial(officer_panel(frame), "force", random_effects="normal")


@pytest.mark.parametrize("name", ["cluster_CR0", "model"])
def test_the_pooled_poisson_fit_of_the_same_officers_is_found_again(chicago_600, references, name):
    reference = references[f"poisson_pooled/sub600/complaints/{name}"]
    options = {"correction": "model"} if name == "model" else {"cluster": "unit", "correction": "CR0"}
    ours = poisson(chicago_600, "complaints", fixed_effects=("period",), **options)
    assert ours.estimate == pytest.approx(reference["value"], rel=reference["tolerance"]["rel"])
    assert ours.std_error == pytest.approx(reference["se"], rel=reference["tolerance"]["rel_se"])


def test_the_fixed_effects_fit_of_the_same_officers_is_found_again(chicago_600, references):
    for name, correction in (("fepois_raw", "CR0"), ("fepois_ssc", "CR1N")):
        reference = references[f"{name}/sub600/complaints"]
        ours = poisson(chicago_600, "complaints", cluster="unit", correction=correction)
        assert ours.estimate == pytest.approx(reference["value"], rel=reference["tolerance"]["rel"])
        assert ours.std_error == pytest.approx(reference["se"], rel=reference["tolerance"]["rel_se"])


def test_exposure_and_covariates_equal_statsmodels(officers, unequal_exposure):
    import statsmodels.discrete.discrete_model as discrete
    import statsmodels.formula.api as smf

    frame = officers.assign(hours=officers["hours"])
    theirs = smf.negativebinomial(
        "force ~ treated + tenure + C(month)", frame, exposure=frame["hours"].to_numpy()
    ).fit(method="newton", tol=1e-12, disp=0, maxiter=200)
    assert isinstance(theirs.model, discrete.NegativeBinomial)
    ours = negative_binomial(unequal_exposure, "force", covariates=["tenure"])
    assert ours.notes["dispersion"] == pytest.approx(theirs.params["alpha"], rel=1e-6)
    assert ours.estimate == pytest.approx(theirs.params["treated"], rel=1e-6)
    assert ours.std_error == pytest.approx(theirs.bse["treated"], rel=1e-5)
    assert "rows of a unit as independent" in ours.warning


def test_counts_that_vary_less_than_poisson_counts_have_no_dispersion(officers):
    frame = officers.assign(hours=1.0, force=(officers["officer"].astype(int) + officers["month"]) % 2)
    panel = officer_panel(frame)
    ours = negative_binomial(panel, "force")
    same = poisson(panel, "force", fixed_effects=("period",), correction="model")
    assert ours.notes["dispersion"] == 0
    assert (ours.estimate, ours.std_error) == pytest.approx((same.estimate, same.std_error), rel=1e-8)


def test_several_arms_have_a_ratio_each(officers):
    frame = officers.assign(arm=np.where(officers["squad"].isin(["squad 1", "squad 4"]), "A", "B"))
    frame.loc[frame["start"] == 0, "arm"] = "usual"
    panel = Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="start", arm="arm"
    )
    assert [(row.arm, row.reference) for row in negative_binomial(panel, "force")] == [
        ("A", "usual"),
        ("B", "usual"),
    ]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f.assign(start=0), {}, "no row of the panel is treated"),
        (lambda f: f.assign(start=6), {}, "treated: explained by the fixed effects"),
        (lambda f: f.assign(force=0), {}, "no event in any row"),
        (lambda f: f.assign(force=f["force"] * (1 - f["treated"])), {}, "no event carries information on"),
        (lambda f: f.assign(tenure=3), {"covariates": ["tenure"]}, "tenure: explained by"),
        (lambda f: f, {"fixed_effects": ("unit", "period")}, "takes no unit effects"),
        (lambda f: f, {"level": 95}, "level"),
        (lambda f: f, {"random_effects": "beta"}, "random_effects must be"),
        (
            lambda f: f.assign(tenure=np.where(f["force"] > 0, 0, 1 + f["month"] % 2)),
            {"covariates": ["tenure"]},
            "separation",
        ),
    ],
)
def test_a_design_without_an_answer_is_refused(officers, change, options, message):
    with pytest.raises(EstimationError, match=message):
        negative_binomial(officer_panel(change(officers)), "force", **options)


def test_fractions_are_refused(officers):
    panel = officer_panel(officers.assign(force=officers["force"] / 2))
    with pytest.raises(DataError, match="fractional values"):
        negative_binomial(panel, "force")
