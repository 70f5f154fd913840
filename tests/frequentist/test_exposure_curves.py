"""Curves in exposure time, against statsmodels, a general optimizer and known truths."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

import rct
from rct.errors import DataError, EstimationError
from rct.frequentist import exposure_curve, poisson
from rct.frequentist.curve_shapes import Shape

UNITS, PERIODS = 10, 16
STARTS = np.tile([4, 6, 8, 10, 13], 2)
ARMS = np.repeat(["A", "B"], 5)


def frame_of(effect, seed=3, mean=25.0):
    """Poisson counts of ten units (seed None: expected ones); effect: exposure time -> log ratio."""
    unit, period = np.indices((UNITS, PERIODS))
    time = np.maximum(period + 1 - STARTS[:, None] + 1, 0)
    expected = mean * (1 + 0.1 * unit) * np.exp(0.02 * period + np.where(time > 0, effect(time), 0))
    counts = expected if seed is None else np.random.default_rng(seed).poisson(expected)
    return pd.DataFrame(
        {"unit": [f"{u:02d}" for u in unit.ravel()], "period": period.ravel() + 1, "time": time.ravel(),
         "first": STARTS[unit.ravel()], "force": counts.ravel(), "arm": ARMS[unit.ravel()],
         "hours": (50 + (unit * 7 + period * 3) % 11).ravel(), "squad": (unit // 2).ravel(),
         "refresher": (time == 6).astype(int).ravel()}
    )  # fmt: skip


def panel_of(frame, **options):
    return rct.Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="first",
        fractional=["force"] if frame["force"].dtype == float else (), covariates=["refresher"], **options,
    )  # fmt: skip


def fading(time, start=-0.6, half_life=3.0):
    return start * 2.0 ** (-(time - 1) / half_life)


def dummies(frame):
    effects = pd.get_dummies(frame[["unit", "period"]].astype(str), drop_first=True).astype(float)
    return sm.add_constant(effects).to_numpy()


def glm(frame, columns, clusters=None):
    """statsmodels GLM with a dummy for every unit and period: coefficients and covariance of `columns`."""
    design = np.column_stack([columns, dummies(frame)])
    model = sm.GLM(frame["force"], design, family=sm.families.Poisson())
    options = {} if clusters is None else {
        "cov_type": "cluster", "cov_kwds": {"groups": clusters, "use_correction": False}
    }  # fmt: skip
    fit = model.fit(tol=1e-13, maxiter=200, **options)
    k = columns.shape[1]
    return np.asarray(fit.params)[:k], np.asarray(fit.cov_params())[:k, :k]


@pytest.mark.parametrize("curve", ["linear", "spline"])
@pytest.mark.parametrize("correction", ["model", "CR0"])
def test_curves_that_are_linear_in_their_parameters_equal_statsmodels(curve, correction):
    frame = frame_of(fading)
    time, treated = frame["time"].to_numpy(float), frame["time"].to_numpy() > 0
    span = {"linear": lambda s: np.column_stack([np.ones_like(s), s])}
    knots = np.array([1.0, 5.0, 9.0, 13.0])
    span["spline"] = CubicSpline(knots, np.eye(4), bc_type="natural")
    columns = span[curve](time) * treated[:, None]
    coefficients, covariance = glm(frame, columns, frame["unit"] if correction == "CR0" else None)
    weights = span[curve](np.arange(2.0, 8.0)).mean(axis=0)
    row = exposure_curve(panel_of(frame), "force", curve=curve, average=(2, 7), correction=correction)
    assert row.estimate == pytest.approx(weights @ coefficients, rel=1e-8)
    assert row.std_error == pytest.approx(np.sqrt(weights @ covariance @ weights), rel=1e-7)


def test_the_default_spline_is_scipy_s_natural_spline_on_four_knots():
    times = np.arange(1.0, 14.0)
    columns = Shape("spline", (1.0, 5.0, 9.0, 13.0)).columns(times, None)
    natural = CubicSpline([1.0, 5.0, 9.0, 13.0], np.eye(4), bc_type="natural")(times)
    mapped, *_ = np.linalg.lstsq(columns, natural, rcond=None)
    np.testing.assert_allclose(columns @ mapped, natural, atol=1e-10)


@pytest.mark.parametrize("curve", ["exponential", "asymptote"])
def test_a_half_life_equals_a_general_optimizer_s_and_its_sandwich(curve):
    """Brent's method over the half-life around a GLM; the sandwich from a Jacobian by differences."""
    frame = frame_of(lambda s: fading(s) - 0.2 * (curve == "asymptote"), mean=400)
    time, treated = frame["time"].to_numpy(float), frame["time"].to_numpy() > 0

    def columns(log_half_life):
        decay = 2.0 ** (-(time - 1) / np.exp(log_half_life))
        return (decay[:, None] if curve == "exponential" else np.column_stack([np.ones_like(time), decay])) \
            * treated[:, None]  # fmt: skip

    effects = dummies(frame)

    def fit(log_half_life):
        design = np.column_stack([columns(log_half_life), effects])
        return sm.GLM(frame["force"], design, family=sm.families.Poisson()).fit(tol=1e-13, maxiter=50)

    found = minimize_scalar(
        lambda x: -fit(x).llf, bounds=(0.2, 2.0), method="bounded", options={"xatol": 1e-7}
    )
    best = found.x
    own = fit(best)
    k = columns(best).shape[1]
    step = 1e-5
    bend = (columns(best + step) - columns(best - step)) @ own.params[:k] / (2 * step)
    jacobian = np.column_stack([columns(best), bend, effects])
    bread = np.linalg.inv(jacobian.T @ (own.mu[:, None] * jacobian))
    scores = jacobian * (frame["force"].to_numpy() - own.mu)[:, None]
    by_unit = pd.DataFrame(scores).groupby(frame["unit"].to_numpy()).sum().to_numpy()
    covariance = bread @ by_unit.T @ by_unit @ bread

    def mean(parameters):
        decay = 2.0 ** (-np.arange(6) / np.exp(parameters[k]))
        value = parameters[k - 1] * decay.mean()
        return value if curve == "exponential" else value + parameters[0]

    at = np.r_[own.params[:k], best]
    gradient = np.array([(mean(at + step * e) - mean(at - step * e)) / (2 * step) for e in np.eye(k + 1)])
    row = exposure_curve(panel_of(frame), "force", curve=curve, average=(1, 6), correction="CR0")
    assert row.notes["half_life"] == pytest.approx(np.exp(best), rel=1e-5)
    assert row.estimate == pytest.approx(mean(at), rel=1e-6)
    expected = np.sqrt(gradient @ covariance[: k + 1, : k + 1] @ gradient)
    assert row.std_error == pytest.approx(expected, rel=1e-4)


def test_the_profile_limits_are_where_the_likelihood_ratio_reaches_its_quantile():
    """Model-based: 3.84 on twice the log-likelihood, by statsmodels at the limits."""
    frame = frame_of(fading, mean=100)
    row = exposure_curve(panel_of(frame), "force", curve="exponential", average=(1, 6), correction="model")
    time, treated = frame["time"].to_numpy(float), frame["time"].to_numpy() > 0

    def deviance(half_life):
        columns = (2.0 ** (-(time - 1) / half_life) * treated)[:, None]
        design = np.column_stack([columns, dummies(frame)])
        return -2 * sm.GLM(frame["force"], design, family=sm.families.Poisson()).fit(tol=1e-13).llf

    best = deviance(row.notes["half_life"])
    for limit in (row.notes["half_life_low"], row.notes["half_life_high"]):
        assert deviance(limit) - best == pytest.approx(3.8414588, rel=1e-3)


def test_the_profile_limits_widen_with_the_sandwich():
    """The drop of twice the log-likelihood is t squared times the robust over the model-based variance."""
    frame = frame_of(fading, mean=100)
    frame["force"] += np.random.default_rng(8).poisson(20, len(frame)) * (np.arange(len(frame)) % 5 == 0)
    row = exposure_curve(panel_of(frame), "force", curve="exponential", average=(1, 6), correction="CR1")
    time, treated = frame["time"].to_numpy(float), frame["time"].to_numpy() > 0

    def decay(half_life):
        return 2.0 ** (-(time - 1) / half_life) * treated

    def log_likelihood(half_life):
        design = np.column_stack([decay(half_life), dummies(frame)])
        return sm.GLM(frame["force"], design, family=sm.families.Poisson()).fit(tol=1e-13).llf

    half_life, clusters = row.notes["half_life"], row.n_clusters
    start = glm(frame, decay(half_life)[:, None])[0][0]
    bend = start * decay(half_life) * np.log(2) * (time - 1) / half_life
    columns = np.column_stack([bend, decay(half_life)])
    (_, model), (_, robust) = glm(frame, columns), glm(frame, columns, frame["unit"].astype(int).to_numpy())
    inflation = robust[0, 0] / model[0, 0] * clusters / (clusters - 1)
    assert abs(inflation - 1) > 0.1
    drop = stats.t.ppf(0.975, clusters - 1) ** 2 * inflation
    found = [row.notes["half_life_low"], row.notes["half_life_high"]]
    for limit in [limit for limit in found if 0 < limit < np.inf]:
        assert 2 * (log_likelihood(half_life) - log_likelihood(limit)) == pytest.approx(drop, rel=2e-3)
    assert row.notes["half_life_low"] > 0 or row.notes["half_life_high"] < np.inf


@pytest.mark.parametrize(
    ("curve", "truth"),
    [
        ("linear", lambda s: -0.5 + 0.03 * (s - 1)),
        ("exponential", fading),
        ("asymptote", lambda s: -0.3 + fading(s, 0.3)),
        ("spline", lambda s: -0.5 + 0.03 * (s - 1)),
    ],
)
def test_expected_counts_give_back_the_curve_they_were_made_of(curve, truth):
    rows = exposure_curve(panel_of(frame_of(truth, seed=None)), "force", curve=curve, correction="model")
    times = np.arange(1, 14)
    assert [row.exposure_time for row in rows] == times.tolist()
    np.testing.assert_allclose([row.estimate for row in rows], truth(times), atol=1e-7)
    if curve in ("exponential", "asymptote"):
        assert rows.rows[0].notes["half_life"] == pytest.approx(3.0, rel=1e-5)


def test_the_long_run_is_an_estimand_of_its_own_and_named():
    panel = panel_of(frame_of(lambda s: -0.3 + fading(s, 0.3, 2.0), seed=None))
    whole = exposure_curve(panel, "force", curve="asymptote", long_run="asymptote", correction="model")
    assert whole.estimate == pytest.approx(-0.3, abs=1e-6)
    assert "covered the truth in 90 of 100" in whole.warning
    assert "long run: asymptote" in whole.estimand
    last = exposure_curve(panel, "force", curve="asymptote", long_run=3, correction="model")
    truth = -0.3 + fading(np.array([11, 12, 13]), 0.3, 2.0)
    assert last.estimate == pytest.approx(truth.mean(), abs=1e-6)
    assert "long run: mean over exposure times 11–13" in last.estimand
    free = exposure_curve(panel, "force", curve="free", long_run=3, correction="model")
    same = poisson(panel, "force", effect="exposure-time", average=(11, 13), correction="model")
    assert (free.estimate, free.std_error) == (same.estimate, same.std_error)
    assert free.term.endswith("long run")
    assert "long run" in free.estimand


def test_the_longest_exposure_time_alone_is_the_long_term_effect_of_r(wedge, references):
    for correction in ("model", "CR0", "CR1"):
        row = exposure_curve(wedge, "force", curve="free", long_run=1, correction=correction)
        known = references[f"sw9x24/exposure_time/fe_long_term/{correction}"]
        assert row.estimate == pytest.approx(known["value"], rel=1e-8)
        assert row.std_error == pytest.approx(known["se"], rel=1e-7)


def test_arms_have_curves_of_their_own_and_share_the_half_life():
    time = frame_of(fading)["time"].to_numpy()
    frame = frame_of(lambda s: 0 * s, seed=None)
    size = np.where(frame["arm"] == "A", -0.6, -0.2)
    frame["force"] *= np.exp(np.where(time > 0, size * 2.0 ** (-(time - 1) / 3.0), 0))
    rows = exposure_curve(
        panel_of(frame, arm="arm"), "force", curve="exponential", average=(1, 4), correction="model"
    )
    decay = (2.0 ** (-np.arange(4) / 3.0)).mean()
    assert [row.arm for row in rows] == ["A", "B"]
    assert [row.estimate for row in rows] == pytest.approx([-0.6 * decay, -0.2 * decay], abs=1e-6)


def refreshed(frame, extra):
    """Fading that starts again at each sixth exposure time's refresher, which adds `extra`."""
    time = frame["time"].to_numpy()
    since = np.where(time >= 6, time - 5, time)
    effect = np.where(time > 0, fading(since) + extra * (time >= 6), 0)
    return frame.assign(force=frame["force"] * np.exp(effect))


def test_a_refresher_starts_the_curve_again_and_its_own_ratio_is_found():
    frame = refreshed(frame_of(lambda s: 0 * s, seed=None), extra=0.15)
    rows = exposure_curve(
        panel_of(frame), "force", curve="exponential", average=(1, 5), refreshers="refresher",
        correction="model",
    )  # fmt: skip
    curve, refresher = rows
    assert curve.estimate == pytest.approx(fading(np.arange(1, 6)).mean(), abs=1e-6)
    assert refresher.estimate == pytest.approx(0.15, abs=1e-6)
    assert "refresher" in refresher.term
    assert "after a refresher" in refresher.estimand
    assert curve.notes["half_life"] == pytest.approx(3.0, rel=1e-5)
    by_time = exposure_curve(
        panel_of(frame), "force", curve="exponential", average=(1, 5), refreshers=[6], correction="model"
    )
    assert by_time == rows


def test_refreshers_out_of_place_are_refused():
    frame = frame_of(fading)
    with pytest.raises(DataError, match="before or at its first training"):
        exposure_curve(
            panel_of(frame.assign(refresher=(frame["period"] == 2).astype(int))), "force",
            refreshers="refresher",
        )  # fmt: skip
    with pytest.raises(DataError, match="must be 1 in the periods"):
        exposure_curve(panel_of(frame.assign(refresher=frame["time"])), "force", refreshers="refresher")
    with pytest.raises(EstimationError, match="holds no refresher"):
        exposure_curve(panel_of(frame.assign(refresher=0)), "force", refreshers="refresher")
    with pytest.raises(DataError, match="no column 'again'"):
        exposure_curve(panel_of(frame), "force", refreshers="again")


def test_an_effect_that_is_not_there_has_no_half_life_and_says_so():
    row = exposure_curve(panel_of(frame_of(lambda s: 0 * s, seed=8)), "force", curve="exponential",
                         average=(1, 6))  # fmt: skip
    assert "hardly know the half-life" in row.warning
    clear = exposure_curve(panel_of(frame_of(fading, mean=400)), "force", curve="exponential", average=(1, 6))
    assert "half-life" not in clear.warning
    assert "asymptote" not in clear.warning
    assert clear.notes["half_life_low"] < 3 < clear.notes["half_life_high"]


def test_an_asymptote_beyond_the_data_is_refused():
    panel = panel_of(frame_of(lambda s: -0.04 * s, seed=2, mean=200))
    with pytest.raises(EstimationError, match="asymptote is unknown"):
        exposure_curve(panel, "force", curve="asymptote", long_run="asymptote")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curve": "cubic"}, "curve must be free or one of"),
        ({"average": (1, 3), "long_run": 2}, "two estimands"),
        ({"long_run": "asymptote"}, "is of curve"),
        ({"long_run": 0}, "number of exposure times"),
        ({"long_run": 40}, "beyond exposure time 13"),
        ({"average": (3, 40)}, "observed at exposure times 1 to 13"),
        ({"curve": "free"}, "needs average or long_run"),
        ({"curve": "free", "long_run": 2, "refreshers": [6]}, "need a curve"),
        ({"curve": "spline", "knots": [3, 2]}, "ascending"),
        ({"refreshers": [1, 4]}, "ascending exposure times, whole numbers from 2 to 13"),
        ({"refreshers": [4, 14]}, "ascending exposure times, whole numbers from 2 to 13"),
        ({"knots": [1, 2]}, "knots are of"),
        ({"level": 1.5}, "between 0 and 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(EstimationError, match=message):
        exposure_curve(panel_of(frame_of(fading)), "force", **options)


def test_a_curve_that_the_periods_explain_is_refused():
    frame = frame_of(fading).assign(first=6)
    with pytest.raises(EstimationError, match="treated: explained by the fixed effects.*no curve"):
        exposure_curve(panel_of(frame), "force")


def test_few_clusters_take_cr2_and_many_take_cr1():
    row = exposure_curve(panel_of(frame_of(fading), cluster="squad"), "force", average=(1, 6))
    assert "CR2, Satterthwaite df (5 clusters: cluster)" in row.inference
    assert row.df < 4


def test_a_refresher_counts_in_a_month_without_exposure():
    """Expected counts of a curve that a refresher on leave began again: the curve comes back exactly."""
    frame = frame_of(lambda time: np.where(time >= 6, fading(time - 5), fading(time)), seed=None)
    away = (frame["unit"] == "03") & (frame["refresher"] == 1)
    assert away.sum() == 1
    frame = frame.assign(present=np.where(away, 0.0, 1.0), force=np.where(away, 0.0, frame["force"]))
    panel = panel_of(frame, exposure="present")
    rows = list(
        exposure_curve(
            panel, "force", curve="exponential", average=(1, 5), refreshers="refresher", correction="model"
        )
    )
    assert rows[0].estimate == pytest.approx(fading(np.arange(1, 6)).mean(), abs=1e-6)
