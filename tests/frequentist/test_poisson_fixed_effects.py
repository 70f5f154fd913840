"""Fixed-effects Poisson against pyfixest, statsmodels, R and, where the data are present, published fits."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from rct.errors import DataError, EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist import poisson
from rct.frequentist.fixed_effects_likelihood import Cells, fit_fixed_effects
from rct.panel import Panel

from .conftest import officer_panel


@pytest.fixture(scope="module")
def pyfixest():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyfixest
    return pyfixest


def fepois(pyfixest, formula, frame, cluster, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = pyfixest.fepois(
            formula, frame, vcov={"CRV1": cluster}, iwls_tol=1e-12, fixef_tol=1e-12, **options
        )
    return fit.coef()["treated"], fit.se()["treated"]


def test_the_collapsed_fit_equals_the_officer_level_fit_of_pyfixest(pyfixest, officers, equal_exposure):
    value, se = fepois(pyfixest, "force ~ treated | officer + month", officers, "officer")
    ours = poisson(equal_exposure, "force", cluster="unit", correction="CR1N")
    assert ours.notes["path"] == "collapsed"
    assert ours.estimate == pytest.approx(value, rel=1e-8)
    assert ours.std_error == pytest.approx(se, rel=1e-6)


def test_clusters_above_the_officer_count_nested_effects_as_pyfixest_does(pyfixest, officers, equal_exposure):
    value, se = fepois(pyfixest, "force ~ treated | officer + month", officers, "squad")
    ours = poisson(equal_exposure, "force", correction="CR1N")
    assert ours.n_clusters == 7
    assert (ours.estimate, ours.std_error) == pytest.approx((value, se), rel=1e-6)


def test_exposure_and_covariates_take_the_general_path_to_pyfixest_s_fit(
    pyfixest, officers, unequal_exposure
):
    frame = officers.assign(log_hours=np.log(officers["hours"]))
    value, se = fepois(
        pyfixest, "force ~ treated + tenure | officer + month", frame, "squad", offset="log_hours"
    )
    ours = poisson(unequal_exposure, "force", covariates=["tenure"], correction="CR1N")
    assert ours.notes["path"] == "general"
    assert (ours.estimate, ours.std_error) == pytest.approx((value, se), rel=1e-6)


def test_an_unbalanced_panel_with_block_by_period_effects_equals_pyfixest(pyfixest, officers):
    frame = officers.drop(index=officers.index[::11]).assign(hours=1.0)
    frame["district_month"] = frame["district"] + frame["month"].astype(str)
    value, se = fepois(pyfixest, "force ~ treated | officer + district_month", frame, "squad")
    ours = poisson(officer_panel(frame), "force", fixed_effects=("unit", "block:period"), correction="CR1N")
    assert (ours.estimate, ours.std_error) == pytest.approx((value, se), rel=1e-6)


def test_without_officer_effects_the_fit_and_its_sandwich_equal_statsmodels(officers, unequal_exposure):
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    model = smf.glm(
        "force ~ treated + C(month) + C(squad)", officers, family=sm.families.Poisson(),
        exposure=officers["hours"],
    )  # fmt: skip
    codes = officers["squad"].astype("category").cat.codes
    for correction, use_correction in (("CR0", False), ("CR1S", True)):
        fit = model.fit(
            tol=1e-13, cov_type="cluster", cov_kwds={"groups": codes, "use_correction": use_correction}
        )
        ours = poisson(unequal_exposure, "force", fixed_effects=("period", "squad"), correction=correction)
        assert (ours.estimate, ours.std_error) == pytest.approx(
            (fit.params["treated"], fit.bse["treated"]), rel=1e-7
        )
    model_based = poisson(unequal_exposure, "force", fixed_effects=("period", "squad"), correction="model")
    assert model_based.std_error == pytest.approx(model.fit(tol=1e-13).bse["treated"], rel=1e-7)


def test_collapsing_changes_nothing_whatever_the_effect(equal_exposure, monkeypatch):
    from rct.frequentist import collapsed_cells

    def every_unit_apart(path):
        return np.arange(len(path)), np.arange(len(path))

    for options in (
        {"correction": "CR1"},
        {"effect": "exposure-time", "average": (1, 4), "correction": "CR1S"},
        {"fixed_effects": ("period",), "correction": "CR1"},
    ):
        collapsed = poisson(equal_exposure, "force", **options)
        with monkeypatch.context() as patch:
            patch.setattr(collapsed_cells, "_equal_rows", every_unit_apart)
            general = poisson(replace(equal_exposure), "force", **options)  # one that keeps nothing yet
        assert (collapsed.notes["path"], general.notes["path"]) == ("collapsed", "general")
        assert collapsed.estimate == pytest.approx(general.estimate, abs=1e-10)
        assert collapsed.std_error == pytest.approx(general.std_error, abs=1e-10)


def test_units_that_share_a_hash_and_no_more_are_told_apart(equal_exposure, monkeypatch):
    from rct.frequentist import collapsed_cells

    ours = poisson(equal_exposure, "force")
    monkeypatch.setattr(collapsed_cells, "HASH_MULTIPLIER", 0)
    theirs = poisson(replace(equal_exposure), "force")
    assert theirs.estimate == pytest.approx(ours.estimate, abs=1e-12)
    assert theirs.std_error == pytest.approx(ours.std_error, abs=1e-12)
    assert theirs.notes == ours.notes


def test_officers_without_events_are_counted_and_do_not_change_the_estimate(officers, equal_exposure):
    without = officer_panel(officers[officers["officer"].astype(int) % 5 != 4].assign(hours=1.0))
    whole, part = poisson(equal_exposure, "force"), poisson(without, "force")
    assert whole.estimate == pytest.approx(part.estimate, abs=1e-12)
    assert whole.std_error == pytest.approx(part.std_error, abs=1e-12)
    assert whole.notes["dropped_units"] - part.notes["dropped_units"] == 18
    assert "units without an event" in whole.warning


def test_row_order_does_not_matter(officers, equal_exposure):
    shuffled = officer_panel(officers.assign(hours=1.0).sample(frac=1, random_state=3))
    assert poisson(shuffled, "force") == poisson(equal_exposure, "force")


def test_the_mean_over_exposure_times_is_the_mean_of_the_coefficients(equal_exposure):
    each = poisson(equal_exposure, "force", effect="exposure-time")
    mean = poisson(equal_exposure, "force", effect="exposure-time", average=(2, 5))
    assert isinstance(each, Estimates)
    assert [row.exposure_time for row in each] == list(range(1, 10))
    assert mean.estimate == pytest.approx(np.mean([row.estimate for row in each.rows[1:5]]), abs=1e-12)
    assert "mean over exposure times 2–5" in mean.estimand


def test_few_clusters_get_cr2_and_are_told_so(equal_exposure):
    few, many = poisson(equal_exposure, "force"), poisson(equal_exposure, "force", cluster="unit")
    assert "CR2" in few.inference
    assert few.df < 6
    assert "only 7 clusters" in few.warning
    assert "CR1" in many.inference
    assert many.df == many.n_clusters - 1
    assert "clusters" not in many.warning


def test_several_arms_have_a_term_each_and_doses_enter_as_doses(officers):
    frame = officers.assign(arm=np.where(officers["squad"].isin(["squad 1", "squad 4"]), "A", "B"))
    frame.loc[frame["start"] == 0, "arm"] = "usual"
    panel = Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="start", arm="arm"
    )
    rows = poisson(panel, "force")
    assert [(row.arm, row.reference) for row in rows] == [("A", "usual"), ("B", "usual")]
    halved = Panel.from_frame(
        officers.assign(dose=officers["treated"] / 2), unit="officer", period="month", outcomes=["force"],
        treated="dose",
    )  # fmt: skip
    whole = Panel.from_frame(officers, unit="officer", period="month", outcomes=["force"], treated="treated")
    assert poisson(halved, "force").estimate == pytest.approx(2 * poisson(whole, "force").estimate)
    assert "dose" in poisson(halved, "force").estimand


def test_an_exposure_time_without_events_is_left_out_and_named(officers):
    silent = officers.assign(
        hours=1.0, force=officers["force"].where(officers["month"] - officers["start"] + 1 != 9, 0)
    )
    panel = officer_panel(silent)
    rows = poisson(panel, "force", effect="exposure-time")
    assert 9 not in [row.exposure_time for row in rows]
    assert "exposure time 9" in rows.rows[0].warning


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(start=0), "no row of the panel is treated"),
        (lambda f: f.assign(start=6), "treated: explained by the fixed effects"),
        (lambda f: f.assign(force=0), "no event in any row"),
        (
            lambda f: f.assign(force=f["force"] * (1 - f["treated"])),
            "no event carries information on",
        ),
        (lambda f: f.assign(start=np.where(f["officer"] < "045", 1, 0)), "treated: explained by"),
        (lambda f: f.assign(squad="only one"), "lie in one cluster"),
    ],
)
def test_a_design_without_an_answer_is_refused(officers, change, message):
    with pytest.raises(EstimationError, match=message):
        poisson(officer_panel(change(officers.assign(hours=1.0))), "force")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quadrature": 7}, "quadrature=7"),
        ({"trends": "squad"}, "trends must be"),
        ({"trends": "unit", "random_effects": "gamma"}, "leave random_effects out"),
        ({"average": (1, 3)}, 'effect="exposure-time"'),
        ({"effect": "exposure-time", "average": (1, 40)}, "exposure times of treated with data are 1"),
        ({"level": 95}, "level"),
    ],
)
def test_options_that_are_not_built_or_make_no_sense_are_refused(equal_exposure, options, message):
    with pytest.raises(EstimationError, match=message):
        poisson(equal_exposure, "force", **options)


def test_unknown_columns_are_named(equal_exposure):
    with pytest.raises(DataError, match="beat"):
        poisson(equal_exposure, "force", cluster="beat")
    with pytest.raises(DataError, match="age"):
        poisson(equal_exposure, "force", covariates=["age"])
    with pytest.raises(DataError, match="squad"):
        poisson(equal_exposure, "force", covariates=["squad"])


CHICAGO = [
    ("officer_CR0", {"cluster": "unit", "correction": "CR0"}),
    ("officer_ssc", {"cluster": "unit", "correction": "CR1N"}),
    ("cohort_CR0", {"cluster": "cohort", "correction": "CR0"}),
    ("model_se", {"correction": "model"}),
]


@pytest.mark.parametrize(("name", "options"), CHICAGO)
def test_officer_level_fits_of_chicago_are_found_again(chicago, chicago_36_months, references, name, options):
    for outcome in ("complaints", "sustained"):
        agrees(poisson(chicago, outcome, **options), references[f"fepois/full/{outcome}/{name}"])
    agrees(poisson(chicago_36_months, "force", **options), references[f"fepois/p36/force/{name}"])


@pytest.mark.parametrize("outcome", ["complaints", "sustained"])
@pytest.mark.parametrize("correction", ["CR1", "CR1S", "CR2"])
def test_r_s_fit_of_chicago_cohort_totals_is_found_again(chicago, references, outcome, correction):
    totals = chicago.frame.groupby(["cohort", "period"], as_index=False)[outcome].sum()
    panel = Panel.from_frame(
        totals.assign(start=totals["cohort"]), unit="cohort", period="period", outcomes=[outcome],
        starts="start",
    )  # fmt: skip
    reference = references[f"collglm/full/{outcome}/{correction}"]
    ours = poisson(panel, outcome, correction=correction)
    agrees(ours, reference)
    if correction == "CR2":
        # For complaints an eigenvalue that is zero but for rounding entered clubSandwich's df (not its se).
        assert ours.df == pytest.approx(reference["df_satt"], rel=2e-4 if outcome == "complaints" else 1e-9)
        from_officers = poisson(chicago, outcome, cluster="cohort", correction="CR2")
        assert from_officers.std_error == pytest.approx(ours.std_error, rel=1e-9)
        assert from_officers.df == pytest.approx(ours.df, rel=1e-9)


@pytest.mark.parametrize("outcome", ["complaints", "sustained", "force"])
def test_officer_level_fits_of_the_published_sample_are_found_again(chicago_main, references, outcome):
    ours = poisson(chicago_main, outcome, cluster="unit", correction="CR1N")
    agrees(ours, references[f"main/fepois/{outcome}/officer_ssc"])


@pytest.mark.parametrize("correction", ["CR0", "CR1", "CR1S", "CR2", "CR3", "model"])
def test_r_s_fit_of_a_wedge_is_found_again(wedge, references, correction):
    reference = references[f"sw9x24/poisson_fe/{correction}"]
    ours = poisson(wedge, "force", correction=correction)
    agrees(ours, reference)
    if "df_satt" in reference:
        assert ours.df == pytest.approx(reference["df_satt"], rel=1e-9)


def test_r_s_jackknife_of_a_wedge_is_made_of_fits_without_one_division(wedge, references):
    reference = references["sw9x24/poisson_fe/jackknife"]
    frame = wedge.frame
    left_out = [
        poisson(replace(wedge, frame=frame[frame["unit"] != unit].reset_index(drop=True)), "force").estimate
        for unit in frame["unit"].unique()
    ]
    spread = np.array(left_out) - poisson(wedge, "force").estimate
    tolerance = reference["tolerance"]["rel_se"]
    assert np.sqrt(8 / 9 * spread @ spread) == pytest.approx(reference["se"], rel=tolerance)


@pytest.mark.parametrize("correction", ["CR0", "CR1", "model"])
def test_r_s_exposure_time_effects_of_a_wedge_are_found_again(wedge, references, correction):
    def reference(name):
        return references[f"sw9x24/exposure_time/fe_{name}/{correction}"]

    for name, average in (("tate_all", (1, 21)), ("tate_1_6", (1, 6))):
        mean = poisson(wedge, "force", effect="exposure-time", average=average, correction=correction)
        agrees(mean, reference(name))
    each = poisson(wedge, "force", effect="exposure-time", correction=correction).rows
    for name, row in (("point_1", each[0]), ("point_6", each[5]), ("long_term", each[20])):
        agrees(row, reference(name))


def agrees(ours: Estimate, reference):
    tolerance = reference["tolerance"]
    assert ours.estimate == pytest.approx(reference["value"], rel=tolerance["rel"])
    assert ours.std_error == pytest.approx(reference["se"], rel=tolerance.get("rel_se", tolerance["rel"]))


def test_effects_that_others_explain_change_nothing(equal_exposure):
    nested = poisson(equal_exposure, "force", fixed_effects=("unit", "block", "period"), correction="CR1S")
    plain = poisson(equal_exposure, "force", correction="CR1S")
    assert nested.estimate == pytest.approx(plain.estimate, abs=1e-10)
    assert nested.std_error == pytest.approx(plain.std_error, abs=1e-10)


def test_newton_reports_separation():
    from rct.errors import ConvergenceError

    # Two covariates that together, but neither alone, predict all events.
    design = np.array([[0.0, 1], [1, 0], [1, 1], [0, 0], [2, 1], [1, 2]])
    counts = np.array([0.0, 0, 0, 5, 0, 0])
    cells = Cells(counts, np.ones(6), np.zeros(6, dtype=int), (), design)
    with pytest.raises(ConvergenceError, match="separation"):
        fit_fixed_effects(cells)


def test_a_unit_seen_once_carries_no_likelihood(officers):
    once = officers.assign(hours=1.0)
    busy = once.loc[once["force"] > 0, "officer"].iloc[0]
    first = once.index[(once["officer"] == busy) & (once["force"] > 0)][0]
    keep = (once["officer"] != busy) | (once.index == first)
    ours = poisson(officer_panel(once[keep]), "force")
    gone = poisson(officer_panel(once[once["officer"] != busy]), "force")
    assert ours.notes["dropped_single"] == 1
    assert ours.estimate == pytest.approx(gone.estimate, abs=1e-12)
    assert ours.notes["rows"] == gone.notes["rows"]
