"""Batched fits equal single ones, replicate by replicate."""

import numpy as np
import pandas as pd
import pytest

from rct.frequentist import poisson
from rct.frequentist.replicate_fits import exposure_time_design, fit_batch
from rct.panel import Panel

STARTS = np.array([0, 4, 5, 6, 8, 9, 3])
PERIODS = 10


def counts_of(replicate, scale=9):
    cluster, period = np.indices((len(STARTS), PERIODS))
    return ((cluster * 37 + period * 11 + cluster * period * (replicate + 3) + replicate) % 13) % scale


def dose_of(starts):
    return ((starts[:, None] > 0) & (np.arange(1, PERIODS + 1) >= starts[:, None])).astype(float)


def single(counts, starts, **options):
    cluster, period = np.indices(counts.shape)
    frame = pd.DataFrame(
        {"unit": [f"c{c}" for c in cluster.ravel()], "period": period.ravel() + 1, "force": counts.ravel(),
         "start": starts[cluster.ravel()]}
    )  # fmt: skip
    panel = Panel.from_frame(frame, unit="unit", period="period", outcomes=["force"], starts="start")
    return poisson(panel, "force", correction="CR2", **options)


def test_the_constant_effect_of_every_replicate_equals_its_single_fit():
    replicates = np.array([counts_of(r) for r in range(5)])
    starts = np.array([np.roll(STARTS, r) for r in range(5)])
    design = np.array([dose_of(s) for s in starts])[..., None]
    batch = fit_batch(replicates, design, np.array([1.0]))
    for r in range(5):
        one = single(replicates[r], starts[r])
        assert batch.estimate[r] == pytest.approx(one.estimate, abs=1e-9)
        assert batch.std_error[r] == pytest.approx(one.std_error, abs=1e-9)
        assert batch.df[r] == pytest.approx(one.df, rel=1e-8)
        assert batch.p_values()[r] == pytest.approx(one.p_value, abs=1e-9)


def test_the_mean_over_exposure_times_equals_its_single_fit():
    counts = counts_of(2)
    design = exposure_time_design(STARTS, dose_of(STARTS))
    contrast = np.where(np.arange(design.shape[-1]) < 4, 0.25, 0.0)
    batch = fit_batch(counts[None], design[None], contrast)
    one = single(counts, STARTS, effect="exposure-time", average=(1, 4))
    assert (batch.estimate[0], batch.std_error[0]) == pytest.approx((one.estimate, one.std_error), abs=1e-9)
    assert batch.df[0] == pytest.approx(one.df, rel=1e-8)


def test_clusters_and_periods_without_events_drop_out_as_in_the_single_fit():
    counts = counts_of(1).copy()
    counts[3] = 0
    counts[:, 1] = 0
    batch = fit_batch(counts[None], dose_of(STARTS)[None, ..., None], np.array([1.0]))
    one = single(counts, STARTS)
    assert one.n_clusters == len(STARTS) - 1
    assert (batch.estimate[0], batch.std_error[0]) == pytest.approx((one.estimate, one.std_error), abs=1e-9)
    assert batch.df[0] == pytest.approx(one.df, rel=1e-8)


def test_a_replicate_without_treated_events_has_no_estimate_and_spoils_no_other():
    dose = dose_of(STARTS)
    replicates = np.array([counts_of(0), counts_of(0) * (dose == 0), counts_of(0) * 0])
    batch = fit_batch(replicates, np.broadcast_to(dose[..., None], (3, *dose.shape, 1)), np.array([1.0]))
    assert np.isnan(batch.estimate).tolist() == [False, True, True]
    assert batch.estimate[0] == pytest.approx(single(counts_of(0), STARTS).estimate, abs=1e-9)


def test_masked_periods_are_left_out():
    dose = dose_of(STARTS)
    masked = dose.copy()
    masked[np.arange(len(STARTS)), STARTS - 2] = np.nan
    masked[0] = 0
    changed = np.where(np.isnan(masked), 999, counts_of(4))
    a, b = (fit_batch(c[None], masked[None, ..., None], np.array([1.0])) for c in (counts_of(4), changed))
    assert a.estimate == pytest.approx(b.estimate, abs=1e-12)


def test_exposure_by_cluster_and_period_is_an_offset():
    exposure = 1.0 + np.indices((len(STARTS), PERIODS)).sum(axis=0) % 4
    dose = dose_of(STARTS)
    scaled = fit_batch(counts_of(3)[None], dose[None, ..., None], np.array([1.0]), exposure=exposure).estimate
    doubled = fit_batch(
        counts_of(3)[None], dose[None, ..., None], np.array([1.0]), exposure=exposure * np.exp(0.3 * dose)
    ).estimate
    assert doubled == pytest.approx(scaled - 0.3, abs=1e-9)
