"""Generalized estimating equations against geepack and statsmodels."""

import numpy as np
import pytest

from rct.errors import EstimationError
from rct.frequentist import estimating_equations, gee, poisson
from rct.frequentist.pooled_rates import pooled_rates
from rct.panel import Panel

from .conftest import officer_panel

CASES = [
    (name, correlation, effects)
    for name, correlation in (
        ("geeglm_independence", "independence"),
        ("geeglm_exchangeable", "exchangeable"),
        ("geeglm_ar1", "ar1"),
        ("smGEE_independence", "independence"),
        ("smGEE_exchangeable", "exchangeable"),
    )
    for effects in ("year", "period")
    if name.startswith("geeglm") or effects == "year"
]


@pytest.mark.parametrize(("name", "correlation", "effects"), CASES)
def test_fits_of_six_hundred_chicago_officers_are_found_again(
    chicago_600, references, name, correlation, effects
):
    key = f"{name}{'_yearFE' if effects == 'year' else ''}/sub600/complaints"
    reference = references[key]
    ours = gee(chicago_600, "complaints", fixed_effects=(effects,), correlation=correlation)
    assert ours.estimate == pytest.approx(reference["value"], rel=reference["tolerance"]["rel"])
    assert ours.std_error == pytest.approx(reference["se"], rel=reference["tolerance"]["rel_se"])


def squads(officers):
    """Totals of the squads: one row for each cluster and period."""
    totals = officers.groupby(["squad", "month", "start"], as_index=False)[["force", "hours"]].sum()
    return totals.assign(treated=((totals["start"] > 0) & (totals["month"] >= totals["start"])).astype(int))


def squad_panel(frame):
    return Panel.from_frame(
        frame, unit="squad", period="month", outcomes=["force"], starts="start", exposure="hours"
    )


@pytest.mark.parametrize("correction", ["kauermann-carroll", "mancl-derouen"])
def test_a_direction_that_one_cluster_determines_adds_nothing(officers, correction):
    """With an indicator of its own a squad's residuals add up to nothing there: (I - H) has a zero."""
    import statsmodels.api as sm

    frame = officers.assign(own=(officers["squad"] == "squad 3").astype(float))
    months = np.unique(frame["month"])[1:] == frame["month"].to_numpy()[:, None]
    design = np.column_stack([frame[["treated", "own"]], np.ones(len(frame)), months]).astype(float)
    fit = sm.GLM(frame["force"], design, family=sm.families.Poisson(), exposure=frame["hours"]).fit(tol=1e-13)
    mean, counts = np.asarray(fit.mu), frame["force"].to_numpy()
    bread = np.linalg.inv(design.T @ (mean[:, None] * design))
    meat = np.zeros_like(bread)
    for squad in frame["squad"].unique():
        rows = (frame["squad"] == squad).to_numpy()
        root = np.sqrt(mean[rows])
        scaled = root[:, None] * design[rows]
        values, vectors = np.linalg.eigh(np.eye(len(root)) - scaled @ bread @ scaled.T)
        power = -0.5 if correction == "kauermann-carroll" else -1.0
        grown = np.array([value**power if value > 1e-8 else 0.0 for value in values])
        residual = vectors @ (grown * (vectors.T @ ((counts[rows] - mean[rows]) / root)))
        meat += np.outer(scaled.T @ residual, scaled.T @ residual)
    panel = Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="start", cluster="squad",
        exposure="hours", covariates=["own"],
    )  # fmt: skip
    ours = gee(panel, "force", covariates=["own"], correction=correction)
    assert ours.std_error == pytest.approx(np.sqrt((bread @ meat @ bread)[0, 0]), rel=1e-6)


def test_mancl_derouen_is_statsmodels_bias_reduced_variance(officers, unequal_exposure):
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    for structure, correlation in ((sm.cov_struct.Independence(), "independence"),
                                   (sm.cov_struct.Exchangeable(), "exchangeable")):  # fmt: skip
        theirs = smf.gee(
            "force ~ treated + C(month)", "squad", officers, family=sm.families.Poisson(),
            cov_struct=structure, exposure=officers["hours"],
        ).fit(cov_type="bias_reduced", ctol=1e-10, maxiter=200)  # fmt: skip
        ours = gee(unequal_exposure, "force", correlation=correlation, correction="mancl-derouen")
        assert ours.estimate == pytest.approx(theirs.params["treated"], rel=1e-7)
        assert ours.std_error == pytest.approx(theirs.bse["treated"], rel=1e-7)


def test_kauermann_carroll_of_single_rows_is_hc2_of_the_weighted_regression(officers):
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    once = officers[officers["month"] == 6]
    panel = Panel.from_frame(
        once, unit="officer", period=None, outcomes=["force"], treated="treated", covariates=["tenure"]
    )
    glm = smf.glm("force ~ treated + tenure", once, family=sm.families.Poisson()).fit(tol=1e-13)
    mean = np.asarray(glm.mu)
    design = np.asarray(glm.model.exog)[:, [1, 0, 2]]
    # At the solution the Poisson fit is a weighted regression of the working response, whose HC2 it has.
    working = np.log(mean) + (once["force"].to_numpy() - mean) / mean
    theirs = sm.WLS(working, design, weights=mean).fit(cov_type="HC2")
    ours = gee(panel, "force", fixed_effects=(), covariates=["tenure"], correction="kauermann-carroll")
    assert ours.estimate == pytest.approx(theirs.params[0], rel=1e-8)
    assert ours.std_error == pytest.approx(theirs.bse[0], rel=1e-8)


@pytest.mark.parametrize("correlation", ["exchangeable", "ar1"])
def test_kauermann_carroll_is_the_square_root_of_the_definition(officers, correlation):
    """The definition, in matrices of rows: each cluster's residuals times the inverse root of I − H."""
    from scipy.linalg import sqrtm

    frame = squads(officers)
    panel = squad_panel(frame)
    plain = gee(panel, "force", correlation=correlation, correction=None)
    alpha = plain.notes["alpha"]
    pooled = pooled_rates(panel, "force", model="", fixed_effects=("period",), covariates=(), level=0.95)
    clusters = pooled.sample.clusters("cluster")
    _, found = estimating_equations._solve(pooled, clusters, correlation)
    design = pooled.design[pooled.pattern]
    mean = pooled.exposure * np.exp(design @ found.params)
    month = panel.frame["period"].to_numpy()
    parts = []
    for own in (clusters == g for g in range(7)):
        lag = np.abs(month[own][:, None] - month[own])
        working = np.where(
            lag == 0, 1.0, alpha if correlation == "exchangeable" else alpha ** lag.astype(float)
        )
        covariance = working * np.sqrt(np.outer(mean[own], mean[own]))
        parts.append(
            (design[own] * mean[own][:, None], np.linalg.inv(covariance), (pooled.counts - mean)[own])
        )
    bread = np.linalg.inv(sum(d.T @ v @ d for d, v, _ in parts))
    scores = [
        d.T @ v @ np.linalg.inv(np.real(sqrtm(np.eye(len(r)) - d @ bread @ d.T @ v))) @ r for d, v, r in parts
    ]
    expected = bread @ sum(np.outer(s, s) for s in scores) @ bread
    ours = gee(panel, "force", correlation=correlation, correction="kauermann-carroll")
    assert ours.std_error == pytest.approx(np.sqrt(expected[0, 0]), rel=1e-6)
    assert ours.std_error > plain.std_error


def test_independence_is_the_pooled_poisson_fit(unequal_exposure):
    ours = gee(unequal_exposure, "force", correction=None)
    same = poisson(unequal_exposure, "force", fixed_effects=("period",), correction="CR0")
    assert (ours.estimate, ours.std_error, ours.df) == pytest.approx(
        (same.estimate, same.std_error, 6), rel=1e-7
    )


def test_few_clusters_are_corrected_and_told_so(equal_exposure, chicago_600):
    few, many = gee(equal_exposure, "force"), gee(chicago_600, "complaints", fixed_effects=("year",))
    assert "kauermann-carroll" in few.inference
    assert "only 7 clusters" in few.warning
    assert "uncorrected" in many.inference
    assert many.warning == ""


def test_a_missing_month_counts_as_a_lag(officers):
    """Solve the equation for α by hand, pair by pair, with a month missing in some squads."""
    from scipy.optimize import brentq

    frame = squads(officers)
    frame = frame[(frame["month"] != 6) | (frame["squad"] > "squad 3")]
    panel = squad_panel(frame)
    ours = gee(panel, "force", correlation="ar1")
    pooled = pooled_rates(panel, "force", model="", fixed_effects=("period",), covariates=(), level=0.95)
    _, found = estimating_equations._solve(pooled, pooled.sample.clusters("cluster"), "ar1")
    mean = pooled.exposure * np.exp(pooled.design[pooled.pattern] @ found.params)
    rows = panel.frame.assign(residual=(pooled.counts - mean) / np.sqrt(mean))
    scale = np.mean(rows["residual"] ** 2)
    pairs = [
        (b.period - a.period, a.residual * b.residual / scale)
        for _, own in rows.groupby("unit")
        for a in own.itertuples()
        for b in own.itertuples()
        if b.period > a.period
    ]
    lag, product = np.array(pairs).T
    alpha = brentq(lambda a: np.sum(lag * a ** (lag - 1) * (product - a**lag)), -0.9, -0.01)
    assert ours.notes["alpha"] == pytest.approx(alpha, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f.assign(start=0), {}, "no row of the panel is treated"),
        (lambda f: f.assign(start=6), {}, "treated: explained by the fixed effects"),
        (lambda f: f.assign(force=0), {}, "no event in any row"),
        (lambda f: f.assign(squad="only one"), {}, "lie in one cluster"),
        (
            lambda f: f.assign(start=np.where(f["squad"] == "squad 1", 4, 0)),
            {},
            "one cluster alone is treated",
        ),
        (lambda f: f.assign(tenure=3), {"covariates": ["tenure"]}, "tenure: explained by"),
        (lambda f: f, {"fixed_effects": ("unit", "period")}, "takes no unit effects"),
        (lambda f: f, {"correlation": "ar1"}, "clusters hold several units"),
        (lambda f: f, {"level": 95}, "level"),
    ],
)
def test_a_design_without_an_answer_is_refused(officers, change, options, message):
    with pytest.raises(EstimationError, match=message):
        gee(officer_panel(change(officers)), "force", **options)
