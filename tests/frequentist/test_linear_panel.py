"""The linear panel model against linearmodels, pyfixest and statsmodels."""

import warnings

import numpy as np
import pytest

from rct.errors import DataError, EstimationError
from rct.frequentist import linear
from rct.panel import Panel

from .conftest import officer_panel

CORRECTIONS = {
    "panelols/{}/default": {"cluster": "unit"},
    "panelols/{}/debiased_False": {"cluster": "unit", "correction": "none"},
    "panelols/{}/group_debias": {"cluster": "unit", "correction": "group-debiased"},
    "feols/{}": {"cluster": "unit", "correction": "CR1N"},
    "feols_cohortcl/{}": {"cluster": "cohort", "correction": "CR1N"},
}


@pytest.fixture(scope="module")
def pyfixest():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyfixest
    return pyfixest


def agrees(ours, reference):
    tolerance = reference["tolerance"]
    assert ours.estimate == pytest.approx(reference["value"], rel=tolerance["rel"])
    assert ours.std_error == pytest.approx(reference["se"], rel=tolerance["rel_se"])


@pytest.mark.parametrize("name", CORRECTIONS)
def test_fits_of_six_hundred_chicago_officers_are_found_again(chicago_600, references, name):
    ours = linear(chicago_600, "complaints", **CORRECTIONS[name])
    agrees(ours, references[name.format("sub600/complaints")])


@pytest.mark.parametrize("outcome", ["complaints", "sustained"])
def test_fits_of_all_chicago_officers_are_found_again(chicago, references, outcome):
    for name in ("default", "debiased_False", "group_debias"):
        options = CORRECTIONS[f"panelols/{{}}/{name}"]
        agrees(linear(chicago, outcome, **options), references[f"panelols/full/{outcome}/{name}"])


def test_an_unbalanced_panel_with_exposure_and_a_covariate_equals_least_squares_on_dummies(officers):
    import statsmodels.formula.api as smf

    frame = officers.drop(index=officers.index[::11]).assign(rate=lambda f: f["force"] / f["hours"])
    formula = "rate ~ treated + tenure + C(officer) + C(month)"
    theirs = smf.wls(formula, frame, weights=frame["hours"]).fit()
    squads = frame["squad"].astype("category").cat.codes
    robust = theirs.get_robustcov_results("cluster", groups=squads, use_correction=False)
    se = robust.bse[theirs.params.index.get_loc("treated")]
    ours = linear(officer_panel(frame), "force", covariates=["tenure"], correction="none")
    rows, effects = len(frame), frame["officer"].nunique() + frame["month"].nunique() - 1
    assert ours.estimate == pytest.approx(theirs.params["treated"], rel=1e-10)
    assert ours.std_error == pytest.approx(se * np.sqrt(rows / (rows - effects)), rel=1e-10)
    assert ours.df == 6


@pytest.mark.parametrize(
    ("formula", "effects"),
    [
        ("rate ~ treated | officer + district_month", ("unit", "block:period")),
        ("rate ~ treated | month", ("period",)),
        ("rate ~ treated", ()),
    ],
)
def test_other_effects_equal_pyfixest(pyfixest, officers, formula, effects):
    frame = officers.assign(rate=officers["force"] / officers["hours"])
    frame["district_month"] = frame["district"] + frame["month"].astype(str)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pyfixest.feols(formula, frame, weights="hours", vcov={"CRV1": "squad"}, fixef_tol=1e-11)
    ours = linear(officer_panel(frame), "force", fixed_effects=effects, correction="CR1N")
    assert ours.estimate == pytest.approx(theirs.coef()["treated"], rel=1e-8)
    assert ours.std_error == pytest.approx(theirs.se()["treated"], rel=1e-6)


def test_several_arms_have_a_coefficient_each_and_the_percent_is_of_the_untreated_rate(officers):
    frame = officers.assign(arm=np.where(officers["squad"].isin(["squad 1", "squad 4"]), "A", "B"))
    frame.loc[frame["start"] == 0, "arm"] = "usual"
    panel = Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="start", arm="arm"
    )
    rows = linear(panel, "force")
    assert [(row.arm, row.reference) for row in rows] == [("A", "usual"), ("B", "usual")]
    untreated = frame.loc[frame["treated"] == 0, "force"].mean()
    assert rows.rows[0].baseline == pytest.approx(untreated)
    assert rows.rows[0].percent_change == pytest.approx(100 * rows.rows[0].estimate / untreated)


def test_few_clusters_are_told_so(equal_exposure):
    assert "only 7 clusters" in linear(equal_exposure, "force").warning
    assert linear(equal_exposure, "force", cluster="unit").warning == ""


def test_row_order_does_not_matter(officers, unequal_exposure):
    assert linear(officer_panel(officers.sample(frac=1, random_state=3)), "force") == linear(
        unequal_exposure, "force"
    )


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
        (lambda f: f.assign(tenure=3), {"covariates": ["tenure"]}, "covariate tenure is the same in every"),
        (lambda f: f.assign(tenure=f["month"]), {"covariates": ["tenure"]}, "tenure: explained by"),
        (lambda f: f, {"fixed_effects": ("unit", "period", "block")}, "at most two fixed effects"),
        (lambda f: f, {"level": 95}, "level"),
    ],
)
def test_a_design_without_an_answer_is_refused(officers, change, options, message):
    with pytest.raises(EstimationError, match=message):
        linear(officer_panel(change(officers)), "force", **options)


def test_unknown_columns_are_named(equal_exposure):
    with pytest.raises(DataError, match="beat"):
        linear(equal_exposure, "force", cluster="beat")
