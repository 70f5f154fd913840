"""First differences against linearmodels and least squares on differenced dummies."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.panel import FirstDifferenceOLS

from rct.errors import EstimationError
from rct.frequentist import first_differences
from rct.panel import Panel

from .conftest import officer_panel


def with_period_dummies(frame):
    months = pd.get_dummies(frame["month"], prefix="m", drop_first=True).astype(float)
    return pd.concat([frame, months], axis=1), list(months)


def by_linearmodels(frame, columns, response="force", weights=None, **options):
    wide, months = with_period_dummies(frame)
    wide = wide.set_index(["officer", "month"])
    model = FirstDifferenceOLS(wide[response], wide[[*columns, *months]], weights=weights)
    return model.fit(**options)


@pytest.mark.parametrize(
    ("correction", "options"),
    [
        ("debiased", {"debiased": True}),
        ("none", {"debiased": False}),
        ("group-debiased", {"group_debias": True}),
    ],
)
def test_clustered_on_units_it_equals_linearmodels(officers, correction, options):
    theirs = by_linearmodels(officers, ["treated"], cov_type="clustered", cluster_entity=True, **options)
    ours = first_differences(
        officer_panel(officers.assign(hours=1.0)), "force", cluster="unit", correction=correction
    )
    assert ours.estimate == pytest.approx(theirs.params["treated"], rel=1e-10)
    # linearmodels' debiased=False divides by N alone here; the period effects stay counted in ours.
    rows = theirs.nobs
    factor = np.sqrt(rows / (rows - 11)) if correction == "none" else 1.0
    assert ours.std_error == pytest.approx(theirs.std_errors["treated"] * factor, rel=1e-9)


def test_clusters_of_officers_exposure_and_a_covariate_equal_least_squares_by_hand(officers):
    frame, months = with_period_dummies(officers.assign(rate=officers["force"] / officers["hours"]))
    changes = frame.groupby("officer")[["rate", "treated", "tenure", *months]].diff().dropna()
    hours = frame["hours"]
    weight = 1 / (1 / hours + 1 / hours.groupby(frame["officer"]).shift())
    fit = sm.WLS(changes["rate"], changes.drop(columns="rate"), weights=weight[changes.index]).fit()
    squads = pd.factorize(frame.loc[changes.index, "squad"])[0]
    robust = fit.get_robustcov_results("cluster", groups=squads, use_correction=False)
    ours = first_differences(officer_panel(officers), "force", covariates=["tenure"], correction="none")
    rows = len(changes)
    assert ours.estimate == pytest.approx(fit.params["treated"], rel=1e-10)
    assert ours.std_error == pytest.approx(robust.bse[0] * np.sqrt(rows / (rows - 11)), rel=1e-9)
    assert ours.df == 6
    assert "7 clusters" in ours.warning


def test_two_way_clusters_equal_statsmodels(officers):
    from statsmodels.stats.sandwich_covariance import cov_cluster_2groups

    frame, months = with_period_dummies(officers)
    changes = frame.groupby("officer")[["force", "treated", *months]].diff().dropna()
    fit = sm.OLS(changes["force"], changes.drop(columns="force")).fit()
    codes = [pd.factorize(frame.loc[changes.index, name])[0] for name in ("squad", "month")]
    both, *_ = cov_cluster_2groups(fit, *codes, use_correction=False)
    ours = first_differences(
        officer_panel(officers.assign(hours=1.0)), "force", cluster=("squad", "period"), correction="none"
    )
    rows = len(changes)
    assert ours.std_error == pytest.approx(np.sqrt(both[0, 0] * rows / (rows - 11)), rel=1e-9)


def test_only_successive_periods_are_compared(officers):
    """A month that is missing takes two changes with it."""
    gone = (officers["officer"] == "011") & (officers["month"] == 7)
    holey = officers[~gone].assign(hours=1.0)
    frame, months = with_period_dummies(officers.assign(force=officers["force"].where(~gone)))
    changes = frame.groupby("officer")[["force", "treated", *months]].diff().dropna()
    fit = sm.OLS(changes["force"], changes.drop(columns="force")).fit()
    ours = first_differences(officer_panel(holey), "force")
    assert ours.estimate == pytest.approx(fit.params["treated"], rel=1e-10)


def test_it_finds_a_constant_difference_and_only_the_first_step_of_a_growing_one(officers):
    month = officers["month"]
    base = 5 + officers["officer"].astype(int) % 9 + 0.5 * month
    time = np.maximum(month - officers["start"] + 1, 0) * officers["treated"]

    def estimate(effect):
        panel = Panel.from_frame(
            officers.assign(force=base + effect), unit="officer", period="month", outcomes=["force"],
            starts="start", fractional=["force"], cluster="squad",
        )  # fmt: skip
        return first_differences(panel, "force").estimate

    noise = np.sin(np.arange(len(officers))) * 1e-6
    assert estimate(2.0 * officers["treated"] + noise) == pytest.approx(2.0, abs=1e-5)
    assert estimate(2.0 * time + noise) < 2.0


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f.assign(start=0), {}, "no row of the panel is treated"),
        (lambda f: f.assign(start=6), {}, "treated: explained by the fixed effects"),
        (lambda f: f[f["month"] != f["start"]], {}, "treatment never changes between two successive periods"),
        (lambda f: f.assign(force=0), {}, "no event in any row"),
        (lambda f: f.assign(squad="only one"), {}, "lie in one cluster"),
        (
            lambda f: f.assign(start=np.where(f["squad"] == "squad 1", 4, 0)),
            {},
            "one cluster alone is treated",
        ),
        (lambda f: f.assign(tenure=f["start"]), {"covariates": ["tenure"]}, "tenure never changes"),
        (lambda f: f, {"level": 95}, "level"),
    ],
)
def test_a_design_without_an_answer_is_refused(officers, change, options, message):
    with pytest.raises(EstimationError, match=message):
        first_differences(officer_panel(change(officers)), "force", **options)
