"""Poisson models with a trend for every cluster or unit, against statsmodels on dummies."""

import numpy as np
import pytest

from rct.errors import ConvergenceError, EstimationError
from rct.frequentist import poisson
from rct.panel import Panel

from .conftest import officer_panel


def with_dummies(frame, unit, owner):
    """Coefficient and model-based standard error of statsmodels, all levels and trends as columns."""
    import statsmodels.api as sm

    indicators = [(frame[name].to_numpy()[:, None] == np.unique(frame[name])) for name in (unit, "month")]
    trends = (frame[owner].to_numpy()[:, None] == np.unique(frame[owner])) * frame["month"].to_numpy()[
        :, None
    ]
    design = np.column_stack([frame["treated"], *indicators, trends]).astype(float)
    kept = [0]
    for column in range(1, design.shape[1]):
        if np.linalg.matrix_rank(design[:, [*kept, column]]) > len(kept):
            kept.append(column)
    model = sm.GLM(
        frame["force"], design[:, kept], family=sm.families.Poisson(), exposure=frame["hours"].to_numpy()
    )
    fit = model.fit(tol=1e-13, maxiter=200)
    return fit.params.iloc[0], fit.bse.iloc[0]


@pytest.fixture
def totals(officers):
    frame = officers.groupby(["squad", "month", "start"], as_index=False)[["force", "hours"]].sum()
    return frame.assign(treated=((frame["start"] > 0) & (frame["month"] >= frame["start"])).astype(int))


def test_trends_of_units_equal_statsmodels(totals):
    panel = Panel.from_frame(
        totals, unit="squad", period="month", outcomes=["force"], starts="start", exposure="hours"
    )
    ours = poisson(panel, "force", trends="unit", correction="model")
    assert (ours.estimate, ours.std_error) == pytest.approx(with_dummies(totals, "squad", "squad"), rel=1e-6)
    assert "linear trends by unit" in ours.method


def test_trends_of_clusters_equal_statsmodels(officers):
    busy = officers[officers.groupby("officer")["force"].transform("sum") > 0]
    ours = poisson(officer_panel(busy), "force", trends="cluster", correction="model")
    assert (ours.estimate, ours.std_error) == pytest.approx(with_dummies(busy, "officer", "squad"), rel=1e-6)
    assert ours.estimate != pytest.approx(poisson(officer_panel(busy), "force").estimate, rel=1e-3)


def test_a_treatment_that_trends_explain_is_refused(totals):
    two = totals[totals["month"].isin([1, 12])].assign(hours=1.0)
    panel = Panel.from_frame(two, unit="squad", period="month", outcomes=["force"], starts="start")
    with pytest.raises(EstimationError, match="treatment beside linear trends: explained by"):
        poisson(panel, "force", trends="unit")


@pytest.mark.parametrize("trends", ["unit", "cluster"])
def test_trends_that_few_events_leave_without_an_estimate_are_named(officers, trends):
    """A squad's, or an officer's, events are all in the last month: their trend runs off to infinity."""
    busy = officers[officers.groupby("officer")["force"].transform("sum") > 0]
    own = busy["squad"] == "squad 1" if trends == "cluster" else busy["officer"] == "007"
    late = np.where(busy["month"] == 12, 2, 0)
    panel = officer_panel(busy.assign(force=np.where(own, late, busy["force"]), hours=1.0))
    owners = r"1 cluster \(squad 1\)" if trends == "cluster" else r"1 unit \(007\)"
    with pytest.raises(
        ConvergenceError, match=rf"trends=.{trends}.: all events of .*{owners}.*leave trends out"
    ):
        poisson(panel, "force", trends=trends)
    assert np.isfinite(poisson(panel, "force").estimate)


def test_separation_that_trends_do_not_cause_is_not_laid_on_them(totals):
    frame = totals.assign(risk=np.where((totals["force"] == 0) & (totals["month"] % 2 == 0), 1.0, 0.0))
    panel = Panel.from_frame(
        frame, unit="squad", period="month", outcomes=["force"], starts="start", covariates=["risk"]
    )
    assert frame["risk"].any()
    with pytest.raises(ConvergenceError, match=r"no finite maximum.*drop the covariate at fault"):
        poisson(panel, "force", covariates=["risk"], trends="unit")


def test_more_trends_than_a_model_can_carry_are_refused(chicago_600):
    with pytest.raises(EstimationError, match="more than the 200"):
        poisson(chicago_600, "complaints", trends="unit")
