"""Two-way clustered variances against pyfixest, linearmodels and statsmodels."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.sandwich_covariance import cov_cluster_2groups

from rct.errors import EstimationError
from rct.frequentist import exposure_curve, first_differences, linear, poisson, wild_bootstrap
from rct.frequentist.inference.two_way_clusters import two_way_covariance

from ..conftest import officer_panel

PAIRS = {"squad+month": ("squad", "period"), "officer+month": ("unit", "period")}


@pytest.fixture(scope="module")
def pyfixest():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyfixest
    return pyfixest


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("exposed", [False, True])
def test_poisson_equals_pyfixest(pyfixest, officers, pair, exposed):
    frame = officers if exposed else officers.assign(hours=1.0)
    frame = frame.assign(log_hours=np.log(frame["hours"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pyfixest.fepois(
            "force ~ treated | officer + month", frame, vcov={"CRV1": pair}, offset="log_hours",
            iwls_tol=1e-12, fixef_tol=1e-12,
        )  # fmt: skip
    ours = poisson(officer_panel(frame), "force", cluster=PAIRS[pair], correction="CR1N")
    assert ours.estimate == pytest.approx(theirs.coef()["treated"], rel=1e-7)
    assert ours.std_error == pytest.approx(theirs.se()["treated"], rel=1e-6)
    assert ours.df == theirs._df_t


def test_without_a_factor_it_is_statsmodels_two_group_sandwich(officers):
    seen = officers.groupby("officer")["force"].transform("sum") > 0
    frame = officers[seen].reset_index(drop=True)
    effects = pd.get_dummies(frame[["officer", "month"]].astype(str), drop_first=True).astype(float)
    design = sm.add_constant(pd.concat([frame[["treated", "tenure"]], effects], axis=1))
    fit = sm.GLM(frame["force"], design, exposure=frame["hours"], family=sm.families.Poisson()).fit(tol=1e-13)
    squad, month = (pd.factorize(frame[c])[0] for c in ("squad", "month"))
    score = design.to_numpy() * np.asarray(frame["force"] - fit.mu)[:, None]
    both, *_ = cov_cluster_2groups(
        (score, np.linalg.inv(design.T.to_numpy() @ (np.asarray(fit.mu)[:, None] * design.to_numpy()))),
        squad, month, use_correction=False,
    )  # fmt: skip
    ours = poisson(
        officer_panel(officers), "force", covariates=["tenure"], cluster=("squad", "period"), correction="CR0"
    )
    assert ours.std_error == pytest.approx(np.sqrt(both[1, 1]), rel=1e-7)


@pytest.mark.parametrize("pair", PAIRS)
def test_linear_equals_pyfixest(pyfixest, officers, pair):
    frame = officers.assign(rate=officers["force"] / officers["hours"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pyfixest.feols(
            "rate ~ treated | officer + month", frame, vcov={"CRV1": pair}, weights="hours", fixef_tol=1e-12
        )
    ours = linear(officer_panel(frame), "force", cluster=PAIRS[pair], correction="CR1N")
    assert ours.estimate == pytest.approx(theirs.coef()["treated"], rel=1e-8)
    assert ours.std_error == pytest.approx(theirs.se()["treated"], rel=1e-6)
    assert ours.df == theirs._df_t


@pytest.mark.parametrize(
    ("correction", "options"),
    [("debiased", {}), ("none", {"debiased": False}), ("group-debiased", {"group_debias": True})],
)
def test_linear_equals_linearmodels(officers, correction, options):
    from linearmodels.panel import PanelOLS

    frame = officers.set_index(["officer", "month"])
    theirs = PanelOLS(frame["force"], frame[["treated"]], entity_effects=True, time_effects=True).fit(
        cov_type="clustered", cluster_entity=True, cluster_time=True, auto_df=False, **options
    )
    panel = officer_panel(officers.assign(hours=1.0))
    ours = linear(panel, "force", cluster=("unit", "period"), correction=correction)
    assert ours.std_error == pytest.approx(theirs.std_errors["treated"], rel=1e-9)


@pytest.mark.parametrize("estimator", [poisson, linear, first_differences, exposure_curve])
def test_few_clusters_of_either_kind_have_no_two_way_error_unasked(equal_exposure, estimator):
    for pair, few in ((("squad", "period"), "7"), (("unit", "period"), "1[12]")):
        with pytest.raises(
            EstimationError, match=f"two-way clustering with {few} clusters .*correction=.CR1."
        ):
            estimator(equal_exposure, "force", cluster=pair)
        assert estimator(equal_exposure, "force", cluster=pair, correction="CR1").frame["std_error"].min() > 0


def test_auto_with_many_clusters_of_both_kinds_is_cr1_for_poisson_and_debiased_for_linear():
    unit, month = np.indices((60, 44))
    frame = pd.DataFrame(
        {"officer": [f"{u:02d}" for u in unit.ravel()], "month": month.ravel() + 1, "squad": "one",
         "district": "one", "start": np.array([0, 15, 30])[unit % 3].ravel(), "hours": 1.0, "tenure": 1.0,
         "force": np.random.default_rng(2).poisson(1, unit.size)}
    )  # fmt: skip
    panel = officer_panel(frame)
    for estimator, same in ((poisson, "CR1"), (linear, "debiased")):
        row = estimator(panel, "force", cluster=("unit", "period"))
        assert (
            row.std_error == estimator(panel, "force", cluster=("unit", "period"), correction=same).std_error
        )
        assert row.df == 43


def test_cr1_is_on_the_smaller_number_of_clusters_and_says_so(equal_exposure):
    row = poisson(equal_exposure, "force", cluster=("squad", "period"), correction="CR1")
    assert "CR1, t(6) (7 clusters: squad and period)" in row.inference
    assert "only 7 clusters" in row.warning
    assert row.df == 6
    plain = poisson(equal_exposure, "force", cluster=("squad", "period"), correction="CR0")
    assert row.std_error == pytest.approx(plain.std_error * np.sqrt(7 / 6), rel=1e-12)


def test_a_clustering_within_the_other_adds_nothing(equal_exposure):
    """Officers lie in squads: V_squad + V_officer − V_officer."""
    both = poisson(equal_exposure, "force", cluster=("squad", "unit"), correction="CR0")
    alone = poisson(equal_exposure, "force", cluster="squad", correction="CR0")
    assert both.std_error == pytest.approx(alone.std_error, rel=1e-12)


def test_curves_take_two_clusterings_too(equal_exposure):
    row = exposure_curve(
        equal_exposure, "force", average=(1, 3), cluster=["squad", "period"], correction="CR1"
    )
    assert "7 clusters: squad and period" in row.inference


def test_a_negative_direction_is_set_to_zero():
    """Scores that cancel within both clusterings but not within their intersections."""
    first, second, both = np.zeros((2, 2)), np.array([[0.0, 3.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]])
    covariance, mended = two_way_covariance(first, second, both)
    assert mended
    np.testing.assert_allclose(covariance, [[0, 0], [0, 9]], atol=1e-12)
    assert not two_way_covariance(second, second, both[:1] * 0)[1]


def test_a_mended_variance_is_told():
    """Residuals of a checkerboard: squares and months balance, so the sandwich is negative."""
    unit, month = np.indices((8, 8))
    treated = (unit % 4 < 2) & (month >= 4)
    sign = np.where((unit + month) % 2 == 0, 1, -1)
    frame = pd.DataFrame(
        {"officer": [f"{u}" for u in unit.ravel()], "month": month.ravel() + 1,
         "squad": "one", "district": "one", "start": np.where(unit.ravel() % 4 < 2, 5, 0),
         "force": (10 + 3 * sign + treated).ravel(), "hours": 1.0,
         "tenure": ((unit * 5 + month * 3 + unit * month) % 7).ravel()}
    )  # fmt: skip
    panel = officer_panel(frame)
    for estimator in (poisson, linear):
        row = estimator(panel, "force", covariates=["tenure"], cluster=("unit", "period"), correction="CR1")
        assert "two-way variance had a negative direction" in row.warning
        assert row.std_error > 0


def test_a_variance_that_is_negative_and_alone_is_refused_not_zero():
    """Without a second coefficient the negative variance has nothing that could be kept."""
    unit, month = np.indices((8, 8))
    sign = np.where((unit + month) % 2 == 0, 1, -1)
    frame = pd.DataFrame(
        {"officer": [f"{u}" for u in unit.ravel()], "month": month.ravel() + 1, "squad": "one",
         "district": "one", "start": np.where(unit.ravel() % 4 < 2, 5, 0), "hours": 1.0, "tenure": 1.0,
         "force": (10 + 3 * sign).ravel()}
    )  # fmt: skip
    for estimator in (poisson, linear):
        with pytest.raises(EstimationError, match="treated: the two-way variance is negative"):
            estimator(officer_panel(frame), "force", cluster=("unit", "period"), correction="CR1")


@pytest.mark.parametrize("cluster", [(), ("unit", "unit"), ("unit", "period", "squad")])
def test_other_numbers_of_clusterings_are_refused(equal_exposure, cluster):
    for estimator in (poisson, linear):
        with pytest.raises(EstimationError, match="one column or two different ones"):
            estimator(equal_exposure, "force", cluster=cluster)


def test_what_has_no_two_way_version_is_refused(equal_exposure):
    with pytest.raises(EstimationError, match="CR2 is not defined for two kinds"):
        poisson(equal_exposure, "force", cluster=("squad", "period"), correction="CR2")
    with pytest.raises(EstimationError, match="name one column"):
        wild_bootstrap(equal_exposure, "force", cluster=("squad", "period"), seed=1)
