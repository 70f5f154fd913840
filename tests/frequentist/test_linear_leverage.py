"""CR2 and CR3 of a linear model against matrices written out, and statsmodels' HC2 and HC3."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from rct.errors import EstimationError
from rct.frequentist import first_differences, linear
from rct.panel import Panel


def frame_of(seed=3):
    rng = np.random.default_rng(seed)
    unit, month = np.indices((18, 6))
    frame = pd.DataFrame({"officer": unit.ravel(), "month": month.ravel() + 1})
    squad = frame["officer"] // 3
    frame["squad"] = "s" + squad.astype(str)
    frame["start"] = 2 + squad % 4 + (squad == 5)
    frame["hours"] = rng.choice([1.0, 2.0, 4.0], len(frame))
    frame["age"] = rng.normal(size=len(frame))
    frame["force"] = rng.poisson(2 * frame["hours"] * np.exp(0.3 * rng.normal(size=6))[squad])
    return frame[rng.random(len(frame)) > 0.1]


def panel_of(frame, **options):
    return Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="start", covariates=["age"],
        cluster="squad", exposure="hours", **options,
    )  # fmt: skip


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    own = values > 1e-12 * values[-1]
    return (vectors[:, own] * values[own] ** exponent) @ vectors[:, own].T


def dense(x, counts, hours, clusters, correction):
    """Standard error and degrees of freedom of the first term, on counts whose working variance is hours."""
    root, bread = np.sqrt(hours), np.linalg.pinv(x.T @ (x * hours[:, None]))
    covariance = np.diag(hours) - (x * hours[:, None]) @ bread @ (x * hours[:, None]).T
    residual = counts - hours * (x @ bread @ x.T @ counts)
    loading = np.zeros((len(np.unique(clusters)), len(x)))
    for number, own in enumerate(np.unique(clusters)):
        rows = np.flatnonzero(clusters == own)
        block, d = covariance[np.ix_(rows, rows)], root[rows]
        if correction == "CR2":
            adjusted = d[:, None] * power(d[:, None] * block * d, -0.5) * d
        else:
            adjusted = d[:, None] * power(block / d[:, None] / d, -1.0) / d
        loading[number, rows] = (bread @ x[rows].T)[0] @ adjusted
    working = loading @ covariance @ loading.T
    return np.sqrt(np.sum((loading @ residual) ** 2)), np.trace(working) ** 2 / np.sum(working**2)


@pytest.mark.parametrize("correction", ["CR2", "CR3"])
@pytest.mark.parametrize("effects", [("unit", "period"), ("period",)])
def test_they_are_those_of_all_columns_written_out(correction, effects):
    frame = frame_of()
    treated = (frame["month"] >= frame["start"]).astype(float)
    names = {"unit": "officer", "period": "month"}
    dummies = [pd.get_dummies(frame[names[name]]).astype(float) for name in effects]
    columns = np.column_stack([treated, frame["age"], *dummies])
    counts, hours, squad = (frame[name].to_numpy() for name in ("force", "hours", "squad"))
    se, df = dense(columns, counts.astype(float), hours, squad, correction)
    ours = linear(
        panel_of(frame), "force", fixed_effects=effects, covariates=["age"], correction=correction
    )  # fmt: skip
    assert ours.std_error == pytest.approx(se, rel=1e-8)
    assert ours.df == pytest.approx(df if correction == "CR2" else 5, rel=1e-7)


@pytest.mark.parametrize(("correction", "name"), [("CR2", "HC2"), ("CR3", "HC3"), ("CR0", "HC0")])
def test_with_clusters_of_one_row_they_are_hc2_and_hc3(correction, name):
    frame = frame_of().assign(hours=1.0, squad=lambda f: np.arange(len(f)).astype(str))
    treated = (frame["month"] >= frame["start"]).astype(float)
    months = pd.get_dummies(frame["month"]).iloc[:, 1:].astype(float)
    fit = sm.OLS(frame["force"].to_numpy(), sm.add_constant(np.column_stack([treated, months]))).fit(
        cov_type=name
    )
    ours = linear(panel_of(frame), "force", fixed_effects=("period",), correction=correction)
    assert ours.estimate == pytest.approx(fit.params[1], rel=1e-10)
    assert ours.std_error == pytest.approx(fit.bse[1], rel=1e-9)


def test_degrees_of_freedom_of_two_samples_are_those_of_the_closed_form():
    # Imbens & Kolesár 2016, section II.B: HC2 in two samples under equal variances.
    treated, control = 6, 11
    frame = pd.DataFrame({"officer": range(17), "month": 2, "start": [1] * treated + [0] * control})
    frame["force"] = np.arange(17) % 5
    panel = Panel.from_frame(
        frame.assign(on=(frame["start"] > 0) * 1.0), unit="officer", period=None, outcomes=["force"],
        treated="on",
    )  # fmt: skip
    ours = linear(panel, "force", fixed_effects=(), correction="CR2")
    total = (treated + control) ** 2 * (treated - 1) * (control - 1)
    assert ours.df == pytest.approx(total / (treated**2 * (treated - 1) + control**2 * (control - 1)))


@pytest.mark.parametrize("estimator", [linear, first_differences])
def test_below_forty_clusters_the_plain_sandwich_is_not_the_default(estimator):
    panel = panel_of(frame_of())
    ours, asked = estimator(panel, "force"), estimator(panel, "force", correction="CR2")
    assert (ours.std_error, ours.df) == (asked.std_error, asked.df)
    assert "CR2" in ours.inference
    assert "Satterthwaite" in ours.inference
    assert "only 6 clusters" in ours.warning
    assert ours.std_error > estimator(panel, "force", correction="CR0").std_error
    with pytest.raises(EstimationError, match="no standard error is taken from it unasked"):
        estimator(panel, "force", cluster=("unit", "period"))
    with pytest.raises(EstimationError, match="two kinds of clusters"):
        estimator(panel, "force", cluster=("unit", "period"), correction="CR2")


def test_factors_are_those_of_the_poisson_model():
    panel = panel_of(frame_of())
    plain, with_groups = (linear(panel, "force", correction=name) for name in ("CR0", "CR1"))
    assert with_groups.std_error == pytest.approx(plain.std_error * np.sqrt(6 / 5), rel=1e-12)
    rows, parameters = len(frame_of()), 1 + 18 + 5
    factor = 6 / 5 * (rows - 1) / (rows - parameters)
    ours = linear(panel, "force", correction="CR1S")
    assert ours.std_error == pytest.approx(plain.std_error * np.sqrt(factor), rel=1e-12)
