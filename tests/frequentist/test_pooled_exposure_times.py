"""Exposure times without an event share a neighbour's coefficient, in one fit and in many."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import rct
from rct.frequentist import poisson
from rct.frequentist.replicate_fits import exposure_time_design, fit_batch
from rct.frequentist.treatment_terms import stand_ins

UNITS, PERIODS = 6, 10
STARTS = np.arange(3, 9)


def wedge(seed=4, empty=()):
    """A wedge of six units, without an event at the exposure times named."""
    rng = np.random.default_rng(seed)
    unit, period = (x.ravel() for x in np.meshgrid(range(UNITS), range(1, PERIODS + 1), indexing="ij"))
    exposure_time = np.maximum(period - STARTS[unit] + 1, 0)
    counts = rng.poisson(5, len(unit)) + 1
    counts[np.isin(exposure_time, empty)] = 0
    return pd.DataFrame(
        {"unit": unit.astype(str), "period": period, "first": STARTS[unit], "force": counts,
         "time": exposure_time}
    )  # fmt: skip


def panel_of(frame):
    return rct.Panel.from_frame(frame, unit="unit", period="period", outcomes=["force"], starts="first")


def merged_glm(frame, merged, window):
    """statsmodels GLM (IRLS) with one dummy for each group of exposure times: mean of the coefficients."""
    time = frame["time"].replace(merged)
    effects = [pd.get_dummies(time).drop(columns=0), pd.get_dummies(frame["unit"]).add_prefix("u")]
    effects += [pd.get_dummies(frame["period"]).drop(columns=1).add_prefix("p")]
    columns = pd.concat(effects, axis=1).astype(float)
    fit = sm.GLM(frame["force"], columns, family=sm.families.Poisson()).fit(tol=1e-13, maxiter=200)
    own = [merged.get(t, t) for t in range(window[0], window[1] + 1)]
    return float(np.mean([fit.params[t] for t in own]))


@pytest.mark.parametrize(
    ("empty", "merged"),
    [((), {}), ((4,), {4: 3}), ((4, 5), {4: 3, 5: 3}), ((1,), {1: 2}), ((1, 2, 6), {1: 3, 2: 3, 6: 5})],
)
def test_the_mean_is_that_of_a_model_with_those_exposure_times_merged(empty, merged):
    frame = wedge(empty=empty)
    row = poisson(panel_of(frame), "force", effect="exposure-time", average=(1, 6))
    assert row.estimate == pytest.approx(merged_glm(frame, merged, (1, 6)), rel=1e-8)
    assert row.notes["pooled_exposure_times"] == ", ".join(
        f"{time} (as {other})" for time, other in sorted(merged.items())
    )


def test_the_warning_names_what_was_pooled():
    row = poisson(panel_of(wedge(empty=(4, 5))), "force", effect="exposure-time", average=(1, 6))
    assert "no event at exposure time 4 (as 3), 5 (as 3)" in row.warning
    whole = poisson(panel_of(wedge()), "force", effect="exposure-time", average=(1, 6))
    assert "no event at exposure time" not in whole.warning


def test_many_fits_pool_as_one_does():
    frames = [wedge(seed, empty) for seed, empty in enumerate([(), (4,), (1, 5), (2, 3)])]
    counts = np.stack([f["force"].to_numpy().reshape(UNITS, PERIODS) for f in frames])
    dose = (np.arange(1, PERIODS + 1) >= STARTS[:, None]).astype(float)
    design = np.broadcast_to(exposure_time_design(STARTS, dose), (4, UNITS, PERIODS, 8))
    contrast = np.r_[np.full(6, 1 / 6), 0, 0]
    fits = fit_batch(counts, design, contrast)
    for number, frame in enumerate(frames):
        row = poisson(panel_of(frame), "force", effect="exposure-time", average=(1, 6))
        assert fits.estimate[number] == pytest.approx(row.estimate, rel=1e-7)
        assert fits.std_error[number] == pytest.approx(row.std_error, rel=1e-6)
        assert fits.df[number] == pytest.approx(row.df, rel=1e-6)


def test_without_any_event_under_treatment_there_is_no_mean():
    frame = wedge(empty=tuple(range(1, 9)))
    with pytest.raises(rct.EstimationError, match="no event"):
        poisson(panel_of(frame), "force", effect="exposure-time", average=(1, 6))


def test_the_stand_in_is_the_nearest_shorter_exposure_time_with_events():
    has = np.array([[0, 1, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=bool)
    assert stand_ins(has).tolist() == [[1, 1, 1, 1, 4], [0, 1, 2, 3, 4], [-1] * 5]
