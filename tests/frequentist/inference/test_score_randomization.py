"""The score's look-up tables against brute force, and the size of the test."""

import numpy as np
import pytest

from rct.frequentist.inference.score_randomization import (
    draw_statistics,
    null_expectation,
    observed_statistics,
    score_p_values,
    score_table,
)

SEQUENCES = np.array([[0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1.0]])
OBSERVED = np.array([0, 1, 1, 2, 2, 3, 3, 0])


def permuted(n, seed=0, observed=OBSERVED):
    return np.random.default_rng(seed).permuted(np.tile(observed, (n, 1)), axis=1)


def trials(replicates, seed=1, ratio=1.0, spread=0.5):
    rng = np.random.default_rng(seed)
    level = rng.gamma(1 / spread**2, spread**2, (replicates, 8, 1)) * np.linspace(4, 7, 6)
    return rng.poisson(level * rng.gamma(20, 1 / 20, level.shape) * ratio ** SEQUENCES[OBSERVED])


def test_a_look_up_is_the_sum_of_dose_times_residual():
    residual = np.random.default_rng(3).normal(size=(2, 8, 6))
    draws = permuted(20)
    brute = np.einsum("rut,dut->rd", residual, SEQUENCES[draws])
    table = score_table(residual, SEQUENCES)
    assert draw_statistics(table, draws) == pytest.approx(brute, abs=1e-12)
    assert draw_statistics(table[0], draws) == pytest.approx(brute[0], abs=1e-12)
    assert observed_statistics(table, draws[:2]) == pytest.approx(brute[[0, 1], [0, 1]], abs=1e-12)


def test_the_null_fit_is_a_ratio_of_totals_under_equal_exposure():
    counts = trials(3).astype(float)
    by_unit, by_period = counts.sum(axis=2, keepdims=True), counts.sum(axis=1, keepdims=True)
    ratio = by_unit * by_period / counts.sum(axis=(1, 2), keepdims=True)
    assert null_expectation(counts, np.ones((8, 6)), unit_effects=True) == pytest.approx(ratio, rel=1e-12)


def test_the_null_fit_under_unequal_exposure_equals_statsmodels():
    import pandas as pd
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    counts = trials(1).astype(float)
    exposure = 1.0 + (np.arange(48).reshape(8, 6) * 7 % 5)
    unit, period = np.indices((8, 6))
    frame = pd.DataFrame({"y": counts[0].ravel(), "unit": unit.ravel(), "period": period.ravel()})
    glm = smf.glm(
        "y ~ C(unit) + C(period)", frame, family=sm.families.Poisson(), exposure=exposure.ravel()
    ).fit(tol=1e-12)
    ours = null_expectation(counts, exposure, unit_effects=True)[0]
    assert ours.ravel() == pytest.approx(np.asarray(glm.fittedvalues), rel=1e-7)


def test_true_nulls_are_rejected_in_five_percent_of_trials_and_effects_much_more_often():
    draws = permuted(499)
    observed = np.tile(OBSERVED, (600, 1))
    null = score_p_values(trials(600), SEQUENCES, observed, draws)
    # The 99.9 % binomial band of 600 trials around .05.
    assert 0.022 < np.mean(null <= 0.05) < 0.083
    effect = score_p_values(trials(600, ratio=0.6), SEQUENCES, observed, draws)
    assert np.mean(effect <= 0.05) > 0.3


def test_with_unequal_block_probabilities_centring_keeps_the_size_and_the_raw_score_has_no_power():
    rng = np.random.default_rng(5)
    block = np.repeat([0, 1], 20)
    share = np.where(block == 0, 0.25, 0.75)
    dose = np.array([[0.0], [1.0]])
    draws = np.hstack([permuted(499, 1, np.r_[np.ones(5), np.zeros(15)].astype(int)),
                       permuted(499, 2, np.r_[np.ones(15), np.zeros(5)].astype(int))])  # fmt: skip
    observed = np.hstack([permuted(400, 3, np.r_[np.ones(5), np.zeros(15)].astype(int)),
                          permuted(400, 4, np.r_[np.ones(15), np.zeros(5)].astype(int))])  # fmt: skip
    rate = np.where(block == 0, 4.0, 12.0) * 0.6**observed
    counts = rng.poisson(rate)[..., None]
    probabilities = np.column_stack([1 - share, share])
    options = {"unit_effects": False, "probabilities": probabilities}
    centred = score_p_values(counts, dose, observed, draws, **options)
    raw = np.column_stack([np.ones(40), np.zeros(40)])
    uncentred = score_p_values(counts, dose, observed, draws, unit_effects=False, probabilities=raw)
    assert np.mean(centred <= 0.05) > 0.5 + np.mean(uncentred <= 0.05)
    within = score_p_values(counts, dose, observed, draws, block=block, unit_effects=False)
    assert np.mean(within <= 0.05) > 0.8
    silent = rng.poisson(np.where(block == 0, 4.0, 12.0), (400, 40))[..., None]
    assert np.mean(score_p_values(silent, dose, observed, draws, **options) <= 0.05) < 0.1
